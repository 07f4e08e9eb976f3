//! A libcpg within the program, which hands over what it is told to, also what no real one would.
//!
//! The linker takes the functions below before it looks into a library, so a program with this module has no other libcpg. It
//! asks no daemon. Each connection is in one group, with as many members as it is told, and does at each dispatch what was
//! [planned](Stub::plan) for it.
#![allow(clippy::missing_safety_doc, reason = "libcpg's own")]

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{c_int, c_uint, c_void};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cpg_sys::*;

/// The node that every connection is on.
pub const NODE: u32 = 1;

type Work = fn(Stub);
type Plan<R = cs_error_t> = Box<dyn FnOnce(Stub) -> R + Send>;

struct State {
    callbacks: cpg_model_v1_data_t,
    /// What the caller gave for its callbacks to find.
    context: AtomicPtr<c_void>,
    plans: VecDeque<Plan>,
    on_send: Option<Plan>,
    on_finalize: Option<Plan<()>>,
    on_iteration: Option<Plan>,
    on_entry: Option<Plan<()>>,
    group: cpg_name,
    /// The connection that its thread had joined with when this one was made. An iteration on one that is in no group is answered
    /// as by that.
    beside: cpg_handle_t,
    replies: Replies,
    /// The first is readable.
    sockets: (UnixStream, UnixStream),
}

/// What requests are answered with.
#[derive(Debug, Clone, Copy)]
pub struct Replies {
    /// What every request returns.
    pub code: cs_error_t,
    /// Members of the group, and the number that comes with a list of them.
    pub members: c_int,
    pub flow_control: cpg_flow_control_state_t,
    pub max_atomic: u32,
    /// The length of the group's name in the entries of an iteration.
    pub name_length: Option<u32>,
    /// The descriptor, in place of one that says that events wait.
    pub descriptor: Option<c_int>,
    /// Makes a zero-copy buffer of so many bytes; without it there is no buffer, and no error.
    pub alloc: Option<fn(usize) -> *mut c_void>,
}

/// The answers that a daemon gives to the one member of a group.
pub const SOUND: Replies = Replies {
    code: CS_OK,
    members: 1,
    flow_control: CPG_FLOW_CONTROL_DISABLED,
    max_atomic: 1024 * 1024 - 1024,
    name_length: None,
    descriptor: None,
    alloc: None,
};

struct Table {
    handles: BTreeMap<cpg_handle_t, State>,
    /// What is left of each iteration, and of which handle.
    iterations: BTreeMap<cpg_iteration_handle_t, (cpg_handle_t, c_int)>,
    last: u64,
}

/// What the next connects of the process return, and make no handle.
static REFUSALS: Mutex<VecDeque<cs_error_t>> = Mutex::new(VecDeque::new());

/// Has the next connects of the process, whichever thread makes them, return these codes.
pub fn refuse(codes: impl IntoIterator<Item = cs_error_t>) {
    refusals().extend(codes);
}

/// How many of the connects that are to be refused have not been made.
pub fn refusals_left() -> usize {
    refusals().len()
}

fn refusals() -> MutexGuard<'static, VecDeque<cs_error_t>> {
    REFUSALS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many handles there are.
pub fn open_handles() -> usize {
    table().handles.len()
}

static TABLE: Mutex<Table> =
    Mutex::new(Table { handles: BTreeMap::new(), iterations: BTreeMap::new(), last: 0 });

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static LAST: Cell<cpg_handle_t> = const { Cell::new(0) };
    static JOINED: Cell<cpg_handle_t> = const { Cell::new(0) };
    static FIRST_REPLIES: Cell<Replies> = const { Cell::new(SOUND) };
    static ON_OPEN: Cell<Option<fn(Stub)>> = const { Cell::new(None) };
}

/// What the connections that this thread makes from now on begin with.
#[allow(dead_code, reason = "each program uses a part")]
pub fn first_replies(replies: Replies) {
    FIRST_REPLIES.set(replies);
}

