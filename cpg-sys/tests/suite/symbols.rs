//! Every function that libcpg exports is declared, and links.

use std::collections::BTreeSet;
use std::process::Command;

use crate::declarations::{COMPILED, Exports};
use crate::machine;

macro_rules! functions {
    ($($name:ident)*) => {
        /// Names and addresses; that the program links says that the library has them all.
        fn linked() -> Vec<(&'static str, *const ())> {
            vec![$((stringify!($name), cpg_sys::$name as *const ())),*]
        }
    };
}

functions! {
    cpg_context_get cpg_context_set cpg_dispatch cpg_fd_get cpg_finalize cpg_flow_control_state_get
    cpg_initialize cpg_iteration_finalize cpg_iteration_initialize cpg_iteration_next cpg_join cpg_leave
    cpg_local_get cpg_max_atomic_msgsize_get cpg_mcast_joined cpg_membership_get cpg_model_initialize
    cpg_zcb_alloc cpg_zcb_free cpg_zcb_mcast_joined
}

/// The functions in the dynamic symbol table of the library that this program runs with.
fn exported() -> BTreeSet<String> {
    let library = machine::libcpg();
    let symbols = machine::output_of(Command::new("nm").args(["-D", "--defined-only"]).arg(library));
    symbols
        .lines()
        .filter_map(|line| line.split_once(" T "))
        .map(|(_, symbol)| symbol.split('@').next().unwrap_or(symbol).to_owned())
        .collect()
}

#[test]
fn this_program_runs_with_libcpg_4() {
    let path = machine::libcpg();
    let name = path.file_name().expect("a file name").to_string_lossy();
    assert!(name.starts_with("libcpg.so.4"), "{}", path.display());
}

#[test]
fn every_exported_function_links() {
    let names: BTreeSet<String> = linked().iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, exported());
    let addresses: BTreeSet<_> = linked().iter().map(|(_, address)| *address).collect();
    assert_eq!(addresses.len(), names.len(), "two names have one address");
}

#[test]
fn every_exported_function_is_declared_and_no_other() {
    assert_eq!(Exports::of(COMPILED).functions, exported());
}
