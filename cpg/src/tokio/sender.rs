//! The sending half.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use ::tokio::time::sleep;

use super::thread;
use crate::error::Result;
use crate::name::GroupName;
use crate::requests::Shared;
use crate::types::{Guarantee, Member};

/// The pauses of a send that is refused for now grow from the first of these to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// The sending half of a group, from [`Group::split`](super::Group::split): for any number of tasks.
///
/// The membership ends when the [`Receiver`](super::Receiver) and all senders are gone, or when the receiver leaves: then
/// every call here is refused with [`Error::Left`](crate::Error::Left).
#[derive(Debug, Clone)]
pub struct Sender(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    /// None only while it is dropped.
    pub(super) shared: Option<Shared>,
    pub(super) name: GroupName,
    pub(super) me: Member,
    pub(super) max_atomic: usize,
}

impl Drop for Inner {
    fn drop(&mut self) {
        thread::drop_off(self.shared.take());
    }
}

impl Sender {
    pub(super) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    pub(super) fn shared(&self) -> &Shared {
        self.0.shared.as_ref().expect("taken by drop alone")
    }

    /// The group.
    pub fn name(&self) -> &GroupName {
        &self.0.name
    }

    /// This member: this node and this process.
    pub fn me(&self) -> Member {
        self.0.me
    }

    /// The longest message, in bytes, that is sent in one piece.
    pub fn max_atomic_message_size(&self) -> usize {
        self.0.max_atomic
    }

    /// The members of the group as the daemon knows them now.
    ///
    /// Cancelling it loses the answer.
    ///
    /// # Errors
    /// As [`Link::members`](crate::Link::members).
    #[doc(alias = "cpg_membership_get")]
    pub async fn members(&self) -> Result<Vec<Member>> {
        let (shared, name) = (self.shared().clone(), self.name().clone());
        thread::run(move || shared.wait(|connection| connection.own_members(&name))).await
    }

    /// Sends a message if it can go out at once; see [`Link::send`](crate::Link::send).
    ///
    /// # Errors
    /// As [`Link::send`](crate::Link::send); retryable, too, while another task waits for the daemon.
    /// [`Error::Waits`](crate::Error::Waits) for a message above the atomic size.
    #[doc(alias = "cpg_mcast_joined")]
    pub fn try_send(&self, message: &[u8]) -> Result<()> {
        if message.len() > self.0.max_atomic {
            return Err(crate::Error::Waits { call: "cpg_mcast_joined" });
        }
        let slices = [IoSlice::new(message)];
        self.shared().send_soon(|connection| connection.mcast(Guarantee::Agreed, &slices))
    }

    /// Sends a message, and waits out flow control with growing pauses; nothing announces that it is over (B7).
    ///
    /// A message above [`max_atomic_message_size`](Self::max_atomic_message_size) is copied, and sent by a thread; it is sent
    /// again from its beginning when members come or go meanwhile (B8).
    ///
    /// Cancelling it: a message up to that size has not been sent. A longer one may still be sent, by the thread, once.
    ///
    /// # Errors
    /// As [`Link::send`](crate::Link::send), without those that pass.
    #[doc(alias = "cpg_mcast_joined")]
    pub async fn send(&self, message: &[u8]) -> Result<()> {
        let long: Option<Arc<[u8]>> = (message.len() > self.0.max_atomic).then(|| message.into());
        let mut pause = PAUSES.0;
        loop {
            let result = match &long {
                None => self.try_send(message),
                Some(long) => {
                    let (shared, long) = (self.shared().clone(), Arc::clone(long));
                    let send = move || {
                        shared.send_waiting(|connection| {
                            connection.mcast(Guarantee::Agreed, &[IoSlice::new(&long)])
                        })
                    };
                    thread::run(send).await
                }
            };
            match result {
                Err(error) if error.is_retryable() => sleep(pause).await,
                result => return result,
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}
