//! Running programs with the stub of libcpg.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::Result;
use crate::field::compile_to;

/// A directory with the stub in it, under the name of the library.
pub struct Stub {
    directory: PathBuf,
}

impl Stub {
    pub fn build() -> Result<Self> {
        let directory = std::env::current_exe()?.with_file_name("cpg-benchmarks-stub");
        fs::create_dir_all(&directory)?;
        let map = concat!("-Wl,--version-script=", env!("CARGO_MANIFEST_DIR"), "/c/stub.map");
        let options = ["-shared", "-fPIC", "-pthread", "-Wl,-soname,libcpg.so.4", map];
        compile_to(&directory.join("libcpg.so.4"), "stub", &options)?;
        Ok(Self { directory })
    }

    /// Makes a program use the stub.
    pub fn under<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("LD_LIBRARY_PATH", &self.directory)
    }

    /// Returns the path of a file in this directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}
