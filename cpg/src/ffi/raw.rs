//! The C functions of libcpg, each as a safe function that checks what the C one takes on trust.
//!
//! This file and `trampoline.rs` are the only ones with `unsafe` in them. A1, B1, … are the facts that the
//! crate documentation lists.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cpg_sys as sys;

use crate::error::{Error, Result};
use crate::ffi::room;
use crate::ffi::trampoline;
use crate::flow_control::FlowControl;
use crate::group_name::GroupName;
use crate::guarantee::Guarantee;
use crate::handle::options::{Connect, TotemEvents};
use crate::member::{Member, NodeId};

/// Entries that libcpg's tables of handles and of iterations hold before they move (A13).
///
/// libqb starts with room for 48, and moves as the 48th is taken, not after it (`lib/array.c`, `qb_array_grow`).
const TABLE: usize = 47;

/// Slices that fit behind the header in the `struct iovec iov[64]` of `cpg_mcast_joined` (A3).
const MAX_SLICES: usize = 63;

/// libqb and the daemon count the bytes of a message in an `int`.
const MAX_MESSAGE: usize = i32::MAX as usize;

/// More than the kernel counts for one byte in a socket.
const BYTE: libc::c_int = 4096;

/// What `cpg_membership_get` can write: the entries of the daemon's reply (`ipc_cpg.h`,
/// `PROCESSOR_COUNT_MAX`), whatever the caller says (A9).
const MAX_REPLY: usize = 384;

/// Zero-copy buffers of a handle: each is a mapping, of which a process has 65530 (`vm.max_map_count`), and libcpg and
/// the daemon alike end with an assertion where they get no more.
const MAX_BUFFERS: usize = 1024;

/// Entries of libcpg's tables that this process has in use. The lock keeps those from each other who make or
/// end entries (A12); sends, requests and dispatch do not take it.
static TABLES: Mutex<Tables> = Mutex::new(Tables { handles: 0, iterations: 0, births: 0, page: None });

struct Tables {
    handles: usize,
    iterations: usize,
    /// Processes that have had this memory, as far as they connected: it is copied by a fork.
    births: u32,
    /// What a fork does not copy.
    page: Option<&'static AtomicU32>,
}

impl Tables {
    fn process(&mut self) -> Process {
        let page = self.page.or_else(|| wiped_page().ok());
        self.page = page;
        if let Some(page) = page.filter(|page| page.load(Ordering::Relaxed) == 0) {
            self.births += 1;
            page.store(self.births, Ordering::Relaxed);
        }
        Process { page, birth: self.births, pid: std::process::id() }
    }
}

/// The process that made a handle; a child of it must keep off (A7).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    /// Holds `birth` in that process and something else in its children; asking for the pid is a system call.
    page: Option<&'static AtomicU32>,
    birth: u32,
    pid: u32,
}

impl Process {
    /// This one.
    #[cfg(test)]
    pub(crate) fn this() -> Self {
        tables().process()
    }

    /// Refuses what belongs to the parent of this process.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        let own = match self.page {
            Some(page) => page.load(Ordering::Relaxed) == self.birth,
            None => self.is_current(),
        };
        if own { Ok(()) } else { Err(self.forked()) }
    }

    #[cold]
    fn is_current(&self) -> bool {
        std::process::id() == self.pid
    }

    #[cold]
    fn forked(&self) -> Error {
        Error::Forked { owner: self.pid }
    }
}

fn tables() -> MutexGuard<'static, Tables> {
    TABLES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[inline]
fn check(call: &'static str, code: sys::cs_error_t) -> Result<()> {
    if code == sys::CS_OK { Ok(()) } else { Err(Error::cs(call, code)) }
}

/// An open `cpg_handle_t`, which is closed when this goes.
///
/// It can be shared, and so calls nothing but what any thread may call at any time: requests are made by its one
/// [`Connection`], events are taken by its one [`Events`]. libqb allows those two at once (A4).
#[derive(Debug)]
pub(crate) struct Open {
    handle: sys::cpg_handle_t,
    fd: RawFd,
    max_atomic: usize,
    /// Bytes that the socket to the daemon has room for, as the kernel counts them: with what it needs itself.
    socket_buffer: libc::c_int,
    process: Process,
    /// Members in the last view that was dispatched.
    view_size: AtomicUsize,
    /// Entries in the table of iterations, each an iteration that runs or one that is to be finalized again.
    iterations: AtomicUsize,
}

