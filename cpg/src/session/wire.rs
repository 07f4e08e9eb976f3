//! The way from the queue to libcpg, and requests beside the messages.

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

/// The queue and the connection of a session. Messages go from the queue to the connection.
///
/// Threads that make the session's requests share this value, and do not keep the membership alive.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    pub(super) access: Arc<Access>,
    /// Tickets share the queue, and do not keep the membership alive.
    pub(super) outbox: Arc<Outbox>,
}

impl Wire {
    pub(super) fn new(joined: Joined, outbox: Outbox) -> Self {
        Self { access: Arc::new(Access::new(joined)), outbox: Arc::new(outbox) }
    }

    /// Returns the function with which the queue sends its messages.
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

    /// Sends a message in parts: a request, which waits until the daemon has taken each part ([B16](crate::facts#b16)).
    ///
    /// The request has no time limit, because nobody waits for its thread. If the daemon is paused, it is like any other request
    /// that was left behind: further requests have their own time limits, and messages wait in the queue. A membership that ends
    /// takes the message out of the queue.
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

    /// Makes a request on the connection, after the request that is being made, and waits for the answer. `None` if there is no
    /// connection. `begin` is called at the moment from which on no other request can begin.
    ///
    /// The thread that makes the request then sends the messages that had to wait, even if it was left behind.
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

/// A request that has begun, or the one that has the half that makes requests.
enum Begun<R> {
    Made(Result<Pending<R>>),
    Not(Busy),
}
