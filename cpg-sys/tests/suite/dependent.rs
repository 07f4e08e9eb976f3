//! A crate that depends on this one, built by cargo.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::machine::{self, INCLUDE, text};

const BUILD_RS: &str = r#"
fn main() {
    for name in ["DEP_CPG_INCLUDE", "DEP_CPG_VERSION"] {
        println!("cargo::rustc-env={name}={}", std::env::var(name).unwrap_or("absent".into()));
    }
}
"#;

/// Prints the metadata, and what the library says to a handle that it does not know.
const MAIN_RS: &str = r#"
fn main() {
    // SAFETY: any number will do, and this one is no handle.
    let code = unsafe { cpg_sys::cpg_finalize(0) };
    println!("{} {} {}", env!("DEP_CPG_INCLUDE"), env!("DEP_CPG_VERSION"), code == cpg_sys::CS_ERR_BAD_HANDLE);
}
"#;

/// One crate for all tests, one at a time, so that its dependencies are compiled once.
struct Dependent {
    dir: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Dependent {
    fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dependent");
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let manifest = format!(
            "[package]\nname = \"dependent\"\nedition = \"2024\"\n\n[workspace]\n\n\
             [dependencies]\ncpg-sys = {{ path = \"{}\", default-features = false }}\n",
            own.display()
        );
        fs::create_dir_all(dir.join("src")).expect("a directory can be made");
        for (file, content) in
            [("Cargo.toml", manifest.as_str()), ("build.rs", BUILD_RS), ("src/main.rs", MAIN_RS)]
        {
            fs::write(dir.join(file), content).expect("the crate can be written");
        }
        // The versions that are on this machine for certain.
        if let Some(lock) = own.ancestors().map(|dir| dir.join("Cargo.lock")).find(|lock| lock.exists()) {
            fs::copy(lock, dir.join("Cargo.lock")).expect("Cargo.lock can be copied");
        }
        Self { dir, _alone: alone }
    }

    fn cargo(&self, subcommand: &str, settings: &[(&str, &Path)]) -> Output {
        let mut command = Command::new(env!("CARGO"));
        machine::without_settings(&mut command)
            .current_dir(&self.dir)
            .args([subcommand, "--offline", "--target-dir", "target"])
            .env_remove("CARGO_BUILD_TARGET")
            .env("PKG_CONFIG_LIBDIR", "/nonexistent")
            .envs(settings.iter().copied());
        machine::run(&mut command)
    }

    /// Builds the program, and returns what cargo and the program say.
    fn build_and_run(&self, settings: &[(&str, &Path)]) -> (String, String) {
        let output = self.cargo("build", settings);
        let log = text(&output.stderr);
        machine::assert_success("cargo build", &output);
        (log, machine::output_of(&mut Command::new(self.dir.join("target/debug/dependent"))))
    }
}

#[test]
fn it_links_and_reads_the_metadata_with_libqb_missing() {
    let dir = machine::pkg_config_dir("dependent-pc", "3.1.42");
    let (log, said) = Dependent::new().build_and_run(&[("PKG_CONFIG_PATH", &dir)]);
    assert_eq!(said, format!("{INCLUDE} 3.1.42 true\n"));
    assert!(log.contains("libqb.pc, which libcpg.pc requires, is not installed"), "{log}");
}

#[test]
fn it_links_by_variables() {
    let dir = machine::fresh_dir("dependent-lib");
    std::os::unix::fs::symlink(machine::libcpg(), dir.join("libcpg.so")).expect("a link can be made");
    let settings = [("CPG_LIB_DIR", dir.as_path()), ("CPG_INCLUDE_DIR", Path::new(INCLUDE))];
    let (_, said) = Dependent::new().build_and_run(&settings);
    assert_eq!(said, format!("{INCLUDE} absent true\n"));
}

#[test]
fn it_is_told_why_it_does_not_build() {
    let output = Dependent::new().cargo("check", &[]);
    let log = text(&output.stderr);
    assert!(!output.status.success(), "cargo check succeeds: {log}");
    assert!(log.contains("error: cannot find libcpg") && log.contains("apt install libcpg-dev"), "{log}");
}

#[test]
fn its_documentation_builds_without_libcpg() {
    let output = Dependent::new().cargo("check", &[("DOCS_RS", Path::new("1"))]);
    machine::assert_success("cargo check", &output);
}
