//! Iterations: lists of groups and processes.
//!
//! All requests notice the death of the daemon while they wait, except `cpg_iteration_next`: it waits for a semaphore that a dead
//! daemon does not post (`qb_ipcc_recv` with -1, [A19](crate::facts#a19)). So each iteration runs as a whole on a thread that can
//! be left behind, with a connection that nobody else uses meanwhile. Only one iteration runs at a time in the process, so a
//! daemon that dies leaves at most one thread waiting.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cpg_sys as sys;
use cpg_sys::{InTurn, Tables, Turn};

use crate::error::{Error, Result};
use crate::ffi::call::Requests;
use crate::ffi::connection::connect;
use crate::ffi::open::{OpenHandle, tables};
use crate::ffi::requests::{Counted, RequestHalf};
use crate::ffi::trampoline::MEMBERS_MAX;
use crate::group_name::GroupName;
use crate::member::{Member, NodeId};
use crate::os::fd;
use crate::os::patience::Patience;

/// The turn of the iteration that runs.
static TURN: Turn = Turn::new();

/// The time for which flow control may delay an iteration that has begun.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pause before asking again for an entry that flow control refused.
const PAUSE: Duration = Duration::from_millis(1);

/// The time in which a dying daemon closes its sockets.
const DYING: Duration = Duration::from_millis(100);

/// The three kinds of `cpg_iteration_type_t`. Only the second takes a group ([B13](crate::facts#b13)).
#[derive(Debug)]
pub(crate) enum Kind {
    Names,
    OneGroup(GroupName),
    All,
}

/// A group and one of its members. In an entry of [`Kind::Names`] only the group is meaningful.
pub(crate) type Entry = (GroupName, Member);

/// An open `cpg_iteration_handle_t`.
#[derive(Debug)]
struct Iteration<'c> {
    half: &'c RequestHalf,
    handle: sys::cpg_iteration_handle_t,
}

impl<'c> Iteration<'c> {
    fn open(half: &'c RequestHalf, kind: &Kind) -> Result<Self> {
        half.check_owner()?;
        half.unfinished.borrow_mut().retain(|&handle| iteration_finalize(half, handle).is_err());
        let mut tables = tables();
        let open = tables.iterations();
        if open >= Tables::CAPACITY {
            return Err(Error::TooManyHandles { open });
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
        // If the daemon itself refused the iteration, libcpg keeps the entry.
        let kept = !matches!(code, sys::CS_ERR_TRY_AGAIN | sys::CS_ERR_LIBRARY | sys::CS_ERR_NAME_TOO_LONG);
        // SAFETY: so many were made.
        unsafe { tables.count(0, isize::from(kept)) };
        half.open.iterations.fetch_add(usize::from(kept), Ordering::Relaxed);
        drop(tables);
        half.check("cpg_iteration_initialize", code)?;
        Ok(Self { half, handle })
    }

    /// Returns the next entry. `None` after the last one.
    fn next(&self) -> Result<Option<Entry>> {
        // This request notices a daemon that was paused and then killed, so the request below asks a daemon that has just
        // answered (A19).
        self.half.local_get()?;
        let mut entry = sys::cpg_iteration_description_t::default();
        // SAFETY: libcpg writes one description. One thread only (A4). No lock is held: it may never come back (A19).
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

/// Reads up to `most` entries. The thread may wait for ever.
fn read(half: &RequestHalf, kind: &Kind, most: usize) -> Result<Vec<Entry>> {
    let iteration = Iteration::open(half, kind)?;
    let late = Instant::now() + PATIENCE;
    let mut entries = Vec::new();
    while entries.len() < most {
        match iteration.next() {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => break,
            Err(error) if error.is_retryable() && Instant::now() < late => std::thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(entries)
}

/// Waits until no other iteration runs in the process.
fn turn(patience: &Patience<'_>) -> Result<InTurn<'static>> {
    let waiting_for = "another thread of this process to list groups or members";
    TURN.take(patience.attempt().deadline()).ok_or(Error::TimedOut { waiting_for })
}

/// A handle beside which another connection to the same daemon can be made, for one iteration.
#[derive(Debug)]
pub(crate) struct Beside(Arc<OpenHandle>);

impl Beside {
    /// Connects, and reads up to `most` entries.
    ///
    /// Waits for the daemon, so no lock that others need may be held.
    fn list(&self, kind: Kind, most: usize, patience: &Patience<'_>) -> Result<Vec<Entry>> {
        let read = || {
            // Waits before connecting, so that threads that wait for their turn hold no connection.
            let turn = turn(patience)?;
            let (requests, _events) = connect(self.0.options, patience)?;
            requests.iterate(kind, most, patience, &turn)
        };
        self.judge(read())
    }

    /// Returns the result of an iteration on another connection, as an error of this connection if this connection is lost.
    fn judge<T>(&self, listed: Result<T>) -> Result<T> {
        self.0.check_connected("cpg_iteration_next")?;
        match listed {
            Err(error) if error.is_connection_lost() => {
                // A dying daemon closes its sockets one after the other.
                if fd::wait_hung_up(self.0.fd, Instant::now() + DYING)? {
                    self.0.check_connected("cpg_iteration_next")?;
                }
                Err(Error::NoList(Box::new(error)))
            }
            listed => listed,
        }
    }

    /// Reads all entries.
    pub(crate) fn all(&self, kind: Kind, patience: &Patience<'_>) -> Result<Vec<Entry>> {
        self.list(kind, usize::MAX, patience)
    }

    /// Returns the members of a group of any size. (`cpg_membership_get` would end the daemon in a group with more than 384
    /// members, [A9](crate::facts#a9).)
    pub(crate) fn members(&self, group: &GroupName, patience: &Patience<'_>) -> Result<Vec<Member>> {
        self.first_members(group, usize::MAX, patience)
    }

    fn first_members(&self, group: &GroupName, most: usize, patience: &Patience<'_>) -> Result<Vec<Member>> {
        let entries = self.list(Kind::OneGroup(group.clone()), most, patience)?;
        Ok(entries.into_iter().map(|(_, member)| member).collect())
    }

    /// Counts the members of a full group before its next event is taken.
    pub(crate) fn count(&self, group: &GroupName, patience: &Patience<'_>) -> Result<Counted> {
        self.first_members(group, MEMBERS_MAX + 1, patience).map(|members| Counted(members.len()))
    }
}

impl Requests {
    /// Returns this connection's handle, beside which an iteration can connect.
    pub(crate) fn beside(&self) -> Result<Beside> {
        self.open().check_connected("cpg_iteration_initialize")?;
        Ok(Beside(Arc::clone(self.open())))
    }

    /// Reads up to `most` entries on this connection.
    fn iterate(
        &self,
        kind: Kind,
        most: usize,
        patience: &Patience<'_>,
        _in_turn: &InTurn<'_>,
    ) -> Result<Vec<Entry>> {
        self.ask("cpg_iteration_next", patience, move |half| read(half, &kind, most))
    }

    /// Counts up to 128 members of a group on this connection.
    pub(crate) fn count(&self, group: &GroupName, patience: &Patience<'_>) -> Result<Counted> {
        let turn = turn(patience)?;
        let entries = self.iterate(Kind::OneGroup(group.clone()), MEMBERS_MAX, patience, &turn)?;
        Ok(Counted(entries.len()))
    }
}
