//! The process that owns the cluster: it runs the user's command, and serves the requests of processes inside the
//! cluster.

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

/// The environment variable that tells processes inside the cluster how to reach the session.
pub(crate) const VARIABLE: &str = "TESTCLUSTER";

/// The place of the socket, which only the nodes can see.
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
    // Not `command_on`: its child ends with status 127 if there is no such program, and a program may end with 127 as
    // well.
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

/// Returns `PATH` with two additions at its end: the directories of system programs, such as corosync's tools, and the
/// directory of this program. So the command finds all of them by name.
fn path() -> Result<OsString, Failure> {
    let program =
        env::current_exe().map_err(|error| format!("the path of this program is not known: {error}"))?;
    let mut path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    if let Some(directory) = program.parent() {
        path.push(":");
        path.push(directory);
    }
    Ok(path)
}

/// Makes the keys that send signals act on the command only, as in a shell: this process ends when the command does.
/// The signals get a handler, because a new program would inherit ignored signals.
pub(crate) fn ignore_interrupts() -> io::Result<()> {
    for signal in [SIGINT, SIGQUIT] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}
