//! Buffers that the daemon reads from in place.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::error::Result;
use crate::ffi::zero_copy::Buffer;
use crate::group::link::Link;
use crate::guarantee::Guarantee;
use crate::os::patience::Patience;

/// How long dropping a buffer waits for the daemon.
const DROPPING: Duration = Duration::from_millis(500);

/// A buffer from [`Link::zero_copy`](crate::Link::zero_copy): bytes to fill in, all zero at first, and to send as often as wanted.
///
/// Each of its calls waits for the daemon up to corosync 3.1, as long as a [request](crate::ConnectOptions::request_timeout) does
/// ([B16](crate::facts#b16)). After a send that was [not answered in time](crate::Error::TimedOut) its bytes can be read and
/// not be written, to which end it is empty, until the daemon answers. Dropping it gives the memory back, and waits for half a
/// second at most.
///
/// The connection keeps a thread for its buffers.
///
/// ```no_run
/// use cpg::{Group, Guarantee, ZeroCopyBuffer};
///
/// let group = Group::join("ledger")?;
/// let mut buffer: ZeroCopyBuffer<'_> = group.zero_copy(100_000)?;
/// buffer[..5].copy_from_slice(b"hello");
/// buffer.truncate(5);
/// buffer.send()?;
/// buffer.send_with(Guarantee::Agreed)?;
/// # Ok::<(), cpg::Error>(())
/// ```
#[doc(alias = "cpg_zcb_free")]
#[derive(Debug)]
pub struct ZeroCopyBuffer<'l> {
    link: &'l Link,
    /// None only while it is dropped.
    buffer: Option<Buffer>,
    len: usize,
}

impl Link {
    /// Makes memory shared with the daemon for a message of `len` bytes, which is then sent without a copy. It waits for the
    /// daemon up to corosync 3.1 ([B16](crate::facts#b16)).
    ///
    /// Up to corosync 3.1 it is worth its cost for large messages only, as each buffer is a file that both sides map; after
    /// that it is ordinary memory and a plain send ([B12](crate::facts#b12)).
    ///
    /// # Errors
    /// [`Error::MessageTooLong`](crate::Error::MessageTooLong) above [`Daemon::max_atomic_message_size`](crate::Daemon::max_atomic_message_size), [`Error::NoSharedMemory`](crate::Error::NoSharedMemory), and those of a request.
    #[doc(alias = "cpg_zcb_alloc")]
    pub fn zero_copy(&self, len: usize) -> Result<ZeroCopyBuffer<'_>> {
        ZeroCopyBuffer::alloc(self, len)
    }
}

impl<'l> ZeroCopyBuffer<'l> {
    fn alloc(link: &'l Link, len: usize) -> Result<Self> {
        let requests = link.daemon.requests();
        let buffer = Buffer::alloc(requests, len, &requests.patience())?;
        Ok(Self { link, buffer: Some(buffer), len })
    }

    /// Makes the message shorter; longer has no effect.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Sends the bytes as one message, and waits for the daemon to take it ([B16](crate::facts#b16)).
    ///
    /// # Errors
    /// As [`Link::send`](crate::Link::send); [`CsError::NotSupported`](crate::CsError::NotSupported) from an older libcpg with a daemon that has
    /// no zero-copy any more.
    #[doc(alias = "cpg_zcb_mcast_joined")]
    pub fn send(&self) -> Result<()> {
        self.send_with(Guarantee::Agreed)
    }

    /// As [`send`](Self::send), with a [`Guarantee`], which corosync ignores.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[doc(alias = "cpg_zcb_mcast_joined")]
    pub fn send_with(&self, guarantee: Guarantee) -> Result<()> {
        let requests = self.link.sending()?;
        let Some(buffer) = &self.buffer else { return Ok(()) };
        buffer.mcast(requests, guarantee, self.len, &requests.patience())
    }
}

impl Deref for ZeroCopyBuffer<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer.bytes()[..self.len])
    }
}

impl DerefMut for ZeroCopyBuffer<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        let Some(buffer) = &mut self.buffer else { return &mut [] };
        let bytes = buffer.bytes_mut();
        let len = self.len.min(bytes.len());
        &mut bytes[..len]
    }
}

impl Drop for ZeroCopyBuffer<'_> {
    fn drop(&mut self) {
        let Some(buffer) = self.buffer.take() else { return };
        // Without the daemon, or after leaving, nobody takes it back. What is left behind is done with the next request.
        let _: Result<()> = buffer.free(self.link.daemon.requests(), &Patience::lasting(DROPPING));
    }
}
