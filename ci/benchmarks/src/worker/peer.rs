//! `rust-corosync`: its callbacks are functions, which find their state in a thread-local.

use std::cell::{Cell, RefCell};
use std::os::fd::BorrowedFd;

use rust_corosync::cpg::{
    Guarantee, Handle, Model1Data, Model1Flags, ModelData, dispatch, fd_get, initialize, join, mcast_joined,
};
use rust_corosync::{CsError, DispatchFlags, NodeId};

use super::single::{self, Member};
use super::tally::Tally;
use crate::Result;
use crate::task::{Outcome, Task};

thread_local! {
    static JOINED: Cell<bool> = const { Cell::new(false) };
    /// The tally of the current dispatch.
    static TALLY: RefCell<Tally> = RefCell::default();
}

struct Peer {
    handle: Handle,
    fd: i32,
}

pub fn run(task: &Task) -> Result<Outcome> {
    let model = Model1Data {
        flags: Model1Flags::None,
        deliver_fn: Some(deliver),
        confchg_fn: Some(|_, _, _, _, _| JOINED.set(true)),
        totem_confchg_fn: Some(|_, _, _| {}),
    };
    let handle = initialize(&ModelData::ModelV1(model), 0)?;
    join(&handle, &task.group)?;
    let fd = fd_get(&handle)?;
    while !JOINED.get() {
        dispatch(&handle, DispatchFlags::One)?;
    }
    single::run(task, &mut Peer { handle, fd })
}

fn deliver(_: &Handle, _: String, _: NodeId, _: u32, message: &[u8], _: usize) {
    TALLY.with_borrow_mut(|tally| tally.hear(message));
}

impl Member for Peer {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as the C compiler does it")]
    fn send(&mut self, message: &[u8], _: &mut Tally) -> Result<bool> {
        match mcast_joined(&self.handle, Guarantee::TypeAgreed, message) {
            Ok(()) => Ok(true),
            Err(CsError::CsErrTryAgain) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as the C compiler does it")]
    fn dispatch(&mut self, tally: &mut Tally) -> Result<()> {
        // A tally is small, so the swaps cost little compared with a dispatch.
        let swap = |tally: &mut Tally| TALLY.with_borrow_mut(|slot| std::mem::swap(slot, tally));
        swap(tally);
        let result = dispatch(&self.handle, DispatchFlags::All);
        swap(tally);
        Ok(result?)
    }

    #[expect(unsafe_code, reason = "the library gives a number")]
    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the library closes the descriptor when the handle is dropped, and the handle is borrowed here.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}
