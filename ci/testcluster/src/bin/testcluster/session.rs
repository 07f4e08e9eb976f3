//! The process that has the cluster: it runs the user's command and does what that asks for.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use signal_hook::consts::{SIGINT, SIGQUIT};
use testcluster::Cluster;

use crate::arguments::{self, Options};
use crate::run::exit_status;
use crate::{Failure, control};

/// What tells processes inside how to reach the session.
pub(crate) const VARIABLE: &str = "TESTCLUSTER";

/// All nodes see it there, and only they.
const SOCKET: &str = "/run/testcluster/control";

pub(crate) fn run(options: &Options) -> Result<u8, Failure> {
    let Options { nodes, transport, token, encrypted, command } = options;
    let builder = Cluster::builder().nodes(*nodes).transport(*transport).token(*token);
    let cluster = if *encrypted { builder.encrypted() } else { builder }.start()?;
    let listener =
        cluster.on(1, || UnixListener::bind(SOCKET)).map_err(|error| format!("{SOCKET}: {error}"))?;
    let cluster = Arc::new(cluster);
    let served = Arc::clone(&cluster);
    thread::Builder::new().name("control".to_owned()).spawn(move || control::serve(&served, &listener))?;

    let [program, arguments @ ..] = command.as_slice() else { return Err("no command".into()) };
    ignore_interrupts()?;
    let path = path()?;
    // Not command_on, whose child says by its status that there is no such program, as one does that ends with it.
    let child = cluster
        .on(1, || Command::new(program).args(arguments).env(VARIABLE, SOCKET).env("PATH", path).spawn());
    match child {
        Ok(mut child) => Ok(exit_status(child.wait()?)),
        Err(error) => {
            eprintln!("{}: {}: {error}", arguments::name(), Path::new(program).display());
            Ok(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
        }
    }
}

/// Ends with the directories of system programs, such as corosync's tools, and with that of this program, so that the command
/// finds all of them by their names.
fn path() -> Result<OsString, Failure> {
    let program = env::current_exe().map_err(|error| format!("where this program is: {error}"))?;
    let mut path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    if let Some(directory) = program.parent() {
        path.push(":");
        path.push(directory);
    }
    Ok(path)
}

/// What is typed at the terminal is for the command, as it is with a shell: this process ends when
/// the command does. Unlike ignored signals, ones with a handler are reset in new programs.
pub(crate) fn ignore_interrupts() -> io::Result<()> {
    for signal in [SIGINT, SIGQUIT] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}
