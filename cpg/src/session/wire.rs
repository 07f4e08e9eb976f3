//! The way of a queue's messages to libcpg, and of requests beside them.

use std::sync::Arc;

use crate::error::Result;
use crate::ffi::call::{Busy, Pending};
use crate::ffi::requests::RequestHalf;
use crate::guarantee::Guarantee;
use crate::os::patience::Patience;
use crate::os::thread;
use crate::session::access::{Access, Joined};
use crate::session::outbox::{Handed, Outbox};
use crate::session::pipeline::Bytes;

/// The queue and the connection of a session: what is to be sent goes from the one to the other.
///
/// Threads that make its requests have it, and do not keep the membership.
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
        |number, bytes| {
            self.access.send(|joined| {
                if joined.parts(bytes.len()) {
                    return self.send_parts(joined, number, bytes.share());
                }
                match joined.send(bytes) {
                    Ok(()) => Handed::Sent,
                    Err(error) => Handed::Refused(error),
                }
            })
        }
    }

    /// Has a message sent in parts: a request, which waits for the daemon to take each of them ([B16](crate::facts#b16)).
    ///
    /// It has no time limit, because nobody waits for its thread. With a paused daemon that is as any other request that was
    /// left behind: further ones have their own time, messages wait in the queue, and what ends the membership takes the message
    /// out of the queue.
    #[cold]
    fn send_parts(&self, joined: &Joined, number: u64, bytes: Arc<Vec<u8>>) -> Handed {
        let wire = self.clone();
        let send = move |half: &RequestHalf| half.mcast_long(Guarantee::Agreed, &bytes);
        let after = move |result| {
            if let Some(pause) = wire.outbox.parted(number, result, &wire.send()) {
                thread::sleep(pause);
                wire.outbox.go_on(&wire.send());
            }
        };
        match joined.requests().begin("cpg_mcast_joined", send, after) {
            Ok(_) => Handed::UnderWay,
            Err(error) => Handed::Refused(error),
        }
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
            let after = move |_| wire.outbox.go_on(&wire.send());
            let outcome = self.access.look(|joined| {
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
