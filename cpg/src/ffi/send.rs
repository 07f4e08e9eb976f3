//! Sending.

use std::io::IoSlice;

use cpg_sys as sys;

use crate::error::{Error, Result};
use crate::ffi::open::{OpenHandle, check};
use crate::ffi::requests::RequestHalf;
use crate::guarantee::Guarantee;
use crate::os::{fd, thread};

/// Slices that fit behind the header in the `struct iovec iov[64]` of `cpg_mcast_joined` ([A3](crate::facts#a3)).
pub(super) const MAX_SLICES: usize = 63;

/// libqb and the daemon count the bytes of a message in an `int`.
pub(super) const MAX_MESSAGE: usize = i32::MAX as usize;

/// More than the kernel counts for one byte in a socket.
const BYTE: libc::c_int = 4096;

impl OpenHandle {
    /// Returns how many more messages the daemon can surely be told of now.
    ///
    /// libqb sends a byte for each, and spins while the socket takes none (`lib/ipcc.c`, `qb_ipcc_sendv`), which is after some
    /// 280 messages to a paused daemon ([B16](crate::facts#b16)).
    fn socket_credit(&self) -> libc::c_int {
        match fd::unread_by_peer(self.fd).map(|unread| self.socket_buffer - unread) {
            // The socket takes a byte while there is anything free at all.
            Ok(free) if free <= 0 => 0,
            Ok(free) => (free / BYTE).max(1),
            Err(_) => 1,
        }
    }
}

impl RequestHalf {
    /// Takes the room of one message in the socket, or refuses the message ([B16](crate::facts#b16)).
    #[inline]
    pub(super) fn take_credit(&self, call: &'static str) -> Result<()> {
        match self.credit.get() {
            0 => self.look_for_credit(call),
            credit => {
                self.credit.set(credit - 1);
                Ok(())
            }
        }
    }

    #[cold]
    fn look_for_credit(&self, call: &'static str) -> Result<()> {
        match self.open.socket_credit() {
            // The socket of a dead daemon empties at once, and the next send reports it.
            0 => Err(Error::cs(call, sys::CS_ERR_TRY_AGAIN)),
            credit => {
                self.credit.set(credit - 1);
                Ok(())
            }
        }
    }

    /// Sends a message of the atomic size at most, in so many slices at most ([A3](crate::facts#a3)). It waits for nobody: the
    /// daemon does not answer (`lib/cpg.c`, `cpg_mcast_joined`).
    #[inline]
    pub(super) fn mcast(&self, guarantee: Guarantee, slices: &[IoSlice<'_>]) -> Result<()> {
        self.check_owner()?;
        self.take_credit("cpg_mcast_joined")?;
        self.check("cpg_mcast_joined", mcast(self.open.handle, guarantee, slices))
    }

    /// Refuses what is too long for libcpg.
    pub(super) fn check_length(len: usize) -> Result<()> {
        if len > MAX_MESSAGE { Err(Error::MessageTooLong { len, limit: MAX_MESSAGE }) } else { Ok(()) }
    }

    /// Sends a message in parts, each of which the daemon answers.
    pub(crate) fn mcast_long(&self, guarantee: Guarantee, bytes: &[u8]) -> Result<()> {
        self.check_owner()?;
        Self::check_length(bytes.len())?;
        self.take_credit("cpg_mcast_joined")?;
        let (handle, slices) = (self.open.handle, [IoSlice::new(bytes)]);
        let code = thread::quietly(self.open.fd, || mcast(handle, guarantee, &slices));
        // send_fragments takes the result of a part from a reply that it did not get when the daemon dies half-way: what it
        // says of a long message is not to be believed then.
        if fd::hung_up(self.open.fd) {
            return check("cpg_mcast_joined", sys::CS_ERR_LIBRARY);
        }
        self.check("cpg_mcast_joined", code)
    }
}

/// Sends at most [`MAX_SLICES`], on a thread that alone makes requests on the handle meanwhile.
#[inline]
fn mcast(handle: sys::cpg_handle_t, guarantee: Guarantee, slices: &[IoSlice<'_>]) -> sys::cs_error_t {
    if slices.len() > MAX_SLICES {
        return sys::CS_ERR_TOO_BIG;
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most MAX_SLICES")]
    let count = slices.len() as u32;
    // SAFETY: IoSlice has the layout of iovec (its documentation), there are at most 63 (A3), all live, and libcpg only
    // reads them. One thread at a time (A4): a caller that has another one run this waits for it.
    unsafe { sys::cpg_mcast_joined(handle, code_of(guarantee), slices.as_ptr().cast(), count) }
}

pub(super) const fn code_of(guarantee: Guarantee) -> sys::cpg_guarantee_t {
    match guarantee {
        Guarantee::Unordered => sys::CPG_TYPE_UNORDERED,
        Guarantee::Fifo => sys::CPG_TYPE_FIFO,
        Guarantee::Agreed => sys::CPG_TYPE_AGREED,
        Guarantee::Safe => sys::CPG_TYPE_SAFE,
    }
}
