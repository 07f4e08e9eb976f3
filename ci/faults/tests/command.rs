//! The command line of `ci/torture`.

use std::process::Command;

use testcluster::child::{assert_code, run, succeed};

fn torture(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cpg-faults"));
    command.args(arguments);
    command
}

#[test]
fn the_command_prints_its_usage_and_its_version() {
    let help = succeed(&mut torture(&["--help"]));
    assert!(String::from_utf8_lossy(&help.stdout).contains("\nUsage: ci/torture [OPTIONS]\n"));
    for option in ["--version", "-V"] {
        let version = succeed(&mut torture(&[option]));
        assert_eq!(version.stdout, concat!("torture ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
    }
    let mut wrong = torture(&["--no-such-option"]);
    let output = run(&mut wrong);
    assert_code(&wrong, &output, 2);
    assert!(output.stderr.starts_with(b"torture: invalid option"), "{output:?}");
}
