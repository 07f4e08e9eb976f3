//! The programs that a cluster is made with: where they are, and which package has them.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{AccessFlags, access};

use crate::error::{Error, Result};

/// A user's `PATH` often lacks the directories where system programs are.
const MORE_DIRECTORIES: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

const POLL: Duration = Duration::from_millis(1);

/// The full paths of the programs.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) corosync: PathBuf,
    pub(crate) cmapctl: PathBuf,
    pub(crate) ip: PathBuf,
    pub(crate) nsenter: PathBuf,
    pub(crate) setpriv: PathBuf,
}

impl Tools {
    pub(crate) fn find() -> Result<Self> {
        let mut missing = Vec::new();
        let mut tool = |name: &str, package: &str| {
            find(name).unwrap_or_else(|| {
                missing.push(format!("  {name}: {package}"));
                PathBuf::new()
            })
        };
        let corosync = "package corosync (Debian, Ubuntu, Fedora, openSUSE, Arch AUR; RHEL: repository HighAvailability)";
        let iproute = "package iproute2 (Debian, Ubuntu, openSUSE, Arch, Alpine), iproute (Fedora, RHEL)";
        let util_linux = "package util-linux (Alpine: util-linux-misc and setpriv)";
        let tools = Self {
            corosync: tool("corosync", corosync),
            cmapctl: tool("corosync-cmapctl", corosync),
            ip: tool("ip", iproute),
            nsenter: tool("nsenter", util_linux),
            setpriv: tool("setpriv", util_linux),
        };
        if missing.is_empty() {
            return Ok(tools);
        }
        Err(Error::MissingTool(format!(
            "a test cluster needs programs that are neither in PATH nor in {MORE_DIRECTORIES}:\n{}",
            missing.join("\n"),
        )))
    }
}

fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(env::split_paths(MORE_DIRECTORIES))
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    file.is_file() && access(file, AccessFlags::X_OK).is_ok()
}

/// Runs a program that prints little, and gives what it printed on standard output.
///
/// A program that has not ended by the deadline is killed: one that asks a stopped daemon would
/// wait for ever.
pub(crate) fn output(command: &mut Command, deadline: Instant) -> Result<String> {
    let failed = |command: &Command, output: String| Error::Tool { command: format!("{command:?}"), output };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::system(format!("{command:?}")))?;
    let mut in_time = true;
    loop {
        match child.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) if Instant::now() < deadline => thread::sleep(POLL),
            Ok(None) => {
                in_time = false;
                // It has ended meanwhile when this fails.
                let _: io::Result<()> = child.kill();
                break;
            }
            Err(error) => return Err(failed(command, error.to_string())),
        }
    }
    let output = child.wait_with_output().map_err(Error::system(format!("{command:?}")))?;
    if !in_time {
        return Err(failed(command, "did not end in time".to_owned()));
    }
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    let printed = if printed.trim().is_empty() { output.status.to_string() } else { printed };
    Err(failed(command, printed))
}
