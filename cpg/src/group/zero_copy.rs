//! Buffers that the daemon reads from in place.

use std::ops::{Deref, DerefMut};

use crate::error::{Error, Result};
use crate::ffi::raw::Buffer;
use crate::group::link::Link;
use crate::guarantee::Guarantee;
use crate::packet;

/// A buffer from [`Link::zero_copy`](crate::Link::zero_copy): bytes to fill in, all zero at first, and to send as often as wanted.
///
/// Dropping it gives the memory back.
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

impl<'l> ZeroCopyBuffer<'l> {
    pub(crate) fn alloc(link: &'l Link, len: usize) -> Result<Self> {
        let limit = link.max_atomic_message_size();
        if len > limit {
            return Err(Error::MessageTooLong { len, limit });
        }
        let size = link.flow().overhead() + len;
        let buffer = link.requests().wait("cpg_zcb_alloc", |connection| Buffer::alloc(connection, size))?;
        let mut buffer = Self { link, buffer, len };
        buffer.write_head();
        Ok(buffer)
    }

    /// Where the message begins: behind the head of a packet, if there are packets.
    fn start(&self) -> usize {
        self.link.flow().overhead()
    }

    fn write_head(&mut self) {
        if self.link.flow().coalesce {
            let head = packet::padded_head(self.len);
            self.buffer.bytes_mut()[..head.len()].copy_from_slice(&head);
        }
    }

    /// Makes the message shorter; longer has no effect.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.write_head();
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
        let len = self.start() + self.len;
        let mcast = |connection: &_| self.buffer.mcast(connection, guarantee, len);
        self.link.send_past("cpg_zcb_mcast_joined", &self.buffer.bytes()[..len], mcast)
    }
}

impl Deref for ZeroCopyBuffer<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer.bytes()[self.start()..][..self.len]
    }
}

impl DerefMut for ZeroCopyBuffer<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        let start = self.start();
        &mut self.buffer.bytes_mut()[start..][..self.len]
    }
}

impl Drop for ZeroCopyBuffer<'_> {
    fn drop(&mut self) {
        // Without the daemon, or after leaving, nobody takes it back.
        let _ = self.link.requests().wait("cpg_zcb_free", |connection| self.buffer.free(connection));
    }
}
