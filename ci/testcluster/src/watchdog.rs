//! The process that ends everything on the nodes when the cluster ends, in whichever way.
//!
//! The process that started the cluster may be killed, and then nobody is left who knows what ran
//! on the nodes. This small shell waits for that: it reads from a pipe that closes, and a forked
//! child that keeps the pipe open does not deceive it because it gets a signal as well. Then it
//! kills what is in the network namespaces of the nodes.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::error::{Error, Result};
use crate::namespace::SHARED;

/// Waits for the end. Arguments: the process that started the cluster, the directory with the nodes' namespaces,
/// [`CLEAN_UP`].
///
/// It goes on in the trap because some shells go on reading after one, and in a new shell because a trap that comes in the
/// middle of a condition changes what that says in some (dash 0.5.12).
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

/// Kills what is on the nodes. A killed process is found again until it has ended; a zombie has no namespaces.
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
    /// Starts it, from a thread that lives as long as the cluster, in the shared namespaces.
    pub(crate) fn start(setpriv: &Path) -> Result<Self> {
        let failed = || Error::system(CLEANER);
        let mut child = Command::new(setpriv)
            .args(["--pdeathsig", "TERM", "sh", "-c", WAIT, "testcluster-watchdog"])
            .arg(std::process::id().to_string())
            .args([SHARED, CLEAN_UP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What is typed at a terminal to end the tests must not end this.
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
    /// Lets it kill what is on the nodes, and waits until that is done.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        match self.0.wait() {
            Ok(status) if status.success() => {}
            Ok(status) => eprintln!("testcluster: {CLEANER}: {status}: processes may be left on the nodes"),
            Err(error) => eprintln!("testcluster: {CLEANER}: {error}"),
        }
    }
}
