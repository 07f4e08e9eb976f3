//! Buffers that the daemon reads from in place.

use std::ops::{Deref, DerefMut};

use crate::error::Result;
use crate::raw::Buffer;
use crate::requests::Requests;
use crate::types::Guarantee;

/// A buffer from [`Link::zero_copy`](crate::Link::zero_copy): bytes to fill in, all zero at first, and to send as often as wanted.
///
/// Dropping it gives the memory back.
#[doc(alias = "cpg_zcb_free")]
#[derive(Debug)]
pub struct ZeroCopyBuffer<'l> {
    requests: &'l Requests,
    buffer: Buffer,
    len: usize,
}

impl<'l> ZeroCopyBuffer<'l> {
    pub(crate) fn alloc(requests: &'l Requests, len: usize) -> Result<Self> {
        let buffer = requests.wait("cpg_zcb_alloc", |connection| Buffer::alloc(connection, len))?;
        Ok(Self { requests, buffer, len })
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
        self.requests.send_waiting("cpg_zcb_mcast_joined", |connection| {
            self.buffer.mcast(connection, guarantee, self.len)
        })
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
        let _ = self.requests.wait("cpg_zcb_free", |connection| self.buffer.free(connection));
    }
}