/// The half that makes requests, one at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    open: Arc<Open>,
    /// Iterations that the daemon did not take back yet, under flow control. It also keeps threads from sharing this.
    unfinished: RefCell<Vec<sys::cpg_iteration_handle_t>>,
    /// Messages that can be sent before the socket is looked at again.
    room: Cell<libc::c_int>,
    /// Zero-copy buffers that were not given back.
    buffers: Cell<usize>,
}

/// The half that takes events. Whoever makes one sees to it that no two of a handle dispatch at once.
#[derive(Debug)]
pub(crate) struct Events {
    open: Arc<Open>,
    not_sync: PhantomData<Cell<()>>,
}

/// What a dispatch of one event has come to. An [`Error`] is made of a code where it is wanted, off the path of messages.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Taken {
    One,
    None,
    Failed(sys::cs_error_t),
}

#[cold]
pub(crate) fn dispatch_error(code: sys::cs_error_t) -> Error {
    Error::cs("cpg_dispatch", code)
}

impl Open {
    /// Refuses a handle that the parent of this process made (A7).
    #[inline]
    pub(crate) fn own_process(&self) -> Result<()> {
        self.process.check()
    }

    /// How many more messages the daemon can surely be told of now: libqb sends a byte for each, and spins while the socket
    /// takes none (`lib/ipcc.c`, `qb_ipcc_sendv`), which is after some 280 messages to a daemon that is stopped (B16).
    fn room(&self) -> libc::c_int {
        let mut queued = 0;
        // SAFETY: TIOCOUTQ, which is SIOCOUTQ for a socket, writes one int.
        let code = unsafe { libc::ioctl(self.fd, libc::TIOCOUTQ, &raw mut queued) };
        let free = self.socket_buffer - queued;
        // The socket takes a byte while there is anything free at all.
        if code != 0 || free > 0 { (free / BYTE).max(1) } else { 0 }
    }

    fn finalize(&self) -> Result<()> {
        let mut tables = tables();
        // SAFETY: the handle is open, both halves are gone, and the lock is held (A12). libcpg frees the entry and those
        // of its iterations whatever the daemon answers (lib/cpg.c).
        let code = unsafe { sys::cpg_finalize(self.handle) };
        tables.handles -= 1;
        tables.iterations -= self.iterations.load(Ordering::Relaxed);
        drop(tables);
        check("cpg_finalize", code)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.own_process().is_ok() {
            // What the daemon answers changes nothing: libcpg has freed the handle, and a member that did not
            // leave is taken out when its connection goes.
            let _ = self.finalize();
        }
    }
}

impl Connection {
    pub(crate) fn open(how: Connect) -> Result<Self> {
        let mut tables = tables();
        let open = tables.handles;
        if open >= TABLE && !how.more_handles {
            return Err(Error::TooManyHandles { open });
        }
        room::check_descriptors().map_err(Error::NoDescriptors)?;
        let mut handle = 0;
        if how.totem == TotemEvents::None {
            let mut callbacks = trampoline::callbacks();
            // SAFETY: both pointers are to live values, and libcpg copies the callbacks (lib/cpg.c,
            // cpg_initialize). The lock is held (A12), and the table does not move (A13).
            let code = unsafe { sys::cpg_initialize(&raw mut handle, &raw mut callbacks) };
            check("cpg_initialize", code)?;
        } else {
            let mut model = trampoline::model(how.totem == TotemEvents::InitialAndChanges);
            // SAFETY: as above; the model is a cpg_model_v1_data_t and says so in its first member, as C's
            // cast expects, and has no flag that libcpg does not know (lib/cpg.c, cpg_model_initialize).
            let code = unsafe {
                sys::cpg_model_initialize(
                    &raw mut handle,
                    sys::CPG_MODEL_V1,
                    (&raw mut model).cast(),
                    std::ptr::null_mut(),
                )
            };
            check("cpg_model_initialize", code)?;
        }
        tables.handles += 1;
        let process = tables.process();
        drop(tables);
        let iterations = AtomicUsize::new(0);
        let view_size = AtomicUsize::new(0);
        let mut open =
            Open { handle, fd: -1, max_atomic: 0, socket_buffer: 0, process, view_size, iterations };
        // SAFETY: libcpg looks the handle up and writes one int (lib/cpg.c, cpg_fd_get).
        let code = unsafe { sys::cpg_fd_get(handle, &raw mut open.fd) };
        check("cpg_fd_get", code)?;
        let mut size = 0;
        // SAFETY: libcpg looks the handle up and writes one u32 (lib/cpg.c, cpg_max_atomic_msgsize_get).
        let code = unsafe { sys::cpg_max_atomic_msgsize_get(handle, &raw mut size) };
        check("cpg_max_atomic_msgsize_get", code)?;
        open.max_atomic = size as usize;
        open.socket_buffer = socket_buffer(open.fd).map_err(Error::Poll)?;
        Ok(Self {
            open: Arc::new(open),
            unfinished: RefCell::default(),
            room: Cell::new(0),
            buffers: Cell::new(0),
        })
    }

