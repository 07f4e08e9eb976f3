//! A libcpg within the program, which hands over what it is told to, also what no real one would.
//!
//! The linker takes the [`functions`] before it looks into a library, so a program with this module has no other libcpg. It
//! asks no daemon. Each connection is in one group, with as many members as it is told, and does at each dispatch what was
//! [planned](Stub::plan) for it.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cpg_sys::*;

#[path = "functions.rs"]
mod functions;

/// The node that every connection is on.
pub const NODE: u32 = 1;

type Work = fn(Stub);
type Answer = fn(Stub, Vec<u8>) -> cs_error_t;
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
    /// It is readable while something is planned.
    follows_plans: bool,
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

/// What each message that is sent does, and each leave, on whatever thread.
static DAEMON: Mutex<Option<(Answer, Work)>> = Mutex::new(None);

/// Has each message that is sent do the first and return what that does, and each leave the second, on whatever thread.
#[allow(dead_code, reason = "each program uses a part")]
pub fn daemon(message: Answer, leave: fn(Stub)) {
    *DAEMON.lock().unwrap() = Some((message, leave));
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
        self.with(|state| {
            state.plans.push_back(Box::new(plan));
            if state.follows_plans && state.plans.len() == 1 {
                (&state.sockets.1).write_all(b"x").unwrap();
            }
        });
    }

    /// Has the descriptor say from now on whether something is planned.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn follow_plans(self) {
        let quiet =
            self.with(|state| !std::mem::replace(&mut state.follows_plans, true) && state.plans.is_empty());
        if quiet {
            self.quiet();
        }
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
