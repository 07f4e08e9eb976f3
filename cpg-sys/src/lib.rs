//! Raw declarations of libcpg, the closed process groups of the [corosync] cluster engine.
//!
//! Every function, type and constant of `corosync/cpg.h` is here under its C name, with documentation of this crate's own,
//! and of `corosync/corotypes.h` the two enumerations that they use. Nothing is made safe: programs want
//! the crate [`corosync-cpg`], which is built on this one, and other bindings may want these.
//! The C library's own manual is in `cpg_overview(3)` and in `cpg_model_initialize(3)` and its neighbours.
//!
//! * C enumerations are integers with constants: the daemon may send values that a header does not know.
//! * Callbacks are `Option<unsafe extern "C" fn(…)>`, where `None` is C's `NULL`. Register all of them:
//!   libcpg before 3.1.10 calls a deliver callback without looking whether there is one.
//! * `iovec` is [`libc::iovec`].
//! * `cs_strerror` is not here, because it is in another library, `libcorosync_common`.
//! * libcpg is not thread-safe where handles and iterations are made and ended; [`Tables`] is the lock for that.
//!
//! ```no_run
//! use cpg_sys::{CPG_MODEL_V1, CS_OK, cpg_finalize, cpg_local_get, cpg_model_initialize};
//!
//! // No callbacks: nothing is dispatched here.
//! let mut model = cpg_sys::cpg_model_v1_data_t {
//!     model: CPG_MODEL_V1,
//!     cpg_deliver_fn: None,
//!     cpg_confchg_fn: None,
//!     cpg_totem_confchg_fn: None,
//!     flags: 0,
//! };
//! let (mut handle, mut node) = (0, 0);
//! let data = (&raw mut model).cast();
//! // SAFETY: the model is one of this version, and no other thread is in libcpg.
//! let error = unsafe { cpg_model_initialize(&raw mut handle, CPG_MODEL_V1, data, std::ptr::null_mut()) };
//! assert_eq!(error, CS_OK);
//! // SAFETY: the handle is open, and there is room for the answer.
//! assert_eq!(unsafe { cpg_local_get(handle, &raw mut node) }, CS_OK);
//! // SAFETY: nothing uses the handle after this.
//! assert_eq!(unsafe { cpg_finalize(handle) }, CS_OK);
//! println!("this is node {node}");
//! ```
//!
//! # Where libcpg is found
//!
//! The build links to the system's libcpg, [`MINIMUM_VERSION`] or newer, and looks for it in this order:
//!
//! 1. With `DOCS_RS` set it looks for nothing and links to nothing.
//! 2. `CPG_LIB_DIR`, the directory of `libcpg.so`, and `CPG_INCLUDE_DIR`, the one that has `corosync/cpg.h`
//!    in it: both or neither. With the target before the name they count for that target alone, and more:
//!    `X86_64_UNKNOWN_LINUX_GNU_CPG_LIB_DIR`.
//! 3. `pkg-config libcpg`, with all variables of the [`pkg-config`] crate, such as `PKG_CONFIG_PATH` and, for
//!    cross builds, `PKG_CONFIG_ALLOW_CROSS` and `PKG_CONFIG_SYSROOT_DIR`.
//! 4. The same, where `libqb.pc` is missing: `libcpg.pc` requires it, linking does not.
//!
//! Where nothing is found, the error lists what was tried, and what to install or to set.
//!
//! # The feature `bindgen`
//!
//! With the feature, which is on by default, the declarations are generated from the header that was found.
//! That takes libclang, which `LIBCLANG_PATH` helps to find; `BINDGEN_EXTRA_CLANG_ARGS` is handed on to it.
//!
//! Without the feature they come from a file in this crate. That takes neither libclang nor the header, and a
//! build takes one second instead of fifteen: for distributions, cross builds and documentation.
//! The two are the same for every libcpg since [`MINIMUM_VERSION`] and on every architecture, and a test
//! fails where they are not. The documentation is this crate's own, and put before either.
//!
//! # For build scripts of dependents
//!
//! A crate that depends on this one directly can read in its build script
//!
//! * `DEP_CPG_INCLUDE`, the directory that has `corosync/cpg.h` in it, where there is one;
//! * `DEP_CPG_VERSION`, the version of the libcpg that is linked to. With `CPG_LIB_DIR` it is there only if that
//!   directory has a `pkgconfig/libcpg.pc` in it.
//!
//! [corosync]: https://corosync.github.io/corosync/
//! [`corosync-cpg`]: https://docs.rs/corosync-cpg
//! [`pkg-config`]: https://docs.rs/pkg-config

mod tables;

pub use tables::{Tables, TablesGuard};

/// The oldest libcpg that this crate can be built with.
pub const MINIMUM_VERSION: &str = env!("CPG_SYS_MINIMUM_VERSION");

// The C library's names, bindgen's style.
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

    // Those of bindings.rs or of the installed header, with the documentation of declarations.md.
    include!(concat!(env!("OUT_DIR"), "/declarations.rs"));
}

pub use bindings::*;
