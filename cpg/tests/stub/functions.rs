//! The functions of libcpg in the stub.
#![allow(clippy::missing_safety_doc, reason = "libcpg's own")]

use std::collections::VecDeque;
use std::ffi::{c_int, c_uint, c_void};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicPtr, Ordering};

use cpg_sys::*;

use super::{DAEMON, NODE, ON_JOIN, Plan, SOUND, State, Stub, c_name, now, refusals, table};

/// Runs `work` with an open handle and returns the answer to requests. Returns an error if there is no such handle.
fn request(handle: cpg_handle_t, work: impl FnOnce(&mut State)) -> cs_error_t {
    let mut table = table();
    let Some(state) = table.handles.get_mut(&handle) else { return CS_ERR_BAD_HANDLE };
    let code = state.replies.code;
    work(state);
    code
}

/// Returns an open connection.
fn stub(handle: cpg_handle_t) -> Option<Stub> {
    let callbacks = table().handles.get(&handle)?.callbacks;
    Some(Stub { handle, callbacks })
}

/// Runs a planned action without the lock, because callbacks need the lock.
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

/// Writes a result to the caller's memory.
fn put<T>(to: *mut T, value: T) {
    // SAFETY: callers of libcpg give a pointer to room for one.
    unsafe { to.write(value) }
}

fn get<T: Copy>(from: *const T) -> T {
    // SAFETY: callers of libcpg give a pointer to one.
    unsafe { *from }
}

/// True on a thread that has a table of descriptors of its own.
fn is_apart(socket: &UnixStream) -> bool {
    // Miri has no such threads, and warns of each look into /proc.
    if cfg!(miri) {
        return false;
    }
    let of = |whose: &str| std::fs::read_link(format!("/proc/{whose}/fd/{}", socket.as_raw_fd())).ok();
    of("self") != of("thread-self")
}

fn open(handle: *mut cpg_handle_t, callbacks: cpg_model_v1_data_t, context: *mut c_void) -> cs_error_t {
    // No libqb gives the second descriptor that it opens. So what is connected apart is undone here, and connected again where
    // descriptors are the process's.
    let (peer, ours) = UnixStream::pair().unwrap();
    let apart = is_apart(&ours);
    let sockets = (ours, peer);
    File::from(OwnedFd::from(sockets.1.try_clone().unwrap())).write_all(b"x").unwrap();
    let (beside, replies) = if apart {
        (0, SOUND)
    } else {
        let now = now();
        (now.joined, now.first_replies)
    };
    let state = State {
        callbacks,
        context: AtomicPtr::new(context),
        plans: VecDeque::new(),
        on_send: None,
        on_finalize: None,
        on_iteration: None,
        on_entry: None,
        group: c_name(b"", 0),
        beside,
        replies,
        sockets,
        follows_plans: false,
    };
    let mut table = table();
    table.last += 1;
    let last = table.last;
    table.handles.insert(last, state);
    now().last = last;
    put(handle, last);
    drop(table);
    let work = if apart { None } else { now().on_open.take() };
    if let Some(work) = work {
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

/// Writes nothing if the handle is closed.
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
    let take = |state: &mut State| {
        let plan = state.plans.pop_front();
        if state.follows_plans && plan.is_some() && state.plans.is_empty() {
            (&state.sockets.0).read_exact(&mut [0]).unwrap();
        }
        plan
    };
    carry_out(handle, take).unwrap_or(CS_ERR_TRY_AGAIN)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_join(handle: cpg_handle_t, group: *const cpg_name) -> cs_error_t {
    now().joined = handle;
    let name = get(group);
    request(handle, |state| state.group = name);
    let bytes: Vec<u8> =
        name.value.iter().map(|char| char.to_ne_bytes()[0]).take(name.length as usize).collect();
    let work = std::str::from_utf8(&bytes).ok().and_then(|name| ON_JOIN.lock().unwrap().get(name).copied());
    if let Some(work) = work {
        let callbacks = table().handles[&handle].callbacks;
        work(Stub { handle, callbacks });
    }
    request(handle, |_| ())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_leave(handle: cpg_handle_t, _group: *const cpg_name) -> cs_error_t {
    let daemon = *DAEMON.lock().unwrap();
    if let (Some((_, leave)), Some(stub)) = (daemon, stub(handle)) {
        leave(stub);
    }
    request(handle, |_| ())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cpg_mcast_joined(
    handle: cpg_handle_t,
    _guarantee: cpg_guarantee_t,
    iovec: *const libc::iovec,
    count: c_uint,
) -> cs_error_t {
    let daemon = *DAEMON.lock().unwrap();
    if let (Some((message, _)), Some(stub)) = (daemon, stub(handle)) {
        let mut bytes = Vec::new();
        for index in 0..count as usize {
            let libc::iovec { iov_base, iov_len } = get(iovec.wrapping_add(index));
            let start = iov_base.cast::<u8>();
            bytes.extend((0..iov_len).map(|at| get(start.wrapping_add(at))));
        }
        return message(stub, bytes);
    }
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
    // This process is the last member.
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
