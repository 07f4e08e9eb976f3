//! Finds libcpg (`probe.rs`), says how to link to it, generates its declarations (`bindings.rs`) or takes the
//! committed ones, and documents them (`documentation.rs`).

mod advice;
#[cfg(feature = "bindgen")]
mod bindings;
mod documentation;
mod probe;

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use probe::Library;

/// The oldest libcpg that has all that is declared here.
const MINIMUM_VERSION: &str = "3.0.3";
const COMMITTED: &str = include_str!("../src/bindings.rs");

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build/main.rs");
    println!("cargo::rustc-check-cfg=cfg(cpg_sys_generated)");
    println!("cargo::rustc-env=CPG_SYS_MINIMUM_VERSION={MINIMUM_VERSION}");
    // For this crate's tests, which run this very program in environments of their own.
    println!("cargo::rustc-env=CPG_SYS_TARGET={}", probe::cargo_variable("TARGET"));
    if let Ok(program) = env::current_exe() {
        println!("cargo::rustc-env=CPG_SYS_BUILD_SCRIPT={}", program.display());
    }

    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("\n{text}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    // docs.rs has no libcpg, and documentation needs only the committed declarations.
    if probe::variable("DOCS_RS").is_some() {
        return write("declarations.rs", &documentation::add_to(COMMITTED));
    }
    if probe::is_static() {
        return Err(advice::for_static());
    }
    let library = probe::find(MINIMUM_VERSION)?;
    link(&library);
    #[cfg(not(feature = "bindgen"))]
    let declarations = COMMITTED.to_owned();
    #[cfg(feature = "bindgen")]
    let declarations = bindings::generate(&library.include_dirs)?;
    // For this crate's tests, which compare them with the committed ones.
    #[cfg(feature = "bindgen")]
    {
        println!("cargo::rustc-cfg=cpg_sys_generated");
        write("generated.rs", &declarations)?;
    }
    write("declarations.rs", &documentation::add_to(&declarations))
}

/// Writes a file into the directory for build results.
fn write(name: &str, text: &str) -> Result<(), String> {
    let file = Path::new(&probe::cargo_variable("OUT_DIR")).join(name);
    fs::write(&file, text).map_err(|error| format!("error: {}: {error}", file.display()))
}

/// Tells cargo where libcpg is, and dependents what was found.
fn link(library: &Library) {
    for dir in &library.lib_dirs {
        println!("cargo::rustc-link-search=native={}", dir.display());
        rerun_if_changed(&dir.join("libcpg.so"));
    }
    // Not libqb, which libcpg.pc names as well: libcpg loads it by itself.
    println!("cargo::rustc-link-lib=dylib=cpg");

    let header = Path::new("corosync/cpg.h");
    if let Some(dir) = library.include_dirs.iter().find(|dir| dir.join(header).exists()) {
        println!("cargo::metadata=include={}", dir.display());
        // For this crate's tests, which compare with what a C compiler says.
        println!("cargo::rustc-env=CPG_SYS_INCLUDE={}", dir.display());
        rerun_if_changed(&dir.join(header));
    }
    if let Some(version) = &library.version {
        println!("cargo::metadata=version={version}");
    }
}

/// Not for a path that does not exist: cargo would run this script at every build.
fn rerun_if_changed(path: &Path) {
    if path.exists() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}
