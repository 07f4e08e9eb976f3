//! The start and the end of the programs in this directory.

use std::env;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

/// The reason for which a program ends early.
#[derive(Debug)]
pub enum End {
    /// The user has asked for the help.
    Help,
    /// The user has asked for the version.
    Version,
    /// The arguments are not those that the help describes.
    Usage(String),
    /// No program reads the output any more, as with `| head`. This is no failure.
    OutputClosed,
    Failed(String),
}

impl From<lexopt::Error> for End {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<cpg::NameError> for End {
    fn from(error: cpg::NameError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<cpg::Error> for End {
    fn from(error: cpg::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<cpg::JoinError> for End {
    fn from(error: cpg::JoinError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Runs a program with its arguments. Reports an error on standard error, and returns the exit status. `{name}` in the
/// help becomes the name under which the program was called, because packages install some programs under another name.
pub fn main(name: &str, help: &str, run: impl FnOnce(lexopt::Parser) -> Result<(), End>) -> ExitCode {
    let called = env::args_os().next();
    let called = called.as_deref().and_then(|path| Path::new(path).file_name()?.to_str());
    let name = called.unwrap_or(name);
    let (text, status) = match run(lexopt::Parser::from_env()) {
        Ok(()) | Err(End::OutputClosed) => return ExitCode::SUCCESS,
        Err(End::Help) => return print(name, &help.replace("{name}", name)),
        Err(End::Version) => return print(name, &format!("{name} {}\n", env!("CARGO_PKG_VERSION"))),
        Err(End::Usage(text)) => (format!("{text}\nTry '{name} --help'."), 2),
        Err(End::Failed(text)) => (text, 1),
    };
    complain(name, &text);
    ExitCode::from(status)
}

fn print(name: &str, text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(name, &format!("standard output: {error}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn complain(name: &str, text: &str) {
    // If standard error fails, there is no place left to report to.
    let _: io::Result<()> = writeln!(io::stderr(), "{name}: {text}");
}
