//! The way of a queue's messages to libcpg, and of requests beside them.

use std::io;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::ffi::call::{Busy, Pending};
use crate::ffi::requests::RequestHalf;
use crate::os::patience::Patience;
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

    /// Has a thread send a message in parts: each waits for the daemon ([B16](crate::facts#b16)), and nobody else is to.
    #[cold]
    fn send_parts(&self, number: u64, bytes: Arc<Vec<u8>>, lent: Lent) -> Handed {
        let wire = self.clone();
        let work = move || {
            // Made here: without a thread the connection goes back, and nothing has been under way.
            let mut parts = Parts { wire, number, lent: Some(lent), result: None };
            parts.result = parts.lent.as_ref().map(|lent| lent.joined().send_parts(&bytes));
        };
        match thread::spawn(work) {
            Ok(_) => Handed::UnderWay,
            Err(error) => Handed::Refused(error),
        }
    }

    /// As [`Access::look`], and sends what was put off meanwhile.
    pub(super) fn look<R>(
        &self,
        patience: &Patience<'_>,
        look: impl FnOnce(&mut Joined) -> R,
    ) -> Result<Option<R>> {
        let result = self.access.look(patience, look);
        self.outbox.go_on(&self.send());
        result
    }

    /// Has a request made on the connection, after what has it now, and waits for the answer; `None` without a connection. `begin`
    /// is told of the moment from which on nobody else makes one.
    ///
    /// The thread that makes the request sends what was put off meanwhile, whether it is waited for or left behind.
    pub(super) fn request<R: Send + 'static>(
        &self,
        call: &'static str,
        patience: &Patience<'_>,
        begin: impl Fn(&mut Joined),
        request: impl FnOnce(&RequestHalf) -> Result<R> + Send + 'static,
    ) -> Result<Option<R>> {
        let patience = &patience.attempt();
        let mut request = Some(request);
        loop {
            let wire = self.clone();
            let after = move || wire.outbox.go_on(&wire.send());
            let outcome = self.look(patience, |joined| {
                if let Some(busy) = joined.requests().busy() {
                    return Begun::Not(busy);
                }
                begin(joined);
                let request = request.take().expect("what was begun ends the loop");
                Begun::Made(joined.requests().begin(call, request, after))
            })?;
            match outcome {
                None => return Ok(None),
                Some(Begun::Made(pending)) => return pending?.wait(patience).map(Some),
                Some(Begun::Not(busy)) => busy.wait(call, patience)?,
            }
        }
    }
}

/// A request that has been made, or what has the half that makes requests.
enum Begun<R> {
    Made(Result<Pending<R>>),
    Not(Busy),
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