/// What the next connect of this thread does before it returns.
#[allow(dead_code, reason = "each program uses a part")]
pub fn on_open(work: Work) {
    ON_OPEN.set(Some(work));
}

/// What each join of a group does before it returns, on whatever thread.
static ON_JOIN: Mutex<BTreeMap<&str, Work>> = Mutex::new(BTreeMap::new());

/// Has each join of the group do this before it returns, on whatever thread.
#[allow(dead_code, reason = "each program uses a part")]
pub fn on_join(group: &'static str, work: Work) {
    ON_JOIN.lock().unwrap().insert(group, work);
}

/// A connection, as libcpg has it. It can be used after it was closed.
#[derive(Debug, Clone, Copy)]
pub struct Stub {
    handle: cpg_handle_t,
    callbacks: cpg_model_v1_data_t,
}

/// A list as C hands it over.
#[derive(Debug, Clone, Copy)]
pub enum List<'a, T> {
    Of(&'a [T]),
    /// A null pointer and a length.
    Null(usize),
    /// A pointer to a short list, and a length that it does not have.
    Long(&'a [T], usize),
}

impl<T> List<'_, T> {
    pub fn len(self) -> usize {
        match self {
            Self::Of(list) => list.len(),
            Self::Null(len) | Self::Long(_, len) => len,
        }
    }

    fn start(self) -> *const T {
        match self {
            Self::Of(list) | Self::Long(list, _) => list.as_ptr(),
            Self::Null(_) => std::ptr::null(),
        }
    }
}

impl Stub {
    /// The connection that this thread has made last.
    pub fn last() -> Self {
        let handle = LAST.get();
        Self { handle, callbacks: table().handles[&handle].callbacks }
    }

    fn with<R>(self, work: impl FnOnce(&mut State) -> R) -> R {
        work(table().handles.get_mut(&self.handle).expect("the handle is open"))
    }

    /// What the next dispatch does, after those that are planned already, and returns.
    pub fn plan(self, plan: impl FnOnce(Self) -> cs_error_t + Send + 'static) {
        self.with(|state| state.plans.push_back(Box::new(plan)));
    }

