//! Closed process groups of the corosync cluster engine: groups of processes on many machines, totally ordered multicast,
//! agreed membership. Safe bindings to the system's libcpg.
//!
//! ```no_run
//! use cpg::{Dispatch, Event, Group};
//!
//! let mut group = Group::join("ledger")?;
//! group.send(b"+5 alice")?;
//!
//! let mut entries = Vec::new();
//! while entries.is_empty() {
//!     group.dispatch(Dispatch::One, |link, event| match event {
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
//!   joins and leaves have their place too. A message comes back to its sender: that is its acknowledgement.
//! - A **view** ([`ConfChg`]) says who is in the group after each change. A member that joins gets its view first, and hears
//!   what is sent from then on.
//! - CPG works without quorum. **Both sides of a partition go on**, each with a view of its own and an order of its own, and
//!   see each other join again ([`Reason::NodeUp`]) when the network heals. What that means for a program's state is the
//!   program's to decide.
//! - A group is named by [bytes and a length](GroupName), and one process can be in it once.
//!
//! # The life of a handle
//!
//! **connected → joined → left.** [`Handle::connect`] connects; a [`Handle`] answers questions about nodes, groups and
//! members. [`Handle::join`] turns it into a [`Group`], which sends and dispatches. [`Group::leave`] ends both. libcpg
//! cannot join twice on one handle, nor leave a group that was not joined without harm (B2, B3), so the types have no way to
//! say it.
//!
//! Events are handled by [`Group::dispatch`], one closure at a time, on the thread that calls it. The closure borrows what it
//! likes, gets the event's data where libcpg has it, and can send through a [`Link`].
//!
//! | a program that | uses |
//! |---|---|
//! | does nothing but handle events | [`Group::run`]; [`Group::run_with`] with a deadline, or a [`Waker`] that stops it from elsewhere |
//! | asks for one event at a time | [`Group::recv`], [`Group::recv_deadline`], [`Group::events`] |
//! | has an event loop (epoll, mio, calloop, glib) | the [descriptor](Group#impl-AsFd-for-Group) and [`Group::dispatch`] with [`Dispatch::All`] |
//! | sends much, or from many threads | [`Group::split`]: a [`Sender`] with a queue that waits out flow control |
//! | sends many small messages | a [coalesced](Flow::coalesced) group, whose messages travel in [packets](packet) |
//! | wants to know when a message has been delivered | a [`Ticket`] |
//! | outlives its daemon | a group that [reconnects](Reconnect) |
//! | is made of tasks | `cpg::tokio` (feature `tokio`) |
//!
//! Handles and groups can move to other threads and cannot be shared between them: libcpg is not thread-safe (A4). A dispatch
//! needs 1152 KiB of stack (A1), which Rust's threads have and those of some runtimes do not.
//!
//! # Sending
//!
//! [`Link::send`] is the C call: it sends at once or says that the daemon refuses for now (B7). The [`Sender`] of a split group
//! has a queue: what has been sent and not come back is limited by a window, and own deliveries let the next message out, so that
//! nothing spins and nothing sleeps. Its errors are final. What was accepted and will not be delivered comes back as
//! [`Event::Undelivered`], in order and with the reason, before the dispatch that found out returns its error.
//!
//! Each call of libcpg costs some microseconds, whatever the size. A group that is joined with
//! [`Flow::coalesced`] moves what waits together in one packet: 40 to 150 times as many 64-byte messages a second on one node, ten
//! times on three. All its members must speak [packets](packet), which is a page of bytes; those that do not are heard whole,
//! and marked ([`Deliver::is_packed`]).
//!
//! Nothing waits for ever that was not asked to, except requests to a daemon that is stopped and not dead: the answer has no
//! limit (B16).
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
//! - `tokio`: groups for tasks, in `cpg::tokio`.
//! - `bindgen` (default): the declarations are made from the installed `corosync/cpg.h`, which needs libclang. Without it the
//!   committed ones are used: the same, and built in a second.
#![deny(unsafe_code)]

mod callbacks;
mod cause;
mod code;
mod connect;
mod delivery;
mod dispatch;
mod error;
mod event;
mod flow;
mod group;
mod handle;
mod inbox;
mod iteration;
mod join;
mod lag;
mod link;
mod members;
mod name;
mod outbox;
mod owned;
pub mod packet;
mod queue;
mod raw;
mod readiness;
mod reconnect;
mod recovery;
mod requests;
mod room;
mod run;
mod search;
mod source;
mod split;
mod stack;
mod ticket;
#[cfg(feature = "tokio")]
pub mod tokio;
mod trampoline;
mod types;
mod undelivered;
mod waker;
mod zero_copy;

#[cfg(any(doc, doctest))]
pub mod facts;
#[cfg(any(doc, doctest))]
pub mod guide;

pub use callbacks::Callbacks;
pub use code::CsError;
pub use connect::{Connect, TotemEvents};
pub use dispatch::Dispatch;
pub use error::{Error, Result};
pub use event::{ConfChg, Deliver, Event, Lost, Malformed, Rejoined, TotemConfChg, Undelivered};
pub use flow::Flow;
pub use group::Group;
pub use handle::Handle;
pub use iteration::{Groups, Process, Processes};
pub use join::JoinError;
pub use lag::Lag;
pub use link::Link;
pub use name::{GroupName, NameError};
pub use owned::{MalformedPacket, Message, OwnedEvent, Ring, View};
pub use reconnect::{Comeback, Reconnect};
pub use run::{Ended, Events, Wait};
pub use split::{Receiver, Sender};
pub use ticket::Ticket;
pub use types::{FlowControl, Guarantee, Member, NodeId, Reason, RingId};
pub use waker::Waker;
pub use zero_copy::ZeroCopyBuffer;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
