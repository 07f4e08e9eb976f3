//! A membership with a queue, for programs with traffic: tickets, packets, long messages, reconnecting.
//!
//! # Locks
//!
//! A session has a lock on its queue and a lock on its connection. **A thread that takes both takes the queue's lock first, and
//! no thread waits for the daemon while it holds one of them.** Time runs from top to bottom in the drawing. A bar under *locks*
//! is the time for which a thread holds the lock: amber for senders and callers, blue for the receiver, red for the thread of a
//! request. The long red bar is the time for which that thread has the *half*, the value that makes requests
//! ([A4](crate::facts#a4)).
//!
#![doc = include_str!("locks.svg")]
//!
//! A request takes the half to a thread of its own. The thread gives the half back before it takes the queue's lock. Then it
//! sends the messages that had to wait, and last of all it wakes its caller. No caller waits for the thread of a long message.
//! `ARCHITECTURE.md` in the repository has the reasons, and `ci/model` checks the protocol.
//!
//! | lock | protects | held while | never held while |
//! |---|---|---|---|
//! | queue: [`Outbox::state`](outbox::Outbox::state) | the messages, the fatal error that a sender has met, the lists of waiting tasks | a message enters, goes out in one piece or is settled; the request of a long message begins | a thread sleeps or waits for the daemon; a handler or a waker runs |
//! | connection: [`Access::place`](access::Access::place) | the connection, and the place of its half | a message goes out in one piece; a request begins; the connection is put in, looked at or taken out | a thread waits for the daemon or for the half; a connection closes; the queue's lock is taken |
//! | returned half: [`Away::half`](crate::ffi::call) | the half, from its return until a thread with the connection's lock finds it | the half is put in or taken out | libcpg is called |
//! | end of a request: [`End`](crate::os::outstanding::End) | the flag that the request has ended | the flag is set, or a waiting thread looks at it, and looks if the daemon is dead | the waiting thread sleeps; libcpg is called |
//! | result of a request: [`Outstanding::fate`](crate::os::outstanding::Outstanding::fate) | the result, or the mark that nobody wants it | the result is put in, taken out or given up | an unwanted result is dropped; libcpg is called |
//! | search: [`Rejoin`](rejoin::Rejoin) | the next connection, or the mark that nobody wants it | the connection is put in, and the bell rung; it is taken out or given up | the search connects, joins, closes or pauses |
//!
//! The last four locks are held for moments. The locks of the returned half and of the result can be taken under the first two.
//! The lock of the search can be taken under that of an end, when a waiting search looks if its result is still wanted. Apart
//! from these and the first two, no locks of this table are held together.
//!
//! | waits | for | is woken by |
//! |---|---|---|
//! | a sender, while the queue is full | `space` | a flush, by any thread, that leaves the queue half empty |
//! | a thread, while there is no membership | `space` | the receiver, when the session is back or has ended |
//! | a ticket | `settled` | the receiver, when it has told the queue which messages were handled |
//! | the drop of the last sender or receiver | `settled` | the thread of a long message, in `parted` |
//! | a caller, for its answer or for the half | the end of the request | the thread of the request |
//! | the receiver | the timer | any thread that meets a fatal error, whose message is refused while none is in flight, or whose message waits for those in flight |
//! | the receiver, while the session is away | the bell | the thread that searches for the next membership |
//!
//! A fatal error, a loss, a return and the end of the session wake all that wait for `space` or `settled`. Tasks wait in the same
//! way, by their wakers.

pub(crate) mod absence;
pub(crate) mod access;
pub(crate) mod early;
pub(crate) mod end;
pub(crate) mod flow;
pub(crate) mod incoming;
pub(crate) mod lag;
pub(crate) mod losses;
#[cfg(all(test, cpg_model))]
mod model;
pub(crate) mod options;
pub(crate) mod outbox;
pub(crate) mod outcome;
pub(crate) mod pipeline;
pub(crate) mod push;
pub(crate) mod queue;
pub(crate) mod receiver;
pub(crate) mod reconnect;
pub(crate) mod rejoin;
pub(crate) mod sender;
pub(crate) mod sent;
pub(crate) mod session;
pub(crate) mod shared;
pub(crate) mod state;
pub(crate) mod ticket;
pub(crate) mod turn;
pub(crate) mod unpack;
pub(crate) mod wire;
