//! The command line and the output of the smaller programs.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use cpg::{Event, GroupName, Handle};

use crate::program::{self, End};

const HELP: &str = "\
Usage: {name} GROUP

Joins GROUP. Sends each line of standard input as a message. Prints each message of the group as a line
NODE:PID<TAB>PAYLOAD, and each change of the membership as 'members N'. Leaves the group when the input has ended
and all lines have been delivered, or when SIGINT or SIGTERM comes.
";

/// Connects, and runs the program with the connection and with the group that its argument names.
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