    #[inline]
    fn own_process(&self) -> Result<()> {
        self.open.own_process()
    }

    /// The process that connected.
    pub(crate) fn process(&self) -> Process {
        self.open.process
    }

    /// As [`check`]; but flow control stays in force in the memory that a daemon shared when it died, and must not be taken
    /// for something that passes (B9).
    #[inline]
    fn check(&self, call: &'static str, code: sys::cs_error_t) -> Result<()> {
        if code == sys::CS_OK { Ok(()) } else { Err(self.failed(call, code)) }
    }

    #[cold]
    fn failed(&self, call: &'static str, code: sys::cs_error_t) -> Error {
        let gone = code == sys::CS_ERR_TRY_AGAIN && self.hung_up();
        Error::cs(call, if gone { sys::CS_ERR_LIBRARY } else { code })
    }

    /// Whether the daemon has closed its end of the socket. It asks nobody, so that a paused daemon does not matter (B16).
    fn hung_up(&self) -> bool {
        let mut fd = libc::pollfd { fd: self.open.fd, events: 0, revents: 0 };
        // SAFETY: there is one entry, as the call is told.
        let ready = unsafe { libc::poll(&raw mut fd, 1, 0) };
        ready > 0 && fd.revents & (libc::POLLHUP | libc::POLLERR) != 0
    }

    /// The other half.
    pub(crate) fn events(&self) -> Events {
        Events { open: Arc::clone(&self.open), not_sync: PhantomData }
    }

    /// Closes the handle and says how that went, unless the other half keeps it open.
    pub(crate) fn close(self) -> Result<()> {
        self.own_process()?;
        Arc::into_inner(self.open).map_or(Ok(()), |open| ManuallyDrop::new(open).finalize())
    }

    /// Members in the last view that was dispatched.
    pub(crate) fn view_size(&self) -> &AtomicUsize {
        &self.open.view_size
    }

    pub(crate) fn max_atomic(&self) -> usize {
        self.open.max_atomic
    }

    pub(crate) fn local_get(&self) -> Result<NodeId> {
        self.own_process()?;
        let mut node = 0;
        // SAFETY: libcpg writes one unsigned int, and no other thread makes a request on this handle, as a
        // Connection is not Sync (A4).
        let code = unsafe { sys::cpg_local_get(self.open.handle, &raw mut node) };
        self.check("cpg_local_get", code)?;
        Ok(NodeId::new(node))
    }

    pub(crate) fn flow_control(&self) -> Result<FlowControl> {
        self.own_process()?;
        let mut state = 0;
        // SAFETY: libcpg writes one enum; it asks nobody (lib/cpg.c, cpg_flow_control_state_get).
        let code = unsafe { sys::cpg_flow_control_state_get(self.open.handle, &raw mut state) };
        check("cpg_flow_control_state_get", code)?;
        Ok(match state {
            sys::CPG_FLOW_CONTROL_DISABLED => FlowControl::Disabled,
            sys::CPG_FLOW_CONTROL_ENABLED => FlowControl::Enabled,
            other => FlowControl::Unknown(other),
        })
    }

    /// The members of a group of at most 384: with more the daemon writes past its own reply (A9). `members.rs` sees to it.
    pub(crate) fn membership_get(&self, group: &GroupName) -> Result<Vec<Member>> {
        self.own_process()?;
        let mut name = group.clone();
        let mut list = [Member::new(NodeId::new(0), 0); MAX_REPLY];
        let mut entries = 0;
        // SAFETY: GroupName and Member have the layout of cpg_name and cpg_address (asserted in their files),
        // and the list has room for all that the reply of the daemon can hold (A9). One thread only (A4).
        let code = unsafe {
            sys::cpg_membership_get(
                self.open.handle,
                (&raw mut name).cast(),
                (&raw mut list).cast(),
                &raw mut entries,
            )
        };
        self.check("cpg_membership_get", code)?;
        Ok(list[..usize::try_from(entries).unwrap_or(0).min(MAX_REPLY)].to_vec())
    }

