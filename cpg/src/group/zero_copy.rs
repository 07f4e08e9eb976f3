//! Buffers that the daemon reads in place.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::error::Result;
use crate::ffi::zero_copy::Buffer;
use crate::group::link::Link;
use crate::guarantee::Guarantee;
use crate::os::patience::Patience;

/// The longest time that dropping a buffer waits for the daemon.
const DROPPING: Duration = Duration::from_millis(500);

/// A buffer for one message that the daemon reads in place, from [`Link::zero_copy`](crate::Link::zero_copy).
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
///
/// The bytes are zero at first. Fill them in, and send the buffer as often as you like.
///
/// With corosync up to 3.1.10 each call waits for the daemon, up to the time limit of a
/// [request](crate::ConnectOptions::request_timeout) ([B16](crate::facts#b16)). If a send was [not answered in
/// time](crate::Error::TimedOut), the bytes can be read but not written until the daemon answers: until then the mutable slice
/// is empty. Dropping a buffer returns its memory, and waits for half a second at most.
///
/// The connection keeps one thread for all its buffers.
#[doc(alias = "cpg_zcb_free")]
#[derive(Debug)]
pub struct ZeroCopyBuffer<'l> {
    link: &'l Link,
    /// `None` only during the drop.
    buffer: Option<Buffer>,
    len: usize,
}

impl Link {
    /// Makes a buffer for a message of `len` bytes in memory that is shared with the daemon, so that sending does not copy the
    /// message. With corosync up to 3.1.10 this waits for the daemon ([B16](crate::facts#b16)).
    ///
    /// Up to corosync 3.1.10 each buffer is a file that both sides map, so buffers are worth their cost for large messages
    /// only. Later versions use ordinary memory and a plain send ([B12](crate::facts#b12)).
    ///
    /// # Errors
    /// - [`Error::MessageTooLong`](crate::Error::MessageTooLong) above
    ///   [`Daemon::max_atomic_message_size`](crate::Daemon::max_atomic_message_size).
    /// - [`Error::NoSharedMemory`](crate::Error::NoSharedMemory) if there is no shared memory left, or no descriptor.
    /// - Those of a request, as for [`Daemon::local_node`](crate::Daemon::local_node).
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

    /// Makes the message shorter. A length above the current one has no effect.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Sends the bytes as one message, and waits until the daemon has taken it ([B16](crate::facts#b16)).
    ///
    /// # Errors
    /// Those of [`Link::send`](crate::Link::send), and [`CsError::NotSupported`](crate::CsError::NotSupported) from an older
    /// libcpg if the daemon no longer has zero-copy.
    #[doc(alias = "cpg_zcb_mcast_joined")]
    pub fn send(&self) -> Result<()> {
        self.send_with(Guarantee::Agreed)
    }

    /// Sends the bytes with a [`Guarantee`], which corosync ignores.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
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
        // Without the daemon, or after leaving, nobody takes the buffer back. If the time is over, the next request frees
        // it.
        let _: Result<()> = buffer.free(self.link.daemon.requests(), &Patience::lasting(DROPPING));
    }
}
