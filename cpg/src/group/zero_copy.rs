//! Buffers that the daemon reads from in place.

use std::ops::{Deref, DerefMut};

use crate::error::Result;
use crate::ffi::zero_copy::Buffer;
use crate::group::link::Link;
use crate::guarantee::Guarantee;

/// A buffer from [`Link::zero_copy`](crate::Link::zero_copy): bytes to fill in, all zero at first, and to send as often as wanted.
///
/// Dropping it gives the memory back, which waits for the daemon up to corosync 3.1 (B16).
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
    buffer: Buffer,
    len: usize,
}

impl Link {
    /// Makes memory shared with the daemon for a message of `len` bytes, which is then sent without a copy. It waits for the
    /// daemon up to corosync 3.1 (B16).
    ///
    /// Up to corosync 3.1 it is worth its cost for large messages only, as each buffer is a file that both sides map; after
    /// that it is ordinary memory and a plain send (B12).
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
        Ok(Self { link, buffer: Buffer::alloc(link.daemon.half(), len)?, len })
    }

    /// Makes the message shorter; longer has no effect.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Sends the bytes as one message, and waits for the daemon to take it (B16).
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
        self.buffer.mcast(self.link.sending()?, guarantee, self.len)
    }
}

impl Deref for ZeroCopyBuffer<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer.bytes()[..self.len]
    }
}

impl DerefMut for ZeroCopyBuffer<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.buffer.bytes_mut()[..self.len]
    }
}

impl Drop for ZeroCopyBuffer<'_> {
    fn drop(&mut self) {
        // Without the daemon, or after leaving, nobody takes it back.
        let _: Result<()> = self.buffer.free(self.link.daemon.half());
    }
}