    pub(crate) fn join(&self, group: &GroupName) -> Result<()> {
        self.own_process()?;
        group.check_joinable()?;
        // SAFETY: the name has the layout of cpg_name and outlives the call, which copies it. This handle has
        // not left a group, after which cpg_join would spin (B2): leaving consumes it.
        let code = unsafe { sys::cpg_join(self.open.handle, std::ptr::from_ref(group).cast()) };
        self.check("cpg_join", code)
    }

    pub(crate) fn leave(&self, group: &GroupName) -> Result<()> {
        self.own_process()?;
        // SAFETY: as in join. The name is the one joined (B3), and the join has been delivered, before which
        // cpg_leave would spin on CS_ERR_BUSY (lib/cpg.c): group.rs sees to both.
        let code = unsafe { sys::cpg_leave(self.open.handle, std::ptr::from_ref(group).cast()) };
        self.check("cpg_leave", code)
    }

    /// Takes the room of one message in the socket, or refuses it (B16).
    #[inline]
    fn take_room(&self, call: &'static str) -> Result<()> {
        match self.room.get() {
            0 => self.look_for_room(call),
            room => {
                self.room.set(room - 1);
                Ok(())
            }
        }
    }

    #[cold]
    fn look_for_room(&self, call: &'static str) -> Result<()> {
        match self.open.room() {
            // Of a daemon that has gone nothing stays in the socket for longer than a moment, and a send then says so.
            0 => Err(Error::cs(call, sys::CS_ERR_TRY_AGAIN)),
            room => {
                self.room.set(room - 1);
                Ok(())
            }
        }
    }

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a return over a system call is mispredicted, and costs more than the rest"
    )]
    pub(crate) fn mcast(&self, guarantee: Guarantee, slices: &[IoSlice<'_>]) -> Result<()> {
        self.own_process()?;
        let len = slices.iter().fold(0_usize, |sum, slice| sum.saturating_add(slice.len()));
        if len > self.open.max_atomic.min(MAX_MESSAGE) || slices.len() > MAX_SLICES {
            return self.mcast_large(guarantee, slices, len);
        }
        self.take_room("cpg_mcast_joined")?;
        self.check("cpg_mcast_joined", mcast(self.open.handle, guarantee, slices))
    }

    /// Sends what is not sent as it is: in parts, or gathered first.
    #[cold]
    fn mcast_large(&self, guarantee: Guarantee, slices: &[IoSlice<'_>], len: usize) -> Result<()> {
        if len > MAX_MESSAGE {
            return Err(Error::MessageTooLong { len, limit: MAX_MESSAGE });
        }
        if slices.len() > MAX_SLICES {
            let mut message = Vec::with_capacity(len);
            for slice in slices {
                message.extend_from_slice(slice);
            }
            return self.mcast(guarantee, &[IoSlice::new(&message)]);
        }
        self.take_room("cpg_mcast_joined")?;
        let handle = self.open.handle;
        let code = quietly(|| mcast(handle, guarantee, slices));
        // send_fragments takes the result of a part from a reply that it did not get when the daemon dies half-way: what it
        // says of a long message is not to be believed then.
        if self.hung_up() {
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

impl Events {
    #[inline]
    pub(crate) fn own_process(&self) -> Result<()> {
        self.open.own_process()
    }

    /// Members in the last view that was dispatched.
    pub(crate) fn view_size(&self) -> &AtomicUsize {
        &self.open.view_size
    }

    /// Waits until libcpg has something for this handle, or has lost the daemon; false when the deadline passed.
    ///
    /// The other descriptors end the wait too; it is for the caller to look at them.
    pub(crate) fn wait_readable(
        &self,
        deadline: Option<Instant>,
        [one, other]: [Option<BorrowedFd<'_>>; 2],
    ) -> Result<bool> {
        wait_readable(deadline, [Some(self.as_fd()), one, other])
    }

    /// Dispatches one event, or part of one, into the trampolines.
    ///
    /// For `trampoline.rs` alone, which has put the frame in place and checked the stack (A1).
    #[inline]
    pub(crate) fn dispatch_one(&self) -> Taken {
        // SAFETY: the thread has the stack that this needs and no dispatch of this handle is under way (A1, A2): the
        // caller sees to both. It neither blocks nor loops (B6), and calls the trampolines alone.
        let code = unsafe { sys::cpg_dispatch(self.open.handle, sys::CS_DISPATCH_ONE_NONBLOCKING) };
        match code {
            sys::CS_OK => Taken::One,
            sys::CS_ERR_TRY_AGAIN => Taken::None,
            code => Taken::Failed(code),
        }
    }

    /// Whether they are those of `handle`.
    #[inline]
    pub(crate) fn is_of(&self, handle: sys::cpg_handle_t) -> bool {
        self.open.handle == handle
    }
}

impl AsFd for Open {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: libqb closes the descriptor in cpg_finalize, which is called when the value borrowed here goes.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.open.as_fd()
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.open.as_fd()
    }
}

/// Waits until one of these is readable or hangs up; false when the deadline passed.
pub(crate) fn wait_readable(deadline: Option<Instant>, fds: [Option<BorrowedFd<'_>>; 3]) -> Result<bool> {
    // poll passes over a negative descriptor.
    let mut fds = fds.map(|fd| {
        let fd = fd.map_or(-1, |fd| fd.as_raw_fd());
        libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
    });
    loop {
        let timeout = deadline.map_or(-1, |deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = left.saturating_add(Duration::from_nanos(999_999)).as_millis();
            libc::c_int::try_from(left).unwrap_or(libc::c_int::MAX)
        });
        // SAFETY: the array has three entries, as the call is told.
        let ready = unsafe { libc::poll(fds.as_mut_ptr(), 3, timeout) };
        match ready {
            0 if deadline.is_some_and(|deadline| Instant::now() >= deadline) => return Ok(false),
            0 => {}
            1.. => return Ok(true),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(Error::Poll(error)),
            },
        }
    }
}

const fn code_of(guarantee: Guarantee) -> sys::cpg_guarantee_t {
    match guarantee {
        Guarantee::Unordered => sys::CPG_TYPE_UNORDERED,
        Guarantee::Fifo => sys::CPG_TYPE_FIFO,
        Guarantee::Agreed => sys::CPG_TYPE_AGREED,
        Guarantee::Safe => sys::CPG_TYPE_SAFE,
    }
}

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
    connection: &'c Connection,
    handle: sys::cpg_iteration_handle_t,
}

impl<'c> Iteration<'c> {
    pub(crate) fn open(connection: &'c Connection, kind: Kind<'_>) -> Result<Self> {
        connection.own_process()?;
        connection.unfinished.borrow_mut().retain(|&handle| iteration_finalize(connection, handle).is_err());
        let mut tables = tables();
        if tables.iterations >= TABLE {
            return Err(Error::TooManyIterations { open: tables.iterations });
        }
        let (kind, group) = match kind {
            Kind::Names => (sys::CPG_ITERATION_NAME_ONLY, std::ptr::null()),
            Kind::OneGroup(group) => (sys::CPG_ITERATION_ONE_GROUP, std::ptr::from_ref(group).cast()),
            Kind::All => (sys::CPG_ITERATION_ALL, std::ptr::null()),
        };
        let mut handle = 0;
        // SAFETY: the name has the layout of cpg_name or is null where it must be (B13); the lock is held (A12) and
        // the table does not move (A13). One thread only (A4).
        let code =
            unsafe { sys::cpg_iteration_initialize(connection.open.handle, kind, group, &raw mut handle) };
        // libcpg keeps the entry of an iteration that the daemon itself refused.
        let kept = !matches!(code, sys::CS_ERR_TRY_AGAIN | sys::CS_ERR_LIBRARY | sys::CS_ERR_NAME_TOO_LONG);
        tables.iterations += usize::from(kept);
        connection.open.iterations.fetch_add(usize::from(kept), Ordering::Relaxed);
        drop(tables);
        connection.check("cpg_iteration_initialize", code)?;
        Ok(Self { connection, handle })
    }

    /// The next entry, or `None` after the last one.
    pub(crate) fn next(&self) -> Result<Option<(GroupName, Member)>> {
        // cpg_iteration_next alone of all requests waits in a semaphore that the death of the daemon does not post
        // (`qb_ipcc_recv` with -1): it is asked of a daemon that has answered a moment ago.
        self.connection.local_get()?;
        let mut entry = sys::cpg_iteration_description_t::default();
        // SAFETY: libcpg writes one description. One thread only (A4).
        let code = unsafe { sys::cpg_iteration_next(self.handle, &raw mut entry) };
        if code == sys::CS_ERR_NO_SECTIONS {
            return Ok(None);
        }
        self.connection.check("cpg_iteration_next", code)?;
        let group = std::ptr::from_ref(&entry.group).cast::<GroupName>();
        // SAFETY: GroupName has the layout of cpg_name (asserted in name.rs), and any bytes are one.
        let group = unsafe { &*group }.clone();
        Ok(Some((group, Member::new(NodeId::new(entry.nodeid), entry.pid))))
    }
}

impl Drop for Iteration<'_> {
    fn drop(&mut self) {
        if self.connection.own_process().is_ok() && iteration_finalize(self.connection, self.handle).is_err()
        {
            self.connection.unfinished.borrow_mut().push(self.handle);
        }
    }
}

fn iteration_finalize(connection: &Connection, handle: sys::cpg_iteration_handle_t) -> Result<()> {
    let mut tables = tables();
    // SAFETY: the iteration is open, as libcpg keeps it until this succeeds, and the lock is held (A12).
    let code = unsafe { sys::cpg_iteration_finalize(handle) };
    connection.check("cpg_iteration_finalize", code)?;
    tables.iterations -= 1;
    connection.open.iterations.fetch_sub(1, Ordering::Relaxed);
    Ok(())
}

/// A buffer of `cpg_zcb_alloc`, for as long as its owner gives it back to the connection that it is of.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// None once it has been given back.
    start: Option<NonNull<u8>>,
    capacity: usize,
}

