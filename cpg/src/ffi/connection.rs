//! Connecting: a handle, and its two halves.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use cpg_sys as sys;
use cpg_sys::{LockError, Tables};

use crate::error::{Error, Result};
use crate::ffi::context::Context;
use crate::ffi::events::EventHalf;
use crate::ffi::frames;
use crate::ffi::open::{OpenHandle, check};
use crate::ffi::options::ConnectOptions;
use crate::ffi::peer;
use crate::ffi::requests::RequestHalf;
use crate::ffi::trampoline;
use crate::os::fork::Owner;
use crate::os::handover::{Handed, hand_over};
use crate::os::stack::StackLeft;
use crate::os::{fd, socket, thread};

/// Descriptors that a connection has open at most while it is made (libqb's `qb_rb_open_2`: the socket and two files), and one
/// more (A14).
const DESCRIPTORS: usize = 4;

/// The same where other threads open some too meanwhile.
const DESCRIPTORS_SHARED: usize = 8;

/// Connects, and returns exactly one half that makes requests and one that takes events.
///
/// The deadline is for other threads that connect or close; the daemon is waited for without one (B16).
pub(crate) fn connect(
    options: ConnectOptions,
    deadline: Option<Instant>,
) -> Result<(RequestHalf, EventHalf)> {
    let mut tables = Tables::lock(deadline).map_err(|error| match error {
        LockError::Forked { parent } => Error::ForkedWhileConnecting { parent },
        _ => Error::TimedOut { waiting_for: "another thread of this process to connect or close" },
    })?;
    let open = tables.handles();
    if open >= Tables::CAPACITY && !options.more_handles {
        return Err(Error::TooManyHandles { open });
    }
    // libcpg prints to standard error, and a long send silences that: neither may be the connection (A24).
    let _standard = fd::take_standard().map_err(|error| Error::NoDescriptors(error.into()))?;
    let context = Arc::new(Context::default());
    // Apart, so that nobody sees what libqb does to descriptors meanwhile (A14, A20, A23).
    let make = |left| initialize(left, options, &context, DESCRIPTORS);
    let apart = hand_over(make, |handle| drop(finalize(handle)))?;
    let (fd, handle) = match apart {
        Handed::Over(fd, handle) => (fd, handle),
        Handed::Not => {
            let make = |left| initialize(left, options, &context, DESCRIPTORS_SHARED);
            thread::with_stack(make)??
        }
    };
    // SAFETY: one handle was made.
    unsafe { tables.count(1, 0) };
    drop(tables);
    // From here on it closes the handle when it goes.
    let mut open = OpenHandle {
        handle,
        fd,
        max_atomic: 0,
        socket_buffer: 0,
        options: options.again(),
        owner: Owner::this_process(),
        view_size: AtomicUsize::new(0),
        iterations: AtomicUsize::new(0),
        context,
        closed: false,
    };
    let mut size = 0;
    // SAFETY: libcpg looks the handle up and writes one u32 (lib/cpg.c, cpg_max_atomic_msgsize_get).
    let code = unsafe { sys::cpg_max_atomic_msgsize_get(handle, &raw mut size) };
    check("cpg_max_atomic_msgsize_get", code)?;
    open.max_atomic = size as usize;
    open.socket_buffer = socket::send_buffer(open.fd).map_err(Error::io("getsockopt"))?;
    let open = Arc::new(open);
    Ok((RequestHalf::new(Arc::clone(&open)), EventHalf::new(open)))
}

/// Makes a handle of a daemon that is the right one, and returns its descriptor too, while the caller holds the lock.
fn initialize(
    left: StackLeft<{ frames::CONNECT }>,
    options: ConnectOptions,
    context: &Arc<Context>,
    descriptors: usize,
) -> Result<(RawFd, sys::cpg_handle_t)> {
    // libqb closes descriptor 0 when it gets none for its socket, whatever that is of (lib/ipc_setup.c).
    fd::check_free(descriptors).map_err(|error| Error::NoDescriptors(error.into()))?;
    peer::check_listener(options)?;
    let mut model = trampoline::model(options.totem);
    let mut handle = 0;
    // SAFETY: the model is a cpg_model_v1_data_t and says so in its first member, as C's cast expects, has no flag that libcpg
    // does not know, and is copied (lib/cpg.c, cpg_model_initialize). The context is kept until cpg_finalize has returned. The
    // lock is held (A12), and the table does not move (A13), unless the caller of `more_handles` has promised that no other
    // thread is in libcpg.
    let code =
        unsafe { frames::model_initialize(left, &raw mut handle, &raw mut model, Context::as_ptr(context)) };
    check("cpg_model_initialize", code)?;
    let mut fd = -1;
    // SAFETY: libcpg looks the handle up and writes one int (lib/cpg.c, cpg_fd_get).
    let code = unsafe { sys::cpg_fd_get(handle, &raw mut fd) };
    let checked = check("cpg_fd_get", code).and_then(|()| peer::check_connection(fd, options));
    if let Err(refused) = checked {
        // Closing asks the daemon, and waits for the answer of one that may give none (B16).
        socket::shut_down(fd);
        drop(finalize(handle));
        return Err(refused);
    }
    Ok((fd, handle))
}

/// Ends a handle that has been made, while the caller holds the lock.
fn finalize(handle: sys::cpg_handle_t) -> Result<()> {
    // SAFETY: the handle was made and nobody else has it, and the lock is held (A12).
    let ended = thread::with_stack(|left| unsafe { frames::finalize(left, handle) });
    check("cpg_finalize", ended?)
}
