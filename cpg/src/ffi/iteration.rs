//! Iterations: what groups and processes there are.
//!
//! `cpg_iteration_next` alone of all requests waits in a semaphore that the death of the daemon does not post (`qb_ipcc_recv`
//! with -1, [A19](crate::facts#a19)). So an iteration runs as a whole on a thread that can be left behind, with a connection
//! that nobody else uses meanwhile, and one at a time in the process: a daemon that dies keeps one of them at most.

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

/// An iteration is under way.
static TURN: Turn = Turn::new();

/// How long flow control may hold up an iteration that has begun.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pause before an entry that flow control refused is asked for again.
const PAUSE: Duration = Duration::from_millis(1);

/// How long a daemon that dies may take to close its sockets.
const DYING: Duration = Duration::from_millis(100);

/// The three kinds of `cpg_iteration_type_t`; only the second takes a group ([B13](crate::facts#b13)).
#[derive(Debug)]
pub(crate) enum Kind {
    Names,
    OneGroup(GroupName),
    All,
}

/// A group, and a member of it; of [`Kind::Names`] the group alone means something.
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
    fn next(&self) -> Result<Option<Entry>> {
        // It is asked of a daemon that has answered a moment ago: one that is paused first and then killed is noticed (A19).
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

/// Reads up to `most` entries on a thread that can wait for ever.
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

/// Waits until no other iteration of the process is under way.
fn turn(patience: &Patience<'_>) -> Result<InTurn<'static>> {
    let waiting_for = "another thread of this process to list groups or members";
    TURN.take(patience.attempt().deadline()).ok_or(Error::TimedOut { waiting_for })
}

/// A connection to be made beside another one, to the same daemon, for one iteration.
#[derive(Debug)]
pub(crate) struct Beside(Arc<OpenHandle>);

impl Beside {
    /// Connects, and reads up to `most` entries.
    ///
    /// It waits for the daemon, and must not be called with a lock that others need.
    fn list(&self, kind: Kind, most: usize, patience: &Patience<'_>) -> Result<Vec<Entry>> {
        let read = || {
            // Before the connection, so that those who wait have none.
            let turn = turn(patience)?;
            let (requests, _events) = connect(self.0.options, patience)?;
            requests.iterate(kind, most, patience, &turn)
        };
        self.judge(read())
    }

    /// Says what the result of an iteration beside a connection means for that one.
    fn judge<T>(&self, listed: Result<T>) -> Result<T> {
        self.0.check_connected("cpg_iteration_next")?;
        match listed {
            Err(error) if error.is_connection_lost() => {
                // A daemon that dies closes its sockets one by one.
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

    /// Returns the members of a group, however many there are: `cpg_membership_get` of a group with more than 384 ends the
    /// daemon ([A9](crate::facts#a9)).
    pub(crate) fn members(&self, group: &GroupName, patience: &Patience<'_>) -> Result<Vec<Member>> {
        self.first_members(group, usize::MAX, patience)
    }

    fn first_members(&self, group: &GroupName, most: usize, patience: &Patience<'_>) -> Result<Vec<Member>> {
        let entries = self.list(Kind::OneGroup(group.clone()), most, patience)?;
        Ok(entries.into_iter().map(|(_, member)| member).collect())
    }

    /// Counts the members of a full group, before its next event is taken.
    pub(crate) fn count(&self, group: &GroupName, patience: &Patience<'_>) -> Result<Counted> {
        self.first_members(group, MEMBERS_MAX + 1, patience).map(|members| Counted(members.len()))
    }
}

impl Requests {
    /// Returns what an iteration beside this connection needs.
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