impl Buffer {
    pub(crate) fn alloc(connection: &Connection, len: usize) -> Result<Self> {
        connection.own_process()?;
        if len > connection.max_atomic() {
            return Err(Error::MessageTooLong { len, limit: connection.max_atomic() });
        }
        // A daemon that has gone leaves the file of the buffer behind.
        connection.local_get()?;
        let refused = |source| Error::NoSharedMemory { len, source };
        if connection.buffers.get() >= MAX_BUFFERS {
            return Err(refused(io::Error::other("too many buffers of this handle are in use")));
        }
        let (file, size) = room::check_shared_memory(len).map_err(refused)?;
        check_map(&file, size).map_err(refused)?;
        drop(file);
        let mut start = std::ptr::null_mut();
        // SAFETY: libcpg writes one pointer. Its assertion that memory can be had holds, as was just tried.
        let code = unsafe { sys::cpg_zcb_alloc(connection.open.handle, len.max(1), &raw mut start) };
        connection.check("cpg_zcb_alloc", code)?;
        connection.buffers.set(connection.buffers.get() + 1);
        // An older library can leave the pointer null with a daemon that has no zero-copy (B12).
        let start =
            NonNull::new(start.cast::<u8>()).ok_or(Error::cs("cpg_zcb_alloc", sys::CS_ERR_NOT_SUPPORTED))?;
        if let Some(file) = room::untaken_file(start.addr().get()) {
            let _ = Self { start: Some(start), capacity: 0 }.free(connection);
            let _ = std::fs::remove_file(file);
            return Err(Error::cs("cpg_zcb_alloc", sys::CS_ERR_TRY_AGAIN));
        }
        // SAFETY: the buffer has at least `len` bytes; newer libraries take them from malloc, unwritten.
        unsafe { start.write_bytes(0, len) };
        Ok(Self { start: Some(start), capacity: len })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        let start = self.start.map_or(std::ptr::null(), |start| start.as_ptr().cast_const());
        // SAFETY: null, or `capacity` bytes that were allocated and written; nothing writes while they are borrowed.
        unsafe { slice(start, self.capacity) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let start = self.start.map_or(std::ptr::null_mut(), NonNull::as_ptr);
        // SAFETY: as in bytes, and the borrow is the only one.
        unsafe { slice_mut(start, self.capacity) }
    }

    /// Sends the first `len` bytes; `connection` is the one that the buffer is of.
    pub(crate) fn mcast(&self, connection: &Connection, guarantee: Guarantee, len: usize) -> Result<()> {
        connection.own_process()?;
        let len = len.min(self.capacity);
        let Some(start) = self.start else { return Ok(()) };
        // Newer libraries make a plain send of it, which does not wait.
        connection.take_room("cpg_zcb_mcast_joined")?;
        // SAFETY: the pointer is one of cpg_zcb_alloc, before which libcpg keeps the headers that it writes here, and
        // `len` bytes of it are allocated. One thread only (A4).
        let code = unsafe {
            sys::cpg_zcb_mcast_joined(connection.open.handle, code_of(guarantee), start.as_ptr().cast(), len)
        };
        connection.check("cpg_zcb_mcast_joined", code)
    }

    /// Gives the memory back, once. If the daemon has gone it stays with the process, which nothing can mend.
    pub(crate) fn free(&mut self, connection: &Connection) -> Result<()> {
        connection.own_process()?;
        let Some(start) = self.start.take() else { return Ok(()) };
        // SAFETY: the pointer is one of cpg_zcb_alloc, and it is forgotten here.
        let code = unsafe { sys::cpg_zcb_free(connection.open.handle, start.as_ptr().cast()) };
        check("cpg_zcb_free", code)?;
        connection.buffers.set(connection.buffers.get().saturating_sub(1));
        Ok(())
    }
}

/// The one way from C's pointer and length to a slice: null is fine where the length is zero.
///
/// # Safety
/// `len` values at `start` must be initialised and stay unwritten for `'a`.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) unsafe fn slice<'a, T>(start: *const T, len: usize) -> &'a [T] {
    if len == 0 || start.is_null() {
        return &[];
    }
    // SAFETY: not null, and the rest is the caller's promise.
    unsafe { std::slice::from_raw_parts(start, len) }
}

