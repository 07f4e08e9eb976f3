//! Connecting: a handle, and its two halves.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use cpg_sys as sys;
use cpg_sys::Tables;

use crate::error::{Error, Result};
use crate::ffi::context::Context;
use crate::ffi::events::EventHalf;
use crate::ffi::frames;
use crate::ffi::open::{OpenHandle, check};
use crate::ffi::options::ConnectOptions;
use crate::ffi::requests::RequestHalf;
use crate::ffi::trampoline;
use crate::os::fd;
use crate::os::fork::Owner;
use crate::os::thread;

/// Descriptors that a connection has open at most while it is made, and one more (A14).
const DESCRIPTORS: usize = 8;

/// Connects, and returns exactly one half that makes requests and one that takes events.
///
/// The deadline is for other threads that connect or close; the daemon is waited for without one (B16).
pub(crate) fn connect(
    options: ConnectOptions,
    deadline: Option<Instant>,
) -> Result<(RequestHalf, EventHalf)> {
    let waiting_for = "another thread of this process to connect or close";
    let mut tables = Tables::lock(deadline).ok_or(Error::TimedOut { waiting_for })?;
    let open = tables.handles();
    if open >= Tables::CAPACITY && !options.more_handles {
        return Err(Error::TooManyHandles { open });
    }
    // libqb closes descriptor 0 when it gets none for its socket, whatever that is of (lib/ipc_setup.c).
    fd::check_free(DESCRIPTORS).map_err(|error| Error::NoDescriptors(error.into()))?;
    let context = Arc::new(Context::default());
    let mut model = trampoline::model(options.totem);
    let mut handle = 0;
    let made = thread::with_stack(|left| {
        // SAFETY: the model is a cpg_model_v1_data_t and says so in its first member, as C's cast expects, has no flag that
        // libcpg does not know, and is copied (lib/cpg.c, cpg_model_initialize). The context is kept until cpg_finalize has
        // returned. The lock is held (A12), and the table does not move (A13), unless the caller of `more_handles` has promised
        // that no other thread is in libcpg.
        unsafe { frames::model_initialize(left, &raw mut handle, &raw mut model, Context::as_ptr(&context)) }
    });
    let code = made?;
    check("cpg_model_initialize", code)?;
    // SAFETY: one handle was made.
    unsafe { tables.count(1, 0) };
    drop(tables);
    // From here on it closes the handle when it goes.
    let mut open = OpenHandle {
        handle,
        fd: -1,
        max_atomic: 0,
        socket_buffer: 0,
        owner: Owner::this_process(),
        view_size: AtomicUsize::new(0),
        iterations: AtomicUsize::new(0),
        context,
        closed: false,
    };
    // SAFETY: libcpg looks the handle up and writes one int (lib/cpg.c, cpg_fd_get).
    let code = unsafe { sys::cpg_fd_get(handle, &raw mut open.fd) };
    check("cpg_fd_get", code)?;
    let mut size = 0;
    // SAFETY: libcpg looks the handle up and writes one u32 (lib/cpg.c, cpg_max_atomic_msgsize_get).
    let code = unsafe { sys::cpg_max_atomic_msgsize_get(handle, &raw mut size) };
    check("cpg_max_atomic_msgsize_get", code)?;
    open.max_atomic = size as usize;
    open.socket_buffer = fd::socket_buffer(open.fd)?;
    let open = Arc::new(open);
    Ok((RequestHalf::new(Arc::clone(&open)), EventHalf::new(open)))
}
