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
//! // Created once, outside of the loop, so that a signal between two iterations is not missed.
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
//! The types are those of the crate's root. Methods that wait are `async`. The task that asks for events takes them from libcpg
//! itself when the reactor reports that there are some. Nothing queues events in between, and no thread runs meanwhile.
//!
//! # Calls that wait for the daemon
//!
//! Some calls wait for an answer of the daemon ([B16](crate::facts#b16)): joining, leaving, asking for members, sending a
//! message above the atomic size, and closing when the last half is dropped. libcpg cannot do this without blocking a thread.
//! So each of these calls runs on a separate thread. A paused daemon delays the task that made the call, up to the [time
//! limit](crate::ConnectOptions::request_timeout) of the connection, and does not delay the executor.
//!
//! Handlers run on the executor, so they send with [`Sender::try_send`], which does not wait. [`Session::send`] does not wait
//! either.
//!
//! # Cancelling
//!
//! The documentation of each future says what is lost if it is dropped before its end. Futures that take events lose none.
//! Messages that were sent right before the process ends are safe once [`Session::leave`] has returned.
//!
//! # Runtimes
//!
//! Any runtime with the I/O and time drivers enabled will do, with one thread or many. This crate starts none. Dispatching
//! needs 1152 KiB of stack ([A1](crate::facts#a1)). The default of 2 MiB for worker threads is enough.

mod options;
mod receiver;
mod sender;
mod session;
mod thread;

pub use options::SessionOptions;
pub use receiver::Receiver;
pub use sender::Sender;
pub use session::Session;
