//! The options `--help` and `--version` of all programs, and a wrong option: none of them needs a cluster.

use std::process::Command;

use crate::support::outcome;

const PROGRAMS: &[&str] = &[
    env!("CARGO_BIN_EXE_cpgcat"),
    env!("CARGO_BIN_EXE_cpg-bench"),
    env!("CARGO_BIN_EXE_chat"),
    env!("CARGO_BIN_EXE_members"),
    env!("CARGO_BIN_EXE_demo"),
    env!("CARGO_BIN_EXE_threads"),
    env!("CARGO_BIN_EXE_counter"),
    #[cfg(feature = "loops")]
    env!("CARGO_BIN_EXE_loop_polling"),
    #[cfg(feature = "loops")]
    env!("CARGO_BIN_EXE_loop_mio"),
    #[cfg(feature = "loops")]
    env!("CARGO_BIN_EXE_loop_calloop"),
    #[cfg(feature = "glib")]
    env!("CARGO_BIN_EXE_loop_glib"),
    #[cfg(feature = "loops")]
    env!("CARGO_BIN_EXE_tokio_chat"),
];

#[test]
fn every_program_prints_its_usage_and_its_version() {
    for program in PROGRAMS {
        let name = program.rsplit('/').next().unwrap();
        for option in ["--help", "-h"] {
            let (help, errors) = outcome(Command::new(program), &[option], 0);
            assert!(
                help.starts_with(&format!("Usage: {name}")) && !help.contains("{name}"),
                "{name}: {help}"
            );
            assert_eq!(errors, "");
        }
        for option in ["--version", "-V"] {
            let told = outcome(Command::new(program), &[option], 0);
            assert_eq!(told, (format!("{name} {}\n", env!("CARGO_PKG_VERSION")), String::new()));
        }
        let (output, errors) = outcome(Command::new(program), &["--no-such-option"], 2);
        assert_eq!(output, "");
        assert!(errors.starts_with(&format!("{name}: ")) && errors.contains("--help"), "{errors}");
    }
}

#[test]
fn a_help_that_cannot_be_printed_is_an_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cpgcat"));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = testcluster::child::run(command.arg("--help").stdout(full));
    testcluster::child::assert_code(&command, &output, 1);
    assert!(output.stderr.starts_with(b"cpgcat: standard output: No space left"), "{output:?}");
}
