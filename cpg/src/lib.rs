//! Closed process groups of the corosync cluster engine: groups of processes on many machines, totally ordered multicast,
//! agreed membership. Safe bindings to the system's libcpg.
//!
//! ```no_run
//! use cpg::{Event, Group, Limits};
//!
//! let mut group = Group::join("ledger")?;
//! group.send(b"+5 alice")?;
//!
//! let mut entries = Vec::new();
//! while entries.is_empty() {
//!     group.dispatch(Limits::one(), |link, event| match event {
//!         Event::Deliver(message) => entries.push(message.payload().to_vec()),
//!         Event::ConfChg(view) => println!("{} is one of {:?}", link.me(), view.members()),
//!         Event::TotemConfChg(ring) => println!("nodes: {:?}", ring.members()),
//!         _ => {}
//!     })?;
//! }
//! group.leave()?;
//! # Ok::<(), cpg::Error>(())
//! ```
//!
//! # What a group is
//!
//! - Every message goes to all members, its sender included, and all deliver all messages **in the same order**, in which
//!   joins and leaves have their place too. A message comes back to its sender: that is its acknowledgement, and says that it has its
//!   place, [not that others have it](guide::promises#what-delivered-means).
//! - A **view** ([`View`]) says who is in the group after each change. A member that joins gets its view first, and hears
//!   what is sent from then on.
//! - CPG works without quorum. **Both sides of a partition go on**, each with a view of its own and an order of its own, and
//!   see each other join again ([`Reason::NodeUp`]) when the network heals. What that means for a program's state is the
//!   program's to decide.
//! - A group is named by [bytes and a length](GroupName), and one process can be in it once.
//!
//! # Two storeys
//!
//! **The binding** is what a C programmer expects, made safe. [`Handle::connect`] connects; a [`Handle`] answers questions
//! about nodes, groups and members, as the [`Daemon`] that it dereferences to. [`Handle::join`] turns it into a [`Group`], which
//! sends and dispatches. [`Group::leave`] ends both. libcpg cannot join twice on one handle, nor leave a group that was not
//! joined without harm (B2, B3), so the types have no way to say it.
//!
//! **The session** is what programs with traffic need on top of it: a [`Session`] has a queue that own deliveries clock, says
//! when a message has been delivered, moves small messages together, and comes back when its daemon has gone. It is used whole
//! on one thread, or split into a [`Sender`] for any number of threads and a [`Receiver`] for one. `cpg::tokio` is the session
//! for tasks. Names and signatures match, so that a program which outgrows the binding changes a type and little else.
//!
//! Events are handled by [`Group::dispatch`], one closure at a time, on the thread that calls it. The closure borrows what it
//! likes, gets the event's data where libcpg has it, and can send: through a [`Link`], in a session through a [`Sender`].
//!
//! | a program that | uses |
//! |---|---|
//! | does nothing but handle events | [`Group::run`], with [`Limits`]: a deadline, or a [`Waker`] that stops it from elsewhere |
//! | asks for one event at a time | [`Group::recv`], [`Group::recv_until`], [`Group::events`] |
//! | has an event loop (epoll, mio, calloop, glib) | the [descriptor](Group#impl-AsFd-for-Group) and [`Group::dispatch`] with [`Limits::available`] |
//! | sends much, or from many threads | a [`Session`], whose queue waits out flow control |
//! | sends many small messages | a session that [coalesces](SessionOptions::coalesce): they travel in [packets](packet) |
//! | wants to know when a message has been delivered | a session, and a [`Ticket`] |
//! | outlives its daemon | a session that [reconnects](Reconnect) |
//! | is made of tasks | `cpg::tokio` (feature `tokio`) |
//!
//! Handles, groups, sessions and receivers can move to other threads and cannot be shared between them: libcpg is not
//! thread-safe (A4). A dispatch needs 1152 KiB of stack (A1), which Rust's threads have and those of some runtimes do not.
//!
//! # Sending
//!
//! [`Link::send`] is the C call: it sends at once or says that the daemon refuses for now (B7). A session has a queue: what has
//! been sent and not come back is limited by a window, and own deliveries let the next message out, so that
//! nothing spins and nothing sleeps. Its errors are final. What was accepted and will not be delivered comes back as
//! [`Event::Undelivered`], in order and with the reason, before the dispatch that found out returns its error.
//!
//! Each call of libcpg costs some microseconds, whatever the size. A session that [coalesces](SessionOptions::coalesce) moves
//! what waits together in one packet: 40 to 150 times as many 64-byte messages a second on one node, ten
//! times on three. All members of its group must speak [packets](packet), which is a page of bytes; those that do not are heard
//! whole, and marked ([`Message::is_packed`]).
//!
//! No call blocks indefinitely unless you ask it to, with one exception: a request to a paused daemon waits until the daemon
//! resumes (B16). Deadlines are given to the methods that end in `_until`, and to a dispatch by [`Limits::until`]. Connecting,
//! joining and leaving without one wait for up to 10 seconds.
//!
//! # More
//!
//! The [guide] has a program for [each of these](guide::choosing). It says what is [promised](guide::promises) and what is not, with its sources; what happens in a
//! [partition](guide::partitions) and when the [daemon goes](guide::losing_the_daemon); how to find a leader and
//! [give state to those who join](guide::building); who must be [trusted](guide::security). Programs come [from C](guide::from_c) and
//! [from `rust-corosync`](guide::from_rust_corosync) call by call. [Troubleshooting](guide::troubleshooting) has each error by its text.
//! An [`Error`] prints its remedy where it has one, also when `main` returns it.
//!
//! The facts with a letter and a number are on a page of their own: [`facts`].
//!
//! # Features
//!
//! - `tokio`: sessions for tasks, in `cpg::tokio`.
//! - `bindgen` (default): the declarations are made from the installed `corosync/cpg.h`, which needs libclang. Without it the
//!   committed ones are used: the same, and built in a second.
#![deny(unsafe_code)]

