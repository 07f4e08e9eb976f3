//! Sending messages.

use std::cell::Cell;
use std::io::IoSlice;

use cpg_sys as sys;

use crate::error::{Error, Result};
use crate::ffi::open::{OpenHandle, check};
use crate::ffi::requests::RequestHalf;
use crate::guarantee::Guarantee;
use crate::os::{fd, thread};

/// The name of the C function that sends.
pub(super) const MCAST: &str = "cpg_mcast_joined";

/// The number of slices that fit behind the header in the `struct iovec iov[64]` of `cpg_mcast_joined` ([A3](crate::facts#a3)).
const MAX_SLICES: usize = 63;

/// The longest message: libqb and the daemon count its bytes in an `int`.
pub(super) const MAX_MESSAGE: usize = i32::MAX as usize;

/// A number above the memory that the kernel counts for one byte in a socket.
const BYTE: libc::c_int = 4096;

impl OpenHandle {
    /// Returns the number of further messages about which libqb can surely tell the daemon now.
    ///
    /// libqb sends one byte per message, and spins while the socket does not take the byte (`lib/ipcc.c`, `qb_ipcc_sendv`). With
    /// a paused daemon this happens after some 280 messages ([B16](crate::facts#b16)).
    fn socket_credit(&self) -> libc::c_int {
        match fd::unread_by_peer(self.fd).map(|unread| self.socket_buffer - unread) {
            // The socket takes a byte while any of its memory is free.
            Ok(free) if free <= 0 => 0,
            Ok(free) => (free / BYTE).max(1),
            Err(_) => 1,
        }
    }
}

/// The proof that one message can be sent now: the socket has room for its byte ([B16](crate::facts#b16)), and no other thread
/// makes a request meanwhile ([A4](crate::facts#a4)).
#[derive(Debug)]
pub(super) struct Room(());

/// The number of messages that this thread can send before it looks at the socket again. It is 0 while a call has the half.
#[derive(Debug, Default)]
pub(super) struct Credit(Cell<libc::c_int>);

impl Credit {
    /// Takes the room for one message, if some room is known.
    #[inline]
    pub(super) fn take(&self) -> Option<Room> {
        let left = self.0.get().checked_sub(1).filter(|&left| left >= 0)?;
        self.0.set(left);
        Some(Room(()))
    }

    /// Looks for room, and takes the room for one message. The half must be here.
    pub(super) fn renew(&self, half: &RequestHalf, call: &'static str) -> Result<Room> {
        let (room, left) = half.look_for_room(call)?;
        self.0.set(left);
        Ok(room)
    }

    /// Ends the credit, because the half goes to a call.
    pub(super) fn end(&self) {
        self.0.set(0);
    }
}

/// At most as many slices as libcpg takes ([A3](crate::facts#a3)).
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
    /// Sends a message up to the atomic size. Does not wait, because the daemon does not answer (`lib/cpg.c`,
    /// `cpg_mcast_joined`).
    #[inline]
    pub(super) fn mcast(&self, room: Room, guarantee: Guarantee, slices: Few<'_>) -> Result<()> {
        self.check_request(MCAST, mcast(self.handle, room, guarantee, slices))
    }
}

impl RequestHalf {
    /// Looks for room in the socket, and takes the room for one message. The second value is the number of further messages for
    /// which there is room.
    #[cold]
    fn look_for_room(&self, call: &'static str) -> Result<(Room, libc::c_int)> {
        match self.open.socket_credit() {
            // The socket of a dead daemon empties at once, and the next send reports it.
            0 => Err(Error::cs(call, sys::CS_ERR_TRY_AGAIN)),
            credit => Ok((Room(()), credit - 1)),
        }
    }

    /// Takes the room for one message in the socket, or refuses the message ([B16](crate::facts#b16)).
    pub(super) fn take_room(&self, call: &'static str) -> Result<Room> {
        self.look_for_room(call).map(|(room, _)| room)
    }

    /// Refuses a message that is too long for libcpg.
    pub(super) fn check_length(len: usize) -> Result<()> {
        if len > MAX_MESSAGE { Err(Error::MessageTooLong { len, limit: MAX_MESSAGE }) } else { Ok(()) }
    }

    /// Sends a message in parts. The daemon answers each part.
    pub(crate) fn mcast_long(&self, guarantee: Guarantee, bytes: &[u8]) -> Result<()> {
        self.check_owner()?;
        Self::check_length(bytes.len())?;
        let room = self.take_room(MCAST)?;
        let (handle, slice) = (self.open.handle, IoSlice::new(bytes));
        let code = thread::quietly(self.open.fd, || mcast(handle, room, guarantee, Few::one(&slice)));
        // If the daemon dies half-way, send_fragments takes the result of a part from a reply that it never got. So the result of
        // a long message is not used then.
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