/// As [`slice`], to be written.
///
/// # Safety
/// As [`slice`], and nothing else may use the values for `'a`.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) unsafe fn slice_mut<'a, T>(start: *mut T, len: usize) -> &'a mut [T] {
    if len == 0 || start.is_null() {
        return &mut [];
    }
    // SAFETY: not null, and the rest is the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(start, len) }
}

/// Maps a file as `cpg_zcb_alloc` is about to, which asserts that it can, and unmaps it.
fn check_map(file: &std::fs::File, len: usize) -> io::Result<()> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the kernel chooses an address that nothing is mapped at.
    let start =
        unsafe { libc::mmap(std::ptr::null_mut(), len, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was mapped above, and nobody has a reference to it.
    let code = unsafe { libc::munmap(start, len) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Runs `call` where what libcpg writes to standard error under flow control (B8) goes nowhere.
///
/// That is a thread with a table of descriptors of its own: the rest of the process keeps its standard error.
fn quietly<T: Send>(call: impl FnOnce() -> T + Send) -> T {
    let call = Mutex::new(Some(call));
    let take = || call.lock().unwrap_or_else(PoisonError::into_inner).take();
    let quiet = std::thread::scope(|scope| {
        let work = || {
            // Where the system does not allow it, a noisy call is better than none.
            let _ = silence_stderr();
            take().map(|call| call())
        };
        let thread = std::thread::Builder::new().name("cpg".to_owned()).spawn_scoped(scope, work);
        thread.ok().and_then(|thread| thread.join().ok().flatten())
    });
    quiet.or_else(|| take().map(|call| call())).expect("one of the two has taken it")
}

/// Gives the calling thread its own table of descriptors, in which standard error is `/dev/null`.
fn silence_stderr() -> io::Result<()> {
    // SAFETY: it has no precondition: no other thread sees a change of this one's table from here on.
    let code = unsafe { libc::unshare(libc::CLONE_FILES) };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    // Not before: the other threads would keep it.
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    // SAFETY: both are numbers, and the table is this thread's own.
    let code = unsafe { libc::dup2(null.as_raw_fd(), libc::STDERR_FILENO) };
    if code >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A page of memory that is zero in a forked child, with the one value that is kept in it.
fn wiped_page() -> io::Result<&'static AtomicU32> {
    const PAGE: usize = 4096;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: the kernel chooses an address that nothing is mapped at.
    let page =
        unsafe { libc::mmap(std::ptr::null_mut(), PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the page was mapped above, and nobody has a reference to it.
    let code = unsafe { libc::madvise(page, PAGE, libc::MADV_WIPEONFORK) };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is mapped for good, zero, aligned, and reached through this alone.
    Ok(unsafe { AtomicU32::from_ptr(page.cast()) })
}

/// The size of a socket's buffer for what is sent.
fn socket_buffer(fd: RawFd) -> io::Result<libc::c_int> {
    let mut size: libc::c_int = 0;
    let mut len = libc::socklen_t::try_from(size_of_val(&size)).unwrap_or(0);
    // SAFETY: it writes one int, as it is told the length of.
    let code = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, (&raw mut size).cast(), &raw mut len)
    };
    if code == 0 { Ok(size) } else { Err(io::Error::last_os_error()) }
}

/// A new eventfd, non-blocking and close-on-exec.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: it has no precondition.
    let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A new timer, off, non-blocking and close-on-exec.
pub(crate) fn timerfd() -> io::Result<OwnedFd> {
    // SAFETY: it has no precondition.
    let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets a timer, or turns it off: it is readable when so much time has passed.
pub(crate) fn set_timer(timer: BorrowedFd<'_>, after: Option<Duration>) {
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // Zero would turn it off. The type of seconds has no name that holds for musl too.
    let value = after.map_or(zero, |after| libc::timespec {
        tv_sec: after.as_secs().try_into().unwrap_or(i32::MAX.into()),
        tv_nsec: i32::try_from(after.subsec_nanos().max(1)).map_or(1, libc::c_long::from),
    });
    let spec = libc::itimerspec { it_interval: zero, it_value: value };
    // SAFETY: the descriptor is a timer, and the function reads one itimerspec. It cannot fail then.
    let _ = unsafe { libc::timerfd_settime(timer.as_raw_fd(), 0, &raw const spec, std::ptr::null_mut()) };
}

/// `EPOLLIN`, as `epoll_event` has it.
const INPUT: u32 = libc::EPOLLIN as u32;

/// A new epoll instance, close-on-exec: it is readable while one of what is [added](epoll_add) is.
pub(crate) fn epoll() -> io::Result<OwnedFd> {
    // SAFETY: it has no precondition.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Has an epoll instance look at a descriptor.
pub(crate) fn epoll_add(epoll: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> io::Result<()> {
    epoll_control(epoll, libc::EPOLL_CTL_ADD, fd)
}

/// Has an epoll instance look at a descriptor no more.
pub(crate) fn epoll_remove(epoll: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> io::Result<()> {
    epoll_control(epoll, libc::EPOLL_CTL_DEL, fd)
}

fn epoll_control(epoll: BorrowedFd<'_>, what: libc::c_int, fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut event = libc::epoll_event { events: INPUT, u64: 0 };
    // SAFETY: both are descriptors, and the function reads one event, or none.
    let code = unsafe { libc::epoll_ctl(epoll.as_raw_fd(), what, fd.as_raw_fd(), &raw mut event) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Where on its stack this thread is.
///
/// That is not where a local is under an address sanitizer, which by default keeps locals on a stack of its own.
#[inline]
pub(crate) fn stack_pointer() -> usize {
    let here: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it reads a register.
    unsafe {
        std::arch::asm!("mov {}, rsp", out(reg) here, options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: it reads a register.
    unsafe {
        std::arch::asm!("mov {}, sp", out(reg) here, options(nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let local = std::hint::black_box(0_u8);
        here = std::ptr::from_ref(&local).addr();
    }
    here
}

/// The lowest address and the end of this thread's own stack.
pub(crate) fn stack_bounds() -> Option<(usize, usize)> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: it always succeeds (pthread_self(3)).
    let thread = unsafe { libc::pthread_self() };
    // SAFETY: the function initialises the attributes of a thread that runs, as this one does, if it returns 0.
    if unsafe { libc::pthread_getattr_np(thread, attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let (mut low, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the attributes are initialised, and the function writes a pointer and a size.
    let code = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut low, &raw mut size) };
    // SAFETY: the attributes are initialised and not used again.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    (code == 0).then(|| (low.addr(), low.addr().saturating_add(size)))
}

impl Connect {
    /// Lets this connection be made though 47 handles are open (A13).
    ///
    /// libcpg keeps its handles in a table that moves with the 48th handle, and with every 16th after that, while
    /// other threads read it without a lock.
    ///
    /// # Safety
    /// No other thread of the process may be in any function of libcpg while [`open`](Self::open) runs on the result:
    /// neither through this crate (a send, a dispatch, a request of any handle) nor through other code.
    ///
    /// ```no_run
    /// use cpg::{Connect, Handle};
    ///
    /// let handles = (0..47).map(|_| Handle::connect()).collect::<cpg::Result<Vec<_>>>()?;
    /// assert!(matches!(Handle::connect(), Err(cpg::Error::TooManyHandles { open: 47 })));
    /// // SAFETY: this is the only thread that uses libcpg.
    /// let one_more = unsafe { Connect::new().more_handles() }.open()?;
    /// # drop((handles, one_more));
    /// # Ok::<(), cpg::Error>(())
    /// ```
    pub unsafe fn more_handles(self) -> Self {
        Self { more_handles: true, ..self }
    }
}