// Each level imports from those above it alone; `ci/checks layers` sees to it.

// 1. Vocabulary.
mod cs_error;
mod error;
mod event;
mod flow_control;
mod group_name;
mod guarantee;
mod member;
mod outlook;
pub mod packet;
mod remedy;
mod system_error;

// 2. Linux.
mod os;

// 3. libcpg.
mod ffi;

// 4. How long a dispatch goes on.
mod dispatch;

// 5. Connected.
mod handle;

// 6. Joined.
mod group;

// 7. With a queue.
mod session;

// 8. For tasks.
#[cfg(feature = "tokio")]
pub mod tokio;

#[cfg(any(doc, doctest))]
pub mod facts;
#[cfg(any(doc, doctest))]
pub mod guide;

pub use cs_error::CsError;
pub use dispatch::events::Events;
pub use dispatch::limits::{Ended, Limits};
pub use dispatch::waker::Waker;
pub use error::{Error, Result};
pub use event::event::{Event, OwnedEvent};
pub use event::lost::Lost;
pub use event::malformed_packet::{MalformedPacket, OwnedMalformedPacket};
pub use event::message::{Message, OwnedMessage};
pub use event::rejoined::{OwnedRejoined, Rejoined};
pub use event::ring::{OwnedRing, Ring, RingId, TotemEvents};
pub use event::undelivered::Undelivered;
pub use event::view::{OwnedView, View};
pub use ffi::options::ConnectOptions;
pub use flow_control::FlowControl;
pub use group::callbacks::Callbacks;
pub use group::group::Group;
pub use group::join::JoinError;
pub use group::link::Link;
pub use group::zero_copy::ZeroCopyBuffer;
pub use group_name::{GroupName, IntoGroupName, NameError};
pub use guarantee::Guarantee;
pub use handle::daemon::Daemon;
pub use handle::handle::Handle;
pub use handle::process::Process;
pub use member::{Member, NodeId, ParseError, Reason};
pub use session::flow::Flow;
pub use session::lag::Lag;
pub use session::options::SessionOptions;
pub use session::receiver::Receiver;
pub use session::reconnect::Reconnect;
pub use session::sender::Sender;
pub use session::sent::Sent;
pub use session::session::Session;
pub use session::ticket::Ticket;
pub use system_error::SystemError;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
