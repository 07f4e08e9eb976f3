//! The process that ends everything on the nodes when the cluster ends in any way.
//!
//! If the process that started the cluster is killed, no other process knows what runs on the nodes. This small shell
//! waits for that: it reads from a pipe that closes when that process ends. A forked child may keep the pipe open, so
//! the shell also gets a signal when its parent dies. Then the shell kills all processes in the network namespaces of
//! the nodes.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::error::{Error, Result};
use crate::namespace::SHARED;

/// A script that waits for the end. Arguments: the process that started the cluster, the directory with the namespaces
/// of the nodes, [`CLEAN_UP`].
///
/// The clean-up starts in the trap, because some shells go on reading after a trap. It runs in a new shell, because in
/// some shells (dash 0.5.12) a trap in the middle of a condition changes the result of the condition.
const WAIT: &str = r#"
clean_up() {
    trap '' TERM
    exec sh -c "$3" testcluster-watchdog "$1" "$2"
}
trap 'clean_up "$@"' TERM
[ "$PPID" = "$1" ] || exit 0
echo ready
read -r line
clean_up "$@"
"#;

/// A script that kills all processes on the nodes. It repeats this until it finds none; a zombie has no namespaces and
/// is not found.
const CLEAN_UP: &str = r#"
rounds=0
while [ "$rounds" -lt 10000 ]; do
    found=
    for process in /proc/[0-9]*; do
        for network in "$2"/net-*; do
            [ "$process/ns/net" -ef "$network" ] || continue
            pid=${process#/proc/}
            [ "$pid" = "$1" ] && continue
            kill -KILL "$pid" && found=yes
        done
    done
    [ "$found" ] || exit 0
    rounds=$((rounds + 1))
done 2>/dev/null
exit 1
"#;

const CLEANER: &str = "the shell that cleans up";

#[derive(Debug)]
pub(crate) struct Watchdog(Child);

impl Watchdog {
    /// Starts the shell. The calling thread is in the shared namespaces and lives as long as the cluster.
    pub(crate) fn start(setpriv: &Path) -> Result<Self> {
        let failed = || Error::system(CLEANER);
        let mut child = Command::new(setpriv)
            .args(["--pdeathsig", "TERM", "sh", "-c", WAIT, "testcluster-watchdog"])
            .arg(std::process::id().to_string())
            .args([SHARED, CLEAN_UP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // In a new process group, so that ^C at a terminal does not end the shell.
            .process_group(0)
            .spawn()
            .map_err(failed())?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(failed())?;
        }
        if line.trim() == "ready" {
            return Ok(Self(child));
        }
        let status = child.wait().map_err(failed())?;
        Err(Error::Tool { command: CLEANER.to_owned(), output: format!("{status} at its start") })
    }
}

impl Drop for Watchdog {
    /// Makes the shell kill all processes on the nodes, and waits until it has done so.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        match self.0.wait() {
            Ok(status) if status.success() => {}
            Ok(status) => eprintln!("testcluster: {CLEANER}: {status}: processes may be left on the nodes"),
            Err(error) => eprintln!("testcluster: {CLEANER}: {error}"),
        }
    }
}
