//! How the smaller programs are called, and what they print.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use cpg::{Event, GroupName, Handle};

use crate::program::{self, End};

const HELP: &str = "\
Usage: {name} GROUP

Joins GROUP. Sends each line of standard input as a message; prints each message of the group as a line
NODE:PID<TAB>PAYLOAD, each view as 'members N'. Leaves when the input has ended and all of it has come back, or with
SIGINT or SIGTERM.
";

/// Connects, and runs the program with that and the group that is its argument.
pub fn main(name: &str, run: impl FnOnce(Handle, GroupName) -> Result<(), End>) -> ExitCode {
    program::main(name, HELP, |mut arguments| {
        use lexopt::prelude::*;
        let mut group = None;
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("help") | Short('h') => return Err(End::Help),
                Long("version") | Short('V') => return Err(End::Version),
                Value(value) if group.is_none() => group = Some(value),
                other => return Err(other.unexpected().into()),
            }
        }
        let group = group.ok_or(End::Usage("which GROUP?".to_owned()))?;
        let group = GroupName::new(group.as_bytes())?;
        run(Handle::connect()?, group)
    })
}

/// Prints an event.
pub fn show(mut output: impl Write, event: &Event<'_>) -> io::Result<()> {
    match event {
        Event::Deliver(message) => {
            write!(output, "{}\t", message.sender())?;
            output.write_all(message.payload())?;
            writeln!(output)
        }
        Event::ConfChg(view) => writeln!(output, "members {}", view.members().len()),
        _ => Ok(()),
    }
}