    /// What the next send does, and returns.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn on_send(self, plan: impl FnOnce(Self) -> cs_error_t + Send + 'static) {
        self.with(|state| state.on_send = Some(Box::new(plan)));
    }

    /// What finalizing does while the handle is still there.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn on_finalize(self, work: impl FnOnce(Self) + Send + 'static) {
        self.with(|state| state.on_finalize = Some(Box::new(work)));
    }

    /// What the caller gave for its callbacks to find.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn context(self) -> *mut c_void {
        self.with(|state| state.context.load(Ordering::Relaxed))
    }

    /// What happens when the next iteration begins.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn on_iteration(self, plan: impl FnOnce(Self) -> cs_error_t + Send + 'static) {
        self.with(|state| state.on_iteration = Some(Box::new(plan)));
    }

    /// What happens when the next entry of an iteration is asked for.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn on_entry(self, work: impl FnOnce(Self) + Send + 'static) {
        self.with(|state| state.on_entry = Some(Box::new(work)));
    }

    /// Closes the daemon's ends of this connection and of those beside it.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn hang_up(self) {
        for (&handle, state) in &table().handles {
            if handle == self.handle || state.beside == self.handle {
                state.sockets.1.shutdown(Shutdown::Both).unwrap();
            }
        }
    }

    /// True until it is closed.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn is_open(self) -> bool {
        table().handles.contains_key(&self.handle)
    }

    /// How many connections there are beside this one.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn beside(self) -> usize {
        table().handles.values().filter(|state| state.beside == self.handle).count()
    }

    pub fn reply(self, replies: Replies) {
        self.with(|state| state.replies = replies);
    }

    /// Forgets the handle, which is none then.
    pub fn forget(self) {
        table().handles.remove(&self.handle);
    }

    /// Gives this out as the descriptor of the connection.
    pub fn descriptor(self, fd: c_int) {
        self.with(|state| state.replies.descriptor = Some(fd));
    }

    /// The connection goes to whoever made the second one.
    pub fn sockets(self, sockets: (UnixStream, UnixStream)) {
        self.with(|state| state.sockets = sockets);
    }

    /// Has the descriptor say that no event waits.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn quiet(self) {
        // By read(2), which Miri has for every socket.
        let socket = self.with(|state| OwnedFd::from(state.sockets.0.try_clone().unwrap()));
        File::from(socket).read_exact(&mut [0]).unwrap();
    }

    /// Calls the deliver callback.
    pub fn deliver(self, group: Option<&cpg_name>, sender: (u32, u32), message: &mut [u8]) {
        self.deliver_at(group, sender, message.as_mut_ptr(), message.len());
    }

    /// As [`deliver`](Self::deliver), with a null pointer and a length.
    pub fn deliver_null(self, group: Option<&cpg_name>, sender: (u32, u32), len: usize) {
        self.deliver_at(group, sender, std::ptr::null_mut(), len);
    }

    fn deliver_at(self, group: Option<&cpg_name>, (node, pid): (u32, u32), message: *mut u8, len: usize) {
        let group = group.map_or(std::ptr::null(), std::ptr::from_ref);
        let callback = self.callbacks.cpg_deliver_fn.unwrap();
        // SAFETY: the callback is to bear whatever it gets.
        unsafe { callback(self.handle, group, node, pid, message.cast(), len) }
    }

    /// Calls the confchg callback with the lists of members, of those who left and of those who joined.
    pub fn confchg(self, group: Option<&cpg_name>, [members, left, joined]: [List<'_, cpg_address>; 3]) {
        let group = group.map_or(std::ptr::null(), std::ptr::from_ref);
        let callback = self.callbacks.cpg_confchg_fn.unwrap();
        let (handle, m, l, j) = (self.handle, members.start(), left.start(), joined.start());
        // SAFETY: the callback is to bear whatever it gets.
        unsafe { callback(handle, group, m, members.len(), l, left.len(), j, joined.len()) }
    }

    /// Calls the callback for rings; the length is taken as a u32.
    pub fn totem_confchg(self, seq: u64, node: u32, members: List<'_, u32>) {
        let ring = cpg_ring_id { nodeid: node, seq };
        let len = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let callback = self.callbacks.cpg_totem_confchg_fn.unwrap();
        // SAFETY: the callback is to bear whatever it gets.
        unsafe { callback(self.handle, ring, len, members.start()) }
    }
}

/// A name of these bytes that says that it has `length`.
pub fn c_name(bytes: &[u8], length: u32) -> cpg_name {
    let mut name = cpg_name { length, value: [0; 128] };
    for (to, &from) in name.value.iter_mut().zip(bytes) {
        *to = std::ffi::c_char::from_ne_bytes([from]);
    }
    name
}

/// Does `work` with an open handle and returns what is answered to requests; or says that there is no such handle.
fn request(handle: cpg_handle_t, work: impl FnOnce(&mut State)) -> cs_error_t {
    let mut table = table();
    let Some(state) = table.handles.get_mut(&handle) else { return CS_ERR_BAD_HANDLE };
    let code = state.replies.code;
    work(state);
    code
}

/// Does what is planned without the lock, which callbacks need.
fn carry_out<R>(handle: cpg_handle_t, take: impl FnOnce(&mut State) -> Option<Plan<R>>) -> Option<R> {
    let mut table = table();
    let state = table.handles.get_mut(&handle)?;
    let stub = Stub { handle, callbacks: state.callbacks };
    let plan = take(state);
    drop(table);
    plan.map(|plan| plan(stub))
}

/// Returns the connection that answers an iteration on this one.
fn asked(handle: cpg_handle_t) -> cpg_handle_t {
    let table = table();
    match table.handles.get(&handle) {
        Some(state) if state.group.length == 0 && table.handles.contains_key(&state.beside) => state.beside,
        _ => handle,
    }
}

