//! Connecting: making a handle and its two halves.

use std::os::fd::RawFd;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use cpg_sys as sys;
use cpg_sys::{LockError, Tables, TablesGuard};

use crate::error::{Error, Result};
use crate::ffi::call::Requests;
use crate::ffi::context::Context;
use crate::ffi::events::EventHalf;
use crate::ffi::frames;
use crate::ffi::open::{OpenHandle, check, lock_tables};
use crate::ffi::options::ConnectOptions;
use crate::ffi::peer;
use crate::ffi::send::MAX_MESSAGE;
use crate::ffi::trampoline;
use crate::os::fork::Owner;
use crate::os::handover::{Handed, hand_over};
use crate::os::outstanding::{NotEnded, Outstanding};
use crate::os::patience::Patience;
use crate::os::stack::StackLeft;
use crate::os::{fd, socket, thread};

/// The number of descriptors that libqb has open at most while it connects (`qb_rb_open_2`: the socket and two files), and one
/// more ([A14](crate::facts#a14)).
const DESCRIPTORS: usize = 4;

/// The same number where other threads may open descriptors meanwhile.
const DESCRIPTORS_SHARED: usize = 8;

/// The text of a time-out while other threads have the lock ([A12](crate::facts#a12)).
const OTHERS: &str = "another thread of this process to connect or close";

/// The text of a time-out of the connect itself.
const TAKEN: &str = "the daemon to take the connection; it may be paused";

/// Connects, and returns the only half that makes requests and the only half that takes events.
///
/// libqb waits for a paused daemon without a limit ([B16](crate::facts#b16)). When the patience ends, the socket is shut down
/// where that is possible, so that libqb gives up. Where it is not possible, the thread is left behind, and keeps the lock.
pub(crate) fn connect(options: ConnectOptions, patience: &Patience<'_>) -> Result<(Requests, EventHalf)> {
    let patience = &patience.attempt();
    let tables = lock_tables(patience.deadline()).map_err(|error| match error {
        LockError::Forked { parent } => Error::ForkedWhileConnecting { parent },
        _ => Error::TimedOut { waiting_for: OTHERS },
    })?;
    let open = tables.handles();
    if open >= Tables::CAPACITY && !options.more_handles {
        return Err(Error::TooManyHandles { open });
    }
    // libcpg prints to standard error, and a long send redirects it. So a connection must not have the number of a standard
    // descriptor (A24).
    let standard = fd::take_standard().map_err(|error| Error::NoDescriptors(error.into()))?;
    let context = Arc::new(Context::default());
    // On a thread with its own table of descriptors, because libqb opens and closes descriptors that are not its own (A14, A20,
    // A23).
    let make = |left| initialize(left, options, &context, DESCRIPTORS);
    let open = match hand_over(make, |handle| drop(finalize(handle)), patience)? {
        Handed::Over(fd, handle) => opened(tables, options, context, fd, handle)?,
        Handed::Interrupted => return Err(Error::TimedOut { waiting_for: TAKEN }),
        Handed::Not => {
            // The thread owns everything that it uses, because it may be left behind.
            let connect = move || {
                let _standard = standard;
                let make = |left| initialize(left, options, &context, DESCRIPTORS_SHARED);
                let (fd, handle) = thread::with_stack(make)??;
                opened(tables, options, context, fd, handle)
            };
            let connecting = Outstanding::begin(connect).map_err(|(error, _)| error)?;
            connecting.wait(None, patience).map_err(|not| match not {
                NotEnded::Failed(error) => error,
                NotEnded::Over | NotEnded::HungUp => Error::TimedOut { waiting_for: TAKEN },
            })??
        }
    };
    let open = Arc::new(open);
    Ok((Requests::new(Arc::clone(&open)), EventHalf::new(open)))
}

/// Counts a new handle, and gives the lock back. From here on, dropping the result closes the handle.
fn opened(
    mut tables: TablesGuard,
    options: ConnectOptions,
    context: Arc<Context>,
    fd: RawFd,
    handle: sys::cpg_handle_t,
) -> Result<OpenHandle> {
    // SAFETY: one handle was made.
    unsafe { tables.count(1, 0) };
    drop(tables);
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
        unused: Arc::default(),
        group: OnceLock::new(),
        ending: OnceLock::new(),
        closed: false,
    };
    let mut size = 0;
    // SAFETY: libcpg looks the handle up and writes one u32 (lib/cpg.c, cpg_max_atomic_msgsize_get).
    let code = unsafe { sys::cpg_max_atomic_msgsize_get(handle, &raw mut size) };
    check("cpg_max_atomic_msgsize_get", code)?;
    open.max_atomic = MAX_MESSAGE.min(size as usize);
    open.socket_buffer = socket::send_buffer(open.fd).map_err(Error::io("getsockopt"))?;
    Ok(open)
}

/// Makes a handle and returns its descriptor too, after checking that the daemon is the right one. The caller holds the lock.
fn initialize(
    left: StackLeft<{ frames::CONNECT }>,
    options: ConnectOptions,
    context: &Arc<Context>,
    descriptors: usize,
) -> Result<(RawFd, sys::cpg_handle_t)> {
    // If libqb gets no descriptor for its socket, it closes descriptor 0, whatever file that is (lib/ipc_setup.c).
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
        // Closing sends a request to the daemon, and this daemon may never answer (B16).
        socket::shut_down(fd);
        drop(finalize(handle));
        return Err(refused);
    }
    Ok((fd, handle))
}

/// Closes a handle that has been made. The caller holds the lock.
fn finalize(handle: sys::cpg_handle_t) -> Result<()> {
    // SAFETY: the handle was made and nobody else has it, and the lock is held (A12).
    let ended = thread::with_stack(|left| unsafe { frames::finalize(left, handle) });
    check("cpg_finalize", ended?)
}
