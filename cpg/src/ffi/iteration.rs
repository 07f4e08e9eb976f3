//! Iterations: what groups and processes there are.

use std::sync::atomic::Ordering;

use cpg_sys as sys;
use cpg_sys::Tables;

use crate::error::{Error, Result};
use crate::ffi::open::tables;
use crate::ffi::requests::{Counted, RequestHalf};
use crate::ffi::trampoline::MEMBERS_MAX;
use crate::group_name::GroupName;
use crate::member::{Member, NodeId};

/// The three kinds of `cpg_iteration_type_t`; only the second takes a group (B13).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind<'a> {
    Names,
    OneGroup(&'a GroupName),
    All,
}

/// An open `cpg_iteration_handle_t`.
#[derive(Debug)]
pub(crate) struct Iteration<'c> {
    half: &'c RequestHalf,
    handle: sys::cpg_iteration_handle_t,
}

impl<'c> Iteration<'c> {
    pub(crate) fn open(half: &'c RequestHalf, kind: Kind<'_>) -> Result<Self> {
        half.check_owner()?;
        half.unfinished.borrow_mut().retain(|&handle| iteration_finalize(half, handle).is_err());
        let mut tables = tables();
        if tables.iterations() >= Tables::CAPACITY {
            return Err(Error::TooManyIterations { open: tables.iterations() });
        }
        let (kind, group) = match kind {
            Kind::Names => (sys::CPG_ITERATION_NAME_ONLY, std::ptr::null()),
            Kind::OneGroup(group) => (sys::CPG_ITERATION_ONE_GROUP, std::ptr::from_ref(group).cast()),
            Kind::All => (sys::CPG_ITERATION_ALL, std::ptr::null()),
        };
        let mut handle = 0;
        // SAFETY: the name has the layout of cpg_name or is null where it must be (B13); the lock is held (A12) and
        // the table does not move (A13). One thread only (A4).
        let code = unsafe { sys::cpg_iteration_initialize(half.open.handle, kind, group, &raw mut handle) };
        // libcpg keeps the entry of an iteration that the daemon itself refused.
        let kept = !matches!(code, sys::CS_ERR_TRY_AGAIN | sys::CS_ERR_LIBRARY | sys::CS_ERR_NAME_TOO_LONG);
        // SAFETY: so many were made.
        unsafe { tables.count(0, isize::from(kept)) };
        half.open.iterations.fetch_add(usize::from(kept), Ordering::Relaxed);
        drop(tables);
        half.check("cpg_iteration_initialize", code)?;
        Ok(Self { half, handle })
    }

    /// The next entry, or `None` after the last one.
    pub(crate) fn next(&self) -> Result<Option<(GroupName, Member)>> {
        // cpg_iteration_next alone of all requests waits in a semaphore that the death of the daemon does not post
        // (`qb_ipcc_recv` with -1): it is asked of a daemon that has answered a moment ago.
        self.half.local_get()?;
        let mut entry = sys::cpg_iteration_description_t::default();
        // SAFETY: libcpg writes one description. One thread only (A4).
        let code = unsafe { sys::cpg_iteration_next(self.handle, &raw mut entry) };
        if code == sys::CS_ERR_NO_SECTIONS {
            return Ok(None);
        }
        self.half.check("cpg_iteration_next", code)?;
        let group = std::ptr::from_ref(&entry.group).cast::<GroupName>();
        // SAFETY: GroupName has the layout of cpg_name (asserted in `group_name.rs`), and any bytes are one.
        let group = unsafe { &*group }.clone();
        Ok(Some((group, Member::new(NodeId::new(entry.nodeid), entry.pid))))
    }
}

impl Drop for Iteration<'_> {
    fn drop(&mut self) {
        if self.half.check_owner().is_ok() && iteration_finalize(self.half, self.handle).is_err() {
            self.half.unfinished.borrow_mut().push(self.handle);
        }
    }
}

fn iteration_finalize(half: &RequestHalf, handle: sys::cpg_iteration_handle_t) -> Result<()> {
    let mut tables = tables();
    // SAFETY: the iteration is open, as libcpg keeps it until this succeeds, and the lock is held (A12).
    let code = unsafe { sys::cpg_iteration_finalize(handle) };
    half.check("cpg_iteration_finalize", code)?;
    // SAFETY: one has ended.
    unsafe { tables.count(0, -1) };
    half.open.iterations.fetch_sub(1, Ordering::Relaxed);
    Ok(())
}

impl RequestHalf {
    /// Returns the members of a group, up to `most` of them: `cpg_membership_get` of a group with more than 384 ends the
    /// daemon (A9).
    pub(crate) fn first_members(&self, group: &GroupName, most: usize) -> Result<Vec<Member>> {
        let iteration = Iteration::open(self, Kind::OneGroup(group))?;
        let mut members = Vec::new();
        while members.len() < most {
            let Some((_, member)) = iteration.next()? else { break };
            members.push(member);
        }
        Ok(members)
    }

    /// Counts the members of a full group, before its next event is taken.
    pub(crate) fn count(&self, group: &GroupName) -> Result<Counted> {
        Ok(Counted(self.first_members(group, MEMBERS_MAX + 1)?.len()))
    }
}