/// Writes what is asked for.
fn put<T>(to: *mut T, value: T) {
    // SAFETY: callers of libcpg give a pointer to room for one.
    unsafe { to.write(value) }
}

fn get<T: Copy>(from: *const T) -> T {
    // SAFETY: callers of libcpg give a pointer to one.
    unsafe { *from }
}

fn open(handle: *mut cpg_handle_t, callbacks: cpg_model_v1_data_t, context: *mut c_void) -> cs_error_t {
    // No libqb gives the second descriptor that it opens. So what is connected apart is undone here, and connected again on the
    // test's own thread.
    let (peer, ours) = UnixStream::pair().unwrap();
    let sockets = (ours, peer);
    File::from(OwnedFd::from(sockets.1.try_clone().unwrap())).write_all(b"x").unwrap();
    let state = State {
        callbacks,
        context: AtomicPtr::new(context),
        plans: VecDeque::new(),
        on_send: None,
        on_finalize: None,
        on_iteration: None,
        on_entry: None,
        group: c_name(b"", 0),
        beside: JOINED.get(),
        replies: FIRST_REPLIES.get(),
        sockets,
    };
    let mut table = table();
    table.last += 1;
    let last = table.last;
    table.handles.insert(last, state);
    LAST.set(last);
    put(handle, last);
    drop(table);
    if let Some(work) = ON_OPEN.take() {
        work(Stub { handle: last, callbacks });
    }
    CS_OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_initialize(handle: *mut cpg_handle_t, two: *mut cpg_callbacks_t) -> cs_error_t {
    let cpg_callbacks_t { cpg_deliver_fn, cpg_confchg_fn } = get(two);
    let callbacks = cpg_model_v1_data_t {
        model: CPG_MODEL_V1,
        cpg_deliver_fn,
        cpg_confchg_fn,
        cpg_totem_confchg_fn: None,
        flags: 0,
    };
    open(handle, callbacks, std::ptr::null_mut())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_model_initialize(
    handle: *mut cpg_handle_t,
    model: cpg_model_t,
    data: *mut cpg_model_data_t,
    context: *mut c_void,
) -> cs_error_t {
    assert_eq!(model, CPG_MODEL_V1);
    let refusal = refusals().pop_front();
    if let Some(code) = refusal {
        return code;
    }
    open(handle, get(data.cast()), context)
}

/// Writes nothing for a handle that is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_context_get(handle: cpg_handle_t, context: *mut *mut c_void) -> cs_error_t {
    let table = table();
    let Some(state) = table.handles.get(&handle) else { return CS_ERR_BAD_HANDLE };
    put(context, state.context.load(Ordering::Relaxed));
    CS_OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_finalize(handle: cpg_handle_t) -> cs_error_t {
    carry_out(handle, |state| state.on_finalize.take());
    if table().handles.remove(&handle).is_some() { CS_OK } else { CS_ERR_BAD_HANDLE }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_fd_get(handle: cpg_handle_t, fd: *mut c_int) -> cs_error_t {
    request(handle, |state| put(fd, state.replies.descriptor.unwrap_or(state.sockets.0.as_raw_fd())))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_max_atomic_msgsize_get(handle: cpg_handle_t, size: *mut u32) -> cs_error_t {
    request(handle, |state| put(size, state.replies.max_atomic))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_dispatch(handle: cpg_handle_t, flags: cs_dispatch_flags_t) -> cs_error_t {
    assert_eq!(flags, CS_DISPATCH_ONE_NONBLOCKING);
    carry_out(handle, |state| state.plans.pop_front()).unwrap_or(CS_ERR_TRY_AGAIN)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_join(handle: cpg_handle_t, group: *const cpg_name) -> cs_error_t {
    JOINED.set(handle);
    let name = get(group);
    let code = request(handle, |state| state.group = name);
    let bytes: Vec<u8> =
        name.value.iter().map(|char| char.to_ne_bytes()[0]).take(name.length as usize).collect();
    let work = std::str::from_utf8(&bytes).ok().and_then(|name| ON_JOIN.lock().unwrap().get(name).copied());
    if let Some(work) = work {
        let callbacks = table().handles[&handle].callbacks;
        work(Stub { handle, callbacks });
    }
    code
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_leave(handle: cpg_handle_t, _group: *const cpg_name) -> cs_error_t {
    request(handle, |_| ())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_mcast_joined(
    handle: cpg_handle_t,
    _guarantee: cpg_guarantee_t,
    _iovec: *const libc::iovec,
    _count: c_uint,
) -> cs_error_t {
    carry_out(handle, |state| state.on_send.take()).unwrap_or_else(|| request(handle, |_| ()))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_membership_get(
    handle: cpg_handle_t,
    _group: *mut cpg_name,
    list: *mut cpg_address,
    entries: *mut c_int,
) -> cs_error_t {
    let (nodeid, pid, reason) = (NODE, std::process::id(), CPG_REASON_UNDEFINED);
    request(handle, |state| {
        put(list, cpg_address { nodeid, pid, reason });
        put(entries, state.replies.members);
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_local_get(handle: cpg_handle_t, node: *mut c_uint) -> cs_error_t {
    request(handle, |_| put(node, NODE))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_flow_control_state_get(
    handle: cpg_handle_t,
    flow_control: *mut cpg_flow_control_state_t,
) -> cs_error_t {
    request(handle, |state| put(flow_control, state.replies.flow_control))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_iteration_initialize(
    handle: cpg_handle_t,
    _kind: cpg_iteration_type_t,
    _group: *const cpg_name,
    iteration: *mut cpg_iteration_handle_t,
) -> cs_error_t {
    let handle = asked(handle);
    carry_out(handle, |state| state.on_iteration.take());
    let mut left = 0;
    let code = request(handle, |state| {
        left = if state.group.length == 0 { 0 } else { state.replies.members };
    });
    let mut table = table();
    table.last += 1;
    let last = table.last;
    table.iterations.insert(last, (handle, left));
    put(iteration, last);
    code
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_iteration_next(
    iteration: cpg_iteration_handle_t,
    description: *mut cpg_iteration_description_t,
) -> cs_error_t {
    let on_entry = {
        let mut table = table();
        let handle = table.iterations.get(&iteration).map(|&(handle, _)| handle);
        handle.and_then(|handle| {
            let state = table.handles.get_mut(&handle)?;
            Some((Stub { handle, callbacks: state.callbacks }, state.on_entry.take()?))
        })
    };
    if let Some((stub, work)) = on_entry {
        work(stub);
    }
    let mut table = table();
    let Some((handle, left)) = table.iterations.get_mut(&iteration) else { return CS_ERR_BAD_HANDLE };
    if *left <= 0 {
        return CS_ERR_NO_SECTIONS;
    }
    *left -= 1;
    // This process is the last one.
    let pid = std::process::id() + u32::try_from(*left).unwrap();
    let handle = *handle;
    drop(table);
    request(handle, |state| {
        let mut group = state.group;
        group.length = state.replies.name_length.unwrap_or(group.length);
        put(description, cpg_iteration_description_t { group, nodeid: NODE, pid });
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_iteration_finalize(iteration: cpg_iteration_handle_t) -> cs_error_t {
    if table().iterations.remove(&iteration).is_some() { CS_OK } else { CS_ERR_BAD_HANDLE }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_zcb_alloc(
    handle: cpg_handle_t,
    size: usize,
    buffer: *mut *mut c_void,
) -> cs_error_t {
    request(handle, |state| {
        if let Some(alloc) = state.replies.alloc {
            put(buffer, alloc(size));
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_zcb_free(handle: cpg_handle_t, _buffer: *mut c_void) -> cs_error_t {
    request(handle, |_| ())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_zcb_mcast_joined(
    handle: cpg_handle_t,
    _guarantee: cpg_guarantee_t,
    _message: *mut c_void,
    _len: usize,
) -> cs_error_t {
    request(handle, |_| ())
}
