//! Closed process groups of the [corosync](https://corosync.github.io/corosync/) cluster engine: safe bindings to the system's
//! libcpg, and sessions with a queue on top of them.
//!
//! A *group* has processes on many machines as its members. A message goes to all members, and all of them get all messages **in the
//! same order**. Each member is told who joins and who leaves, at the same place in that order.
//!
//! The crate has two layers. **The binding** is libcpg made safe: it sends at once, or refuses. **The session** adds a queue
//! for programs with much to send. If asked to, it joins its group again after its daemon has restarted. The daemon is corosync
//! on this machine. The guide explains [the words of the field](guide#words).
//!
#![doc = include_str!("guide/layers.svg")]
//!
//! # A first program
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
//! It needs a running corosync. The repository's README says how to get a cluster of one node, and how to start
//! a private cluster of several nodes without root.
//!
//! # Types for each kind of program
//!
//! | a program that | uses |
//! |---|---|
//! | only handles events | [`Group::run`] with [`Limits`]: a deadline, or a [`Waker`] that stops the run from elsewhere |
//! | asks for one event at a time | [`Group::recv`], [`Group::recv_until`], [`Group::events`] |
//! | has an event loop (epoll, mio, calloop, glib) | the [descriptor](Group#impl-AsFd-for-Group), and [`Group::dispatch`] with [`Limits::available`] |
//! | sends much, or from many threads | a [`Session`], with a queue for the time in which the daemon refuses messages ([flow control](guide#words)) |
//! | sends many small messages | a session that [coalesces](SessionOptions::coalesce): messages share [packets](packet) |
//! | must know when a message has been delivered | a session, and a [`Ticket`] per message |
//! | outlives its daemon | a session that [reconnects](Reconnect) |
//! | consists of async tasks | `cpg::tokio` (feature `tokio`) |
//! | only asks for nodes, groups or members | a [`Handle`] |
//!
//! The guide has [a program for each of these](guide::choosing).
//!
//! # Groups
//!
//! - A message comes back to its sender too (*self-delivery*). That is the only acknowledgement. It says that the message has its
//!   place in the order, [not that others have received it](guide::promises#what-delivered-means).
//! - A **view** ([`View`]) says who is in the group after each change. The first view of a new member includes the member
//!   itself; from then on it gets what is sent. (A [ring event](TotemEvents) can come before that view.)
//! - CPG works without a majority of the nodes (a *quorum*). In a network partition **both sides go on**, each with its own
//!   views and its own order. They see each other join again ([`Reason::NodeUp`]) when the network heals. The program decides
//!   what this means for its state.
//! - The name of a group is [1 to 127 bytes of any value](GroupName), not a C string. A process can be in a group only once.
//!
//! # The binding
//!
//! [`Handle::connect`] connects to the daemon. A [`Handle`] answers questions about nodes, groups and members: it dereferences to
//! [`Daemon`], which has the methods for them. [`Handle::join`] turns the handle into a [`Group`], which sends and dispatches.
//! [`Group::leave`] ends the membership, and closes the handle. libcpg does harm when a handle joins another group after a
//! leave, or leaves under another name than it joined with. Here neither can be written.
//!
//! [`Group::dispatch`] hands events to a closure, one at a time, on the thread that calls it. The closure may borrow anything
//! of its caller. It gets the event's data where libcpg has it, without a copy, and a [`Link`] to send with.
//!
//! Handles, groups, sessions and receivers can move to other threads, but cannot be shared between threads, because libcpg is not
//! thread-safe. A dispatch needs 1152 KiB of stack. Rust's threads have that; threads of some runtimes do not.
//!
//! # The session
//!
//! A [`Session`] has a queue, and limits the bytes that have been sent and have not come back (the *window*). Each self-delivery
//! lets the next message out, so no thread has to ask again and again if flow control has ended. If the daemon refuses a message
//! all the same, the session tries again at the next self-delivery, or after a pause if no message is in flight. A session says
//! when a message has been delivered. If asked to, it puts small messages together, and joins again after its daemon has
//! restarted. Use it whole on one thread, or split it into a [`Sender`] for any number of threads and a [`Receiver`] for one.
//! Handlers of a session get a `Sender`. `cpg::tokio` is the session for tasks.
//!
//! Names and signatures match those of the binding: a program that outgrows the binding changes a type and little else.
//!
//! # Sending
//!
//! [`Link::send`] is the C call. It sends at once, or returns a [retryable](Error::is_retryable) error when the daemon's flow
//! control refuses. A session's `send` puts the message into the queue. Its only retryable error is a full queue
//! ([`Error::QueueFull`]). (While a session that [reconnects](Reconnect) is away from its group, a send returns
//! [`Error::NoMembership`], unless the session [keeps its queue](Reconnect::keep_queue). Once the session is back, it takes
//! messages again.) A message that was accepted and does not come back to its sender is handed back as [`Event::Undelivered`]
//! with the reason; [other members may have got it](Undelivered::was_sent). Such messages come in the order of sending. If the
//! membership ends with an error, they come before the dispatch returns it.
//!
//! A call of libcpg costs some microseconds even for the smallest message. A session that [coalesces](SessionOptions::coalesce)
//! puts waiting messages into one packet:
//!
//! | nodes | messages of 64 bytes per second, compared with a plain session |
//! |---|---|
//! | 1 | 40 to 150 times as many |
//! | 3 | 10 times as many |
//!
//! For this all members of the group must read [packets](packet), a simple format of bytes: a session that does not coalesce
//! gets each packet as [`Event::Malformed`]. A session that coalesces gets plain messages of other members as they are;
//! [`Message::is_packed`] is false for them.
//!
//! # Waiting
//!
//! No call waits for the daemon without a limit unless you ask it to, even if the daemon is paused, for example by SIGSTOP (see
//! [B16](crate::facts#b16)). The methods that end in `_until` take a deadline, and so does a dispatch ([`Limits::until`]). Every
//! other request to the daemon has the [time limit](ConnectOptions::request_timeout) of its connection, which is 10 seconds by
//! default. A drop waits for half a second at most; if a session is sending a message above the atomic size, it waits for up to
//! 1.5 seconds.
//!
//! These wait for events, or for another thread that dispatches, without a limit: [`Group::recv`], a run with
//! [`Limits::forever`], [`Sender::send`] while the queue is full, [`Ticket::wait`] and [`Sender::wait_joined`]. Each has a form
//! with a deadline.
//!
//! # Further reading
//!
//! - The [guide], page by page: [choosing a type](guide::choosing), [the life of a handle and of a message](guide::life),
//!   [promises](guide::promises) and their sources, [partitions](guide::partitions), [losing the daemon](guide::losing_the_daemon),
//!   [leaders and state](guide::building), [security](guide::security).
//! - Coming [from C](guide::from_c) or [from `rust-corosync`](guide::from_rust_corosync), call by call.
//! - [Troubleshooting](guide::troubleshooting): each error by its text. An [`Error`] prints its remedy if it has one, also when
//!   `main` returns it.
//! - [`facts`]: the undocumented behaviour of libcpg and corosync that this crate guards against. Documentation and comments
//!   refer to each fact by its number, such as [B16](crate::facts#b16).
//!
//! # Features
//!
//! - `tokio`: sessions for tasks, in `cpg::tokio`.
//! - `bindgen` (default): makes the declarations from the installed `corosync/cpg.h`, which needs libclang. Without this feature the
//!   committed declarations are used. They are the same, and build in a second.
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

// 4. The loop of a dispatch, and its limits.
mod dispatch;

// 5. Connected.
mod handle;

// 6. Joined.
mod group;

// 7. Joined, with a queue.
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
