//! Sessions for tasks on tokio.
//!
//! ```no_run
//! use cpg::OwnedEvent;
//! use cpg::tokio::Session;
//!
//! # #[tokio::main]
//! # async fn main() -> cpg::Result<()> {
//! let mut session = Session::join("ledger").await?;
//! session.send(b"+5 alice")?;
//! // Made once: a signal that comes between two turns counts.
//! let stop = tokio::signal::ctrl_c();
//! tokio::pin!(stop);
//! loop {
//!     tokio::select! {
//!         event = session.recv() => match event? {
//!             OwnedEvent::Deliver(message) if message.sender() == session.me() => break,
//!             OwnedEvent::Deliver(message) => println!("{:?}", message.payload()),
//!             OwnedEvent::ConfChg(view) => println!("{:?}", view.members()),
//!             OwnedEvent::TotemConfChg(ring) => println!("{:?}", ring.members()),
//!             _ => {}
//!         },
//!         _ = &mut stop => break,
//!     }
//! }
//! session.leave().await
//! # }
//! ```
//!
//! The types are those of the crate's root, with `async` where they wait. Events are taken on the task that asks for them, when
//! the reactor says that there are some: nothing is queued in between, and no thread runs meanwhile.
//!
//! # What waits for the daemon
//!
//! Joining, leaving, asking for members and sending a message above the atomic size wait for an answer of the daemon
//! ([B16](crate::facts#b16)), which libcpg cannot do without blocking its thread. Each is done by a thread of its own, so that
//! a daemon that is stopped holds up the task
//! that asked and not its executor, up to the [time limit](crate::ConnectOptions::request_timeout) of the connection. So is closing,
//! when the last half is dropped. A handler runs on the
//! executor, and sends by [`Sender::try_send`], which does not wait; so does a [`Session`] that is whole.
//!
//! # Cancelling
//!
//! Each future says what dropping it before its end loses. Those that take events lose none. What was sent right before the
//! process ends is safe once [`Session::leave`] has returned.
//!
//! # Runtimes
//!
//! Any with the I/O and time drivers enabled, of one thread or many; none is started here. Dispatching needs 1152 KiB of
//! stack ([A1](crate::facts#a1)): the 2 MiB that worker threads have by default will do.

mod options;
mod receiver;
mod sender;
mod session;
mod thread;

pub use options::SessionOptions;
pub use receiver::Receiver;
pub use sender::Sender;
pub use session::Session;
