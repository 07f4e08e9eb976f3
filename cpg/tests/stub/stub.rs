//! A stub of libcpg within the program. It makes the callbacks and replies that a test tells it to make, also ones that
//! a real libcpg would not make.
//!
//! The linker takes the [`functions`] before it looks into a library, so a program with this module uses no other
//! libcpg. The stub needs no daemon. Each connection is in one group with a given number of members, and does at each
//! dispatch what was [planned](Stub::plan) for it.

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

/// The node of all connections.
pub const NODE: u32 = 1;

type Work = fn(Stub);
type Answer = fn(Stub, Vec<u8>) -> cs_error_t;
type Plan<R = cs_error_t> = Box<dyn FnOnce(Stub) -> R + Send>;

struct State {
    callbacks: cpg_model_v1_data_t,
    /// The context that the caller gave for its callbacks.
    context: AtomicPtr<c_void>,
    plans: VecDeque<Plan>,
    on_send: Option<Plan>,
    on_finalize: Option<Plan<()>>,
    on_iteration: Option<Plan>,
    on_entry: Option<Plan<()>>,
    group: cpg_name,
    /// The connection that the test had joined with when this one was made. An iteration on one that is in no group is answered
    /// as by that.
    beside: cpg_handle_t,
    replies: Replies,
    /// A pair of sockets. The first is readable.
    sockets: (UnixStream, UnixStream),
    /// True if the descriptor is readable while an action is planned.
    follows_plans: bool,
}

/// The answers to requests.
#[derive(Debug, Clone, Copy)]
pub struct Replies {
    /// The return value of every request.
    pub code: cs_error_t,
    /// The members of the group, and the number that comes with a list of them.
    pub members: c_int,
    pub flow_control: cpg_flow_control_state_t,
    pub max_atomic: u32,
    /// The length of the group name in the entries of an iteration.
    pub name_length: Option<u32>,
    /// The descriptor to return instead of the one that says that events wait.
    pub descriptor: Option<c_int>,
    /// A function that makes a zero-copy buffer of so many bytes. Without it, there is no buffer and no error.
    pub alloc: Option<fn(usize) -> *mut c_void>,
}

/// The answers of a daemon to the only member of a group.
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
    /// The remaining entries of each iteration, and its handle.
    iterations: BTreeMap<cpg_iteration_handle_t, (cpg_handle_t, c_int)>,
    last: u64,
}

/// The codes that the next connects of the process return. They make no handle.
static REFUSALS: Mutex<VecDeque<cs_error_t>> = Mutex::new(VecDeque::new());

/// Makes the next connects of the process, on any thread, return these codes.
pub fn refuse(codes: impl IntoIterator<Item = cs_error_t>) {
    refusals().extend(codes);
}

/// Returns the number of connects that are to be refused and have not been made yet.
pub fn refusals_left() -> usize {
    refusals().len()
}

fn refusals() -> MutexGuard<'static, VecDeque<cs_error_t>> {
    REFUSALS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the number of handles.
pub fn open_handles() -> usize {
    table().handles.len()
}

static TABLE: Mutex<Table> =
    Mutex::new(Table { handles: BTreeMap::new(), iterations: BTreeMap::new(), last: 0 });

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The instructions of a test to the stub, and the handles that the stub reports to the test. The threads of the crate make requests, so
/// this state belongs to the process and not to a thread: a process runs one test [at a time](alone).
struct Now {
    last: cpg_handle_t,
    joined: cpg_handle_t,
    first_replies: Replies,
    on_open: Option<Work>,
}

impl Now {
    const BEGINNING: Self = Self { last: 0, joined: 0, first_replies: SOUND, on_open: None };
}

static NOW: Mutex<Now> = Mutex::new(Now::BEGINNING);

fn now() -> MutexGuard<'static, Now> {
    NOW.lock().unwrap_or_else(PoisonError::into_inner)
}

static TEST: Mutex<()> = Mutex::new(());

