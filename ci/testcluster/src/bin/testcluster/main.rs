//! The command `testcluster`: it runs a private corosync cluster for the duration of a command.

#![forbid(unsafe_code)]

mod arguments;
mod client;
mod control;
mod init;
mod run;
mod session;

use std::io::{self, Write as _};
use std::process::ExitCode;

use arguments::Action;

/// The exit status of a failure of `testcluster` itself. `env`, `timeout` and similar commands use the same.
const FAILED: u8 = 125;

/// An error that ends the command, with a text for the user.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let result = match arguments::parse(lexopt::Parser::from_env()) {
        Ok(Action::Help) => print(&arguments::HELP.replace("{name}", &arguments::name())),
        Ok(Action::Version) => print(&format!("{} {}\n", arguments::name(), env!("CARGO_PKG_VERSION"))),
        Ok(Action::Run(options)) => run::run(&options),
        Ok(Action::Init { lifeline, options }) => init::run(lifeline, &options),
        Ok(Action::Session(options)) => session::run(&options),
        Ok(Action::On { node, command }) => client::on(&node, &command),
        Ok(Action::Request(request)) => client::request(&request),
        Err(error) => {
            let name = arguments::name();
            eprintln!("{name}: {error}\nTry `{name} --help`.");
            return ExitCode::from(2);
        }
    };
    report(result)
}

/// Prints a text. A closed pipe (`| head`) is no error.
fn print(text: &str) -> Result<u8, Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        result => result.map(|()| 0).map_err(|error| format!("standard output: {error}").into()),
    }
}

fn report(result: Result<u8, Failure>) -> ExitCode {
    result.map_or_else(
        |error| {
            eprintln!("{}: {error}", arguments::name());
            ExitCode::from(FAILED)
        },
        ExitCode::from,
    )
}
