//! How the programs of this directory start and end.

use std::env;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

/// Why a program ends before it has done what it is for.
#[derive(Debug)]
pub enum End {
    /// It was asked for its help.
    Help,
    /// It was asked for its version.
    Version,
    /// It was not called as its help says.
    Usage(String),
    /// Nobody reads its output any more (`| head`), which is no failure.
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

/// Runs a program with its arguments, and tells how it ended: on standard error and as an exit status. `{name}` in its help is
/// what it was called as: packages install some under another name.
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
    // Nobody is left to be told when this fails.
    let _: io::Result<()> = writeln!(io::stderr(), "{name}: {text}");
}
