//! Sending.

use std::cell::Cell;
use std::io::IoSlice;

use cpg_sys as sys;

use crate::error::{Error, Result};
use crate::ffi::open::{OpenHandle, check};
use crate::ffi::requests::RequestHalf;
use crate::guarantee::Guarantee;
use crate::os::{fd, thread};

/// The call that sends.
pub(super) const MCAST: &str = "cpg_mcast_joined";

/// Slices that fit behind the header in the `struct iovec iov[64]` of `cpg_mcast_joined` ([A3](crate::facts#a3)).
const MAX_SLICES: usize = 63;

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

/// The proof that one message can be sent now: the socket has room for its byte ([B16](crate::facts#b16)), and nobody else makes
/// a request meanwhile ([A4](crate::facts#a4)).
#[derive(Debug)]
pub(super) struct Room(());

/// Messages that can be sent on this thread before anything is looked at again. There are none while a call has the half.
#[derive(Debug, Default)]
pub(super) struct Credit(Cell<libc::c_int>);

impl Credit {
    /// Takes the room of one message, if it is known that there is some.
    #[inline]
    pub(super) fn take(&self) -> Option<Room> {
        let left = self.0.get().checked_sub(1).filter(|&left| left >= 0)?;
        self.0.set(left);
        Some(Room(()))
    }

    /// Looks for room, and takes that of one message. The half is here.
    pub(super) fn renew(&self, half: &RequestHalf, call: &'static str) -> Result<Room> {
        let (room, left) = half.look_for_room(call)?;
        self.0.set(left);
        Ok(room)
    }

    /// The half goes to a call.
    pub(super) fn end(&self) {
        self.0.set(0);
    }
}

/// Slices of which there are few enough for libcpg ([A3](crate::facts#a3)).
#[derive(Debug, Clone, Copy)]
pub(super) struct Few<'s>(&'s [IoSlice<'s>]);

impl<'s> Few<'s> {
    #[inline]
    pub(super) fn new(slices: &'s [IoSlice<'s>]) -> Option<Self> {
        (slices.len() <= MAX_SLICES).then_some(Self(slices))
    }

    pub(super) fn one(slice: &'s IoSlice<'s>) -> Self {
        Self(std::slice::from_ref(slice))
    }
}

impl OpenHandle {
    /// Sends a message of the atomic size at most. It waits for nobody: the daemon does not answer (`lib/cpg.c`,
    /// `cpg_mcast_joined`).
    #[inline]
    pub(super) fn mcast(&self, room: Room, guarantee: Guarantee, slices: Few<'_>) -> Result<()> {
        self.check_request(MCAST, mcast(self.handle, room, guarantee, slices))
    }
}

impl RequestHalf {
    /// Looks for room in the socket, and takes that of one message; the second value says for how many more there is some.
    #[cold]
    fn look_for_room(&self, call: &'static str) -> Result<(Room, libc::c_int)> {
        match self.open.socket_credit() {
            // The socket of a dead daemon empties at once, and the next send reports it.
            0 => Err(Error::cs(call, sys::CS_ERR_TRY_AGAIN)),
            credit => Ok((Room(()), credit - 1)),
        }
    }

    /// Takes the room of one message in the socket, or refuses the message ([B16](crate::facts#b16)).
    pub(super) fn take_room(&self, call: &'static str) -> Result<Room> {
        self.look_for_room(call).map(|(room, _)| room)
    }

    /// Refuses what is too long for libcpg.
    pub(super) fn check_length(len: usize) -> Result<()> {
        if len > MAX_MESSAGE { Err(Error::MessageTooLong { len, limit: MAX_MESSAGE }) } else { Ok(()) }
    }

    /// Sends a message in parts, each of which the daemon answers.
    pub(crate) fn mcast_long(&self, guarantee: Guarantee, bytes: &[u8]) -> Result<()> {
        self.check_owner()?;
        Self::check_length(bytes.len())?;
        let room = self.take_room(MCAST)?;
        let (handle, slice) = (self.open.handle, IoSlice::new(bytes));
        let code = thread::quietly(self.open.fd, || mcast(handle, room, guarantee, Few::one(&slice)));
        // send_fragments takes the result of a part from a reply that it did not get when the daemon dies half-way: what it
        // says of a long message is not to be believed then.
        if fd::hung_up(self.open.fd) {
            return check(MCAST, sys::CS_ERR_LIBRARY);
        }
        self.check(MCAST, code)
    }
}

#[inline]
fn mcast(handle: sys::cpg_handle_t, _: Room, guarantee: Guarantee, Few(slices): Few<'_>) -> sys::cs_error_t {
    #[expect(clippy::cast_possible_truncation, reason = "at most MAX_SLICES")]
    let count = slices.len() as u32;
    // SAFETY: IoSlice has the layout of iovec (its documentation), there are at most 63 (A3), all live, and libcpg only
    // reads them. One thread at a time (A4): while there is room for a message nobody else makes a request, and a caller that has
    // another thread run this waits for it.
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
