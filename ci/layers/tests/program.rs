//! The output and the exit status of the program.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Writes a tree, and runs the program over it.
fn run(name: &str, error: &str) -> Output {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("src/packet")).unwrap();
    fs::write(folder.join("src/lib.rs"), "#![deny(unsafe_code)]\nmod error;\nmod packet;\n").unwrap();
    fs::write(folder.join("src/error.rs"), error).unwrap();
    fs::write(folder.join("src/packet/mod.rs"), "mod read;\n").unwrap();
    fs::write(folder.join("src/packet/read.rs"), "use crate::error;\n").unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_cpg-layers"));
    program.arg("src").current_dir(&folder);
    program.output().unwrap()
}

#[track_caller]
fn ends(output: &Output, code: i32, text: &str) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    assert!(out.contains(text) || err.contains(text), "no `{text}` in: {out}{err}");
}

#[test]
fn the_status_is_0_after_a_clean_tree() {
    ends(&run("clean", ""), 0, "4 files, 1 imports between them; wrong: 0\n");
}

#[test]
fn the_status_is_1_after_a_violation_and_its_place_is_printed() {
    ends(&run("wrong", "\nuse crate::packet::read;"), 1, "src/error.rs:2: imports from packet/read.rs: ");
}

#[test]
fn the_status_is_2_if_the_check_is_not_possible() {
    ends(&run("unparsable", "fn"), 2, "error.rs:1: cannot be parsed");
}
