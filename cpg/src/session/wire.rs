//! The way of a queue's messages to libcpg, and of requests beside them.

use std::io;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::os::thread;
use crate::session::access::{Access, Joined, Lent, Taken};
use crate::session::outbox::{Handed, Outbox};
use crate::session::pipeline::Bytes;

/// The queue and the connection of a session: what is to be sent goes from the one to the other.
///
/// Threads that send the parts of a message have it, and do not keep the membership.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    pub(super) access: Arc<Access>,
    /// Tickets share it, and do not keep the membership.
    pub(super) outbox: Arc<Outbox>,
}

impl Wire {
    pub(super) fn new(joined: Joined, outbox: Outbox) -> Self {
        Self { access: Arc::new(Access::new(joined)), outbox: Arc::new(outbox) }
    }

    /// Returns what the queue sends its messages by.
    #[inline]
    pub(crate) fn send(&self) -> impl Fn(u64, &mut Bytes) -> Handed {
        |number, bytes| match self.access.send(bytes) {
            Taken::Sent(Ok(())) => Handed::Sent,
            Taken::Sent(Err(error)) => Handed::Refused(error),
            Taken::Busy => Handed::Busy,
            Taken::Parts(lent) => self.send_parts(number, bytes.share(), lent),
        }
    }

    /// Has a thread send a message in parts: each waits for the daemon (B16), and nobody else is to.
    #[cold]
    fn send_parts(&self, number: u64, bytes: Arc<Vec<u8>>, lent: Lent) -> Handed {
        let wire = self.clone();
        let work = move || {
            // Made here: without a thread the connection goes back, and nothing has been under way.
            let mut parts = Parts { wire, number, lent: Some(lent), result: None };
            parts.result = parts.lent.as_ref().map(|lent| lent.joined().send(&bytes));
        };
        match thread::spawn(work) {
            Ok(_) => Handed::UnderWay,
            Err(error) => Handed::Refused(error),
        }
    }

    /// Waits for the connection, has `call` make a request on it, which may wait for the daemon, and sends what was put off
    /// meanwhile; `None` without a connection.
    pub(super) fn request<R>(&self, call: impl FnOnce(&Joined) -> R) -> Result<Option<R>> {
        let result = self.access.borrow()?.map(|lent| call(lent.joined()));
        self.outbox.go_on(&self.send());
        Ok(result)
    }
}

/// A message whose parts are being sent. When this goes, also in a panic, the queue has the connection again and goes on.
struct Parts {
    wire: Wire,
    number: u64,
    lent: Option<Lent>,
    result: Option<Result<()>>,
}

impl Drop for Parts {
    fn drop(&mut self) {
        let Self { wire, number, lent, result } = self;
        let result = result.take().unwrap_or_else(|| {
            Err(Error::io("a thread that sent a message in parts")(io::Error::other("it panicked")))
        });
        let pause = wire.outbox.parted(*number, result, || lent.take()?.give_back(), &wire.send());
        if let Some(pause) = pause {
            thread::sleep(pause);
            wire.outbox.go_on(&wire.send());
        }
    }
}