/// Begins a test. No other one uses the stub until this goes.
#[allow(dead_code, reason = "each program uses a part")]
pub fn alone() -> MutexGuard<'static, ()> {
    let alone = TEST.lock().unwrap_or_else(PoisonError::into_inner);
    *now() = Now::BEGINNING;
    alone
}

/// Sets the first replies of all connections that are made from now on.
#[allow(dead_code, reason = "each program uses a part")]
pub fn first_replies(replies: Replies) {
    now().first_replies = replies;
}

/// Makes the next connect run this before it returns.
#[allow(dead_code, reason = "each program uses a part")]
pub fn on_open(work: Work) {
    now().on_open = Some(work);
}

/// The action of each join of a group before it returns, on any thread.
static ON_JOIN: Mutex<BTreeMap<&str, Work>> = Mutex::new(BTreeMap::new());

/// Makes each join of the group run this before it returns, on any thread.
#[allow(dead_code, reason = "each program uses a part")]
pub fn on_join(group: &'static str, work: Work) {
    ON_JOIN.lock().unwrap().insert(group, work);
}

/// The actions of each send of a message and of each leave, on any thread.
static DAEMON: Mutex<Option<(Answer, Work)>> = Mutex::new(None);

/// Makes each send run `message` and return its result, and each leave run `leave`, on any thread.
#[allow(dead_code, reason = "each program uses a part")]
pub fn daemon(message: Answer, leave: fn(Stub)) {
    *DAEMON.lock().unwrap() = Some((message, leave));
}

/// A connection of the stub. This value can still be used after the connection was closed.
#[derive(Debug, Clone, Copy)]
pub struct Stub {
    handle: cpg_handle_t,
    callbacks: cpg_model_v1_data_t,
}

