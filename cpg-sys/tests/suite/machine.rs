//! The parts of the machine that these tests use: the libcpg that they are linked to, its header, tools, temporary directories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The directory of the header that the build has found.
pub const INCLUDE: &str = match option_env!("CPG_SYS_INCLUDE") {
    Some(dir) => dir,
    None => panic!("the build has found libcpg, but not corosync/cpg.h, which these tests read"),
};

/// `corosync/cpg.h` without its comments.
pub fn header() -> String {
    let path = Path::new(INCLUDE).join("corosync/cpg.h");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    without_comments(&text)
}

pub fn without_comments(text: &str) -> String {
    let mut parts = text.split("/*");
    let mut code = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        code.push_str(part.split_once("*/").expect("a comment has an end").1);
    }
    code
}

/// The libcpg that this very program has loaded.
pub fn libcpg() -> PathBuf {
    // One symbol keeps a linker with --as-needed from leaving the library out.
    let address = cpg_sys::cpg_finalize as *const () as usize;
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc/self/maps can be read");
    let line = maps.lines().find(|line| {
        let (start, end) =
            line.split_once(' ').and_then(|(range, _)| range.split_once('-')).expect("a range");
        let number = |text| usize::from_str_radix(text, 16).expect("a hexadecimal address");
        (number(start)..number(end)).contains(&address)
    });
    let path = line.and_then(|line| line.find('/').map(|slash| &line[slash..]));
    PathBuf::from(path.expect("cpg_finalize lies in a file"))
}

/// A directory of this name, empty.
pub fn fresh_dir(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if dir.exists() {
        fs::remove_dir_all(&dir).expect("an old temporary directory can be removed");
    }
    fs::create_dir_all(&dir).expect("a temporary directory can be made");
    dir
}

/// A directory for `PKG_CONFIG_LIBDIR` with a `libcpg.pc` for the real library, like that of the distributions.
pub fn pkg_config_dir(name: &str, version: &str) -> PathBuf {
    let dir = fresh_dir(name);
    let lib = libcpg();
    let lib = lib.parent().expect("the library is in a directory").display();
    let text = format!(
        "Name: cpg\nDescription: cpg\nVersion: {version}\nRequires: libqb\n\
         Libs: -L{lib} -lcpg\nCflags: -I{INCLUDE}\n"
    );
    fs::write(dir.join("libcpg.pc"), text).expect("libcpg.pc can be written");
    dir
}

/// Runs a tool to its success and returns what it prints.
pub fn output_of(command: &mut Command) -> String {
    let output = run(command);
    assert_success(&format!("{command:?}"), &output);
    text(&output.stdout)
}

/// Asserts that a program has succeeded, and says which failed, how and with which words.
#[track_caller]
pub fn assert_success(name: &str, output: &Output) {
    assert!(output.status.success(), "{name}: {}\n{}", output.status, text(&output.stderr));
}

pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Takes away what the surroundings say about where libcpg is, so that a test alone says it.
pub fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let known = name.to_string_lossy();
        if known.contains("PKG_CONFIG") || known.contains("CPG_") || known == "DOCS_RS" {
            command.env_remove(name);
        }
    }
    command
}
