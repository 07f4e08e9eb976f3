//! The command `testcluster`: a private corosync cluster for the length of a command.

#![forbid(unsafe_code)]

mod arguments;
mod client;
mod control;
mod init;
mod run;
mod session;

use std::process::ExitCode;

use arguments::Action;

/// What the command ends with when it fails itself, as `env`, `timeout` and their like do.
const FAILED: u8 = 125;

/// An error that ends the command, in words for its user.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let result = match arguments::parse(lexopt::Parser::from_env()) {
        Ok(Action::Help) => {
            // Whoever has closed the pipe has read enough.
            let help = arguments::HELP.replace("{name}", &arguments::name());
            let _ = std::io::Write::write_all(&mut std::io::stdout(), help.as_bytes());
            return ExitCode::SUCCESS;
        }
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
    result.map_or_else(
        |error| {
            eprintln!("{}: {error}", arguments::name());
            ExitCode::from(FAILED)
        },
        ExitCode::from,
    )
}