/// A list as C passes it.
#[derive(Debug, Clone, Copy)]
pub enum List<'a, T> {
    Of(&'a [T]),
    /// A null pointer and a length.
    Null(usize),
    /// A pointer to a short list, with a wrong length.
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
    /// The connection that was made last.
    pub fn last() -> Self {
        let handle = now().last;
        Self { handle, callbacks: table().handles[&handle].callbacks }
    }

    fn with<R>(self, work: impl FnOnce(&mut State) -> R) -> R {
        work(table().handles.get_mut(&self.handle).expect("the handle is open"))
    }

    /// Plans the action and the return value of the next dispatch, after those that are already planned.
    pub fn plan(self, plan: impl FnOnce(Self) -> cs_error_t + Send + 'static) {
        self.with(|state| {
            state.plans.push_back(Box::new(plan));
            if state.follows_plans && state.plans.len() == 1 {
                (&state.sockets.1).write_all(b"x").unwrap();
            }
        });
    }

    /// Makes the descriptor readable, from now on, exactly while an action is planned.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn follow_plans(self) {
        let quiet =
            self.with(|state| !std::mem::replace(&mut state.follows_plans, true) && state.plans.is_empty());
        if quiet {
            self.quiet();
        }
    }

    /// Plans the action and the return value of the next send.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn on_send(self, plan: impl FnOnce(Self) -> cs_error_t + Send + 'static) {
        self.with(|state| state.on_send = Some(Box::new(plan)));
    }

    /// Sets an action for finalizing, while the handle still exists.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn on_finalize(self, work: impl FnOnce(Self) + Send + 'static) {
        self.with(|state| state.on_finalize = Some(Box::new(work)));
    }

    /// Returns the context that the caller gave for its callbacks.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn context(self) -> *mut c_void {
        self.with(|state| state.context.load(Ordering::Relaxed))
    }

    /// Sets an action for the beginning of the next iteration.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn on_iteration(self, plan: impl FnOnce(Self) -> cs_error_t + Send + 'static) {
        self.with(|state| state.on_iteration = Some(Box::new(plan)));
    }

    /// Sets an action for the next request for an entry of an iteration.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn on_entry(self, work: impl FnOnce(Self) + Send + 'static) {
        self.with(|state| state.on_entry = Some(Box::new(work)));
    }

    /// Closes the daemon's ends of this connection and of its other connections.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn hang_up(self) {
        for (&handle, state) in &table().handles {
            if handle == self.handle || state.beside == self.handle {
                state.sockets.1.shutdown(Shutdown::Both).unwrap();
            }
        }
    }

    /// Returns true until the connection is closed.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn is_open(self) -> bool {
        table().handles.contains_key(&self.handle)
    }

    /// Returns the number of other connections.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn beside(self) -> usize {
        table().handles.values().filter(|state| state.beside == self.handle).count()
    }

    pub fn reply(self, replies: Replies) {
        self.with(|state| state.replies = replies);
    }

    /// Removes the handle, which is then no valid one.
    pub fn forget(self) {
        table().handles.remove(&self.handle);
    }

    /// Makes the connection return this descriptor.
    pub fn descriptor(self, fd: c_int) {
        self.with(|state| state.replies.descriptor = Some(fd));
    }

    /// Moves the connection to the thread that made the second one.
    pub fn sockets(self, sockets: (UnixStream, UnixStream)) {
        self.with(|state| state.sockets = sockets);
    }

    /// Makes the descriptor say that no event waits.
    #[allow(dead_code, reason = "each program uses a part")]
    pub fn quiet(self) {
        // With read(2), which Miri supports for every socket.
        let socket = self.with(|state| OwnedFd::from(state.sockets.0.try_clone().unwrap()));
        File::from(socket).read_exact(&mut [0]).unwrap();
    }

    /// Calls the deliver callback.
    pub fn deliver(self, group: Option<&cpg_name>, sender: (u32, u32), message: &mut [u8]) {
        self.deliver_at(group, sender, message.as_mut_ptr(), message.len());
    }

    /// Calls the deliver callback with a null pointer and a length.
    pub fn deliver_null(self, group: Option<&cpg_name>, sender: (u32, u32), len: usize) {
        self.deliver_at(group, sender, std::ptr::null_mut(), len);
    }

    fn deliver_at(self, group: Option<&cpg_name>, (node, pid): (u32, u32), message: *mut u8, len: usize) {
        let group = group.map_or(std::ptr::null(), std::ptr::from_ref);
        let callback = self.callbacks.cpg_deliver_fn.unwrap();
        // SAFETY: the callback must cope with any arguments.
        unsafe { callback(self.handle, group, node, pid, message.cast(), len) }
    }

    /// Calls the confchg callback with the lists of members, of members that left, and of members that joined.
    pub fn confchg(self, group: Option<&cpg_name>, [members, left, joined]: [List<'_, cpg_address>; 3]) {
        let group = group.map_or(std::ptr::null(), std::ptr::from_ref);
        let callback = self.callbacks.cpg_confchg_fn.unwrap();
        let (handle, m, l, j) = (self.handle, members.start(), left.start(), joined.start());
        // SAFETY: the callback must cope with any arguments.
        unsafe { callback(handle, group, m, members.len(), l, left.len(), j, joined.len()) }
    }

    /// Calls the callback for rings. The length is passed as a u32.
    pub fn totem_confchg(self, seq: u64, node: u32, members: List<'_, u32>) {
        let ring = cpg_ring_id { nodeid: node, seq };
        let len = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let callback = self.callbacks.cpg_totem_confchg_fn.unwrap();
        // SAFETY: the callback must cope with any arguments.
        unsafe { callback(self.handle, ring, len, members.start()) }
    }
}

/// Returns a name with these bytes, and with `length` as its length.
pub fn c_name(bytes: &[u8], length: u32) -> cpg_name {
    let mut name = cpg_name { length, value: [0; 128] };
    for (to, &from) in name.value.iter_mut().zip(bytes) {
        *to = std::ffi::c_char::from_ne_bytes([from]);
    }
    name
}
