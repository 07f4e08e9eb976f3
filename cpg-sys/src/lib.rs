//! Raw declarations of libcpg, the closed process groups of the [corosync] cluster engine.
//!
//! This crate has every function, type and constant of `corosync/cpg.h` under its C name, and the two
//! enumerations of `corosync/corotypes.h` that they use. Nothing is made safe. Programs should use the crate
//! [`corosync-cpg`], which is built on this one; this crate is for other bindings.
//!
//! The documentation of each function has the behaviour that its manual page does not mention. The page
//! [`facts`] of `corosync-cpg` has a table of this behaviour, with the precautions of a safe binding. The C
//! library's own manual is in `cpg_overview(3)`, in `cpg_model_initialize(3)` and in its neighbours.
//!
//! * C enumerations are integers with constants: the daemon may send values that a header does not know.
//! * Callbacks are `Option<unsafe extern "C" fn(…)>`, where `None` is C's `NULL`.
//! * `iovec` is `libc::iovec`.
//! * `cs_strerror` is missing, because it is in another library, `libcorosync_common`.
//!
//! # Calls that must not run at the same time
//!
//! Only parts of libcpg are thread-safe. Its callers have to keep these rules:
//!
//! * **In the whole process** only one thread at a time is in [`cpg_initialize`], [`cpg_model_initialize`],
//!   [`cpg_finalize`], [`cpg_iteration_initialize`] or [`cpg_iteration_finalize`], even with different handles.
//!   [`Tables`] is the lock for these calls, which all bindings in a program share. It also counts handles and
//!   iterations, because libcpg's tables move with the 48th of each.
//! * **In the whole process** only one thread at a time is in [`cpg_zcb_alloc`], up to libcpg 3.1.10.
//! * **For each handle** only one thread at a time sends or makes requests. A request is any function that
//!   waits for the daemon's answer: [`cpg_join`], [`cpg_leave`], [`cpg_membership_get`], [`cpg_local_get`], a
//!   long message, the functions of iterations and those of zero-copy buffers.
//! * **For each handle** only one thread at a time is in [`cpg_dispatch`], and no callback calls it. This may be
//!   another thread than the one that makes requests.
//! * A forked child does not use the handles of its parent.
//!
//! [`cpg_fd_get`], [`cpg_max_atomic_msgsize_get`], [`cpg_context_get`], [`cpg_context_set`] and
//! [`cpg_flow_control_state_get`] make no request, and may be called at any time between [`cpg_initialize`] and
//! [`cpg_finalize`], as long as libcpg's tables do not move. Do not call [`cpg_context_set`] while another
//! thread dispatches.
//!
//! # A program
//!
//! This program joins a group, sends a message, and dispatches until the message has come back. The callback
//! gets only the handle, and finds the program's state through the context pointer of the handle.
//!
//! ```no_run
//! use std::cell::RefCell;
//! use std::ffi::{c_char, c_void};
//! use std::{ptr, slice};
//!
//! use cpg_sys::*;
//!
//! /// The messages that were delivered. Callbacks and program share them by reference, so this is a cell.
//! type Messages = RefCell<Vec<Vec<u8>>>;
//!
//! /// A `cpg_deliver_fn_t`. It must not panic, because a panic here aborts the process.
//! unsafe extern "C" fn deliver(
//!     handle: cpg_handle_t,
//!     _group: *const cpg_name,
//!     _nodeid: u32,
//!     _pid: u32,
//!     msg: *mut c_void,
//!     msg_len: usize,
//! ) {
//!     let mut context = ptr::null_mut();
//!     // SAFETY: the handle is open, since libcpg is dispatching it, and there is room for one pointer.
//!     let error = unsafe { cpg_context_get(handle, &raw mut context) };
//!     if error != CS_OK {
//!         return;
//!     }
//!     // SAFETY: the context of each handle here is the `Messages` that its `Connection` borrows.
//!     let messages = unsafe { &*context.cast::<Messages>() };
//!     // SAFETY: libcpg gives the callback `msg_len` bytes until it returns, and nobody writes to them.
//!     let message = unsafe { slice::from_raw_parts(msg.cast::<u8>(), msg_len) };
//!     messages.borrow_mut().push(message.to_vec());
//! }
//!
//! /// A `cpg_confchg_fn_t` that ignores views.
//! unsafe extern "C" fn confchg(
//!     _handle: cpg_handle_t,
//!     _group: *const cpg_name,
//!     _members: *const cpg_address,
//!     _members_len: usize,
//!     _left: *const cpg_address,
//!     _left_len: usize,
//!     _joined: *const cpg_address,
//!     _joined_len: usize,
//! ) {
//! }
//!
//! /// An open handle, and a borrow of the value that its context points to.
//! ///
//! /// The reference to a cell makes this type neither `Send` nor `Sync`: one thread makes requests and dispatches.
//! struct Connection<'a> {
//!     handle: cpg_handle_t,
//!     messages: &'a Messages,
//! }
//!
//! fn check(error: cs_error_t) -> Result<(), cs_error_t> {
//!     if error == CS_OK { Ok(()) } else { Err(error) }
//! }
//!
//! impl<'a> Connection<'a> {
//!     fn open(messages: &'a Messages) -> Result<Self, cs_error_t> {
//!         let mut model = cpg_model_v1_data_t {
//!             model: CPG_MODEL_V1,
//!             cpg_deliver_fn: Some(deliver),
//!             cpg_confchg_fn: Some(confchg),
//!             cpg_totem_confchg_fn: None,
//!             flags: 0,
//!         };
//!         let mut handle = 0;
//!         let context = ptr::from_ref(messages).cast_mut().cast();
//!         let mut tables = Tables::lock(None).expect("a wait without a deadline ends with the lock");
//!         assert!(tables.handles() < Tables::CAPACITY, "the table would move");
//!         let data = (&raw mut model).cast();
//!         // SAFETY: the model is of the version that is named, libcpg copies it, and the lock is held.
//!         check(unsafe { cpg_model_initialize(&raw mut handle, CPG_MODEL_V1, data, context) })?;
//!         // SAFETY: one handle was made.
//!         unsafe { tables.count(1, 0) };
//!         Ok(Self { handle, messages })
//!     }
//!
//!     /// Joins the group. Call it only once: a handle supports only one membership.
//!     fn join(&self, group: &cpg_name) -> Result<(), cs_error_t> {
//!         // SAFETY: the handle is open, and libcpg reads one name.
//!         check(unsafe { cpg_join(self.handle, group) })
//!     }
//!
//!     fn send(&self, message: &[u8]) -> Result<(), cs_error_t> {
//!         let slice = libc::iovec { iov_base: message.as_ptr().cast_mut().cast(), iov_len: message.len() };
//!         // SAFETY: the handle is open; libcpg reads one slice and the bytes that it names.
//!         check(unsafe { cpg_mcast_joined(self.handle, CPG_TYPE_AGREED, &raw const slice, 1) })
//!     }
//!
//!     /// Waits for an event. It takes `&mut`, so that no callback can call it with another reference.
//!     fn dispatch(&mut self) -> Result<(), cs_error_t> {
//!         // SAFETY: the handle is open, and the callbacks find the `Messages` that are borrowed here. The
//!         // stack is that of the main thread, which is larger than the 1.1 MiB that libcpg needs.
//!         check(unsafe { cpg_dispatch(self.handle, CS_DISPATCH_ONE) })
//!     }
//! }
//!
//! impl Drop for Connection<'_> {
//!     fn drop(&mut self) {
//!         let mut tables = Tables::lock(None).expect("a wait without a deadline ends with the lock");
//!         // SAFETY: nothing uses the handle after this, no dispatch is under way, and the lock is held.
//!         unsafe { cpg_finalize(self.handle) };
//!         // SAFETY: one handle has ended, whatever libcpg returned.
//!         unsafe { tables.count(-1, 0) };
//!     }
//! }
//!
//! fn main() -> Result<(), cs_error_t> {
//!     let mut group = cpg_name { length: 6, ..Default::default() };
//!     for (to, from) in group.value.iter_mut().zip(b"ledger") {
//!         *to = *from as c_char;
//!     }
//!
//!     let messages = Messages::default();
//!     let mut connection = Connection::open(&messages)?;
//!     connection.join(&group)?;
//!     // CS_ERR_TRY_AGAIN would mean flow control: dispatch, and send again.
//!     connection.send(b"+5 alice")?;
//!     while connection.messages.borrow().is_empty() {
//!         connection.dispatch()?;
//!     }
//!     drop(connection);
//!     assert_eq!(messages.into_inner(), [b"+5 alice"]);
//!     Ok(())
//! }
//! ```
//!
//! # The search for libcpg
//!
//! The build links to the system's libcpg, [`MINIMUM_VERSION`] or newer. It searches in this order:
//!
//! 1. If `DOCS_RS` is set, it searches for nothing and links to nothing.
//! 2. `CPG_LIB_DIR`, the directory of `libcpg.so`, and `CPG_INCLUDE_DIR`, the directory that has
//!    `corosync/cpg.h` in it. Set both or neither. With the target before the name, as in
//!    `X86_64_UNKNOWN_LINUX_GNU_CPG_LIB_DIR`, they apply only to that target, and take precedence.
//! 3. `pkg-config libcpg`, with all variables of the [`pkg-config`] crate, such as `PKG_CONFIG_PATH` and, for
//!    cross builds, `PKG_CONFIG_ALLOW_CROSS` and `PKG_CONFIG_SYSROOT_DIR`.
//! 4. The same without `libqb.pc`, if that file is missing: `libcpg.pc` requires it, but linking does not.
//!
//! If nothing is found, the error lists the places that were tried, the packages to install, and the variables
//! to set.
//!
//! libcpg is a shared library, so programs must be dynamic. By default Rust makes static programs for musl. The
//! build stops in that case, and says to set `RUSTFLAGS="-C target-feature=-crt-static"`. Program and daemon share
//! structures in memory, so both must have the same word size and the same C library. The build cannot check
//! this.
//!
//! # The feature `bindgen`
//!
//! With this feature, which is on by default, the declarations are generated from the header that was found.
//! This needs libclang. `LIBCLANG_PATH` helps to find libclang, and `BINDGEN_EXTRA_CLANG_ARGS` is passed on to it.
//!
//! Without the feature the declarations come from a file in this crate. This needs neither libclang nor the
//! header, and a build takes one second instead of fifteen. It is meant for distributions, cross builds and
//! documentation.
//!
//! The generated and the committed declarations are the same, for every libcpg since [`MINIMUM_VERSION`] and on every
//! architecture; a test fails where they are not. This crate has its own documentation for both.
//!
//! # For build scripts of dependents
//!
//! The build script of a crate that depends directly on this crate can read these variables:
//!
//! * `DEP_CPG_INCLUDE`: the directory that has `corosync/cpg.h` in it, if there is one.
//! * `DEP_CPG_VERSION`: the version of the linked libcpg. With `CPG_LIB_DIR` it is set only if that directory
//!   has a `pkgconfig/libcpg.pc` in it.
//!
//! [corosync]: https://corosync.github.io/corosync/
//! [`corosync-cpg`]: https://docs.rs/corosync-cpg
//! [`facts`]: https://docs.rs/corosync-cpg/latest/cpg/facts/
//! [`pkg-config`]: https://docs.rs/pkg-config

#[cfg(test)]
mod fork;
mod tables;
mod turn;

pub use tables::{LockError, Tables, TablesGuard};
pub use turn::{InTurn, Turn};

/// The oldest version of libcpg with which this crate can be built.
pub const MINIMUM_VERSION: &str = env!("CPG_SYS_MINIMUM_VERSION");

// Names of the C library, in the style of bindgen.
#[allow(
    non_camel_case_types,
    non_snake_case,
    unused_qualifications,
    clippy::pedantic,
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks
)]
mod bindings {
    use libc::iovec;

    // The declarations of bindings.rs or of the installed header, with the documentation of declarations.md.
    include!(concat!(env!("OUT_DIR"), "/declarations.rs"));
}

pub use bindings::*;
