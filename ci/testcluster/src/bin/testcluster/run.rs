//! `testcluster run`: the process that the user sees.
//!
//! This process makes a process namespace, which contains the whole cluster and the command. When the first process of
//! the namespace ends, the kernel ends everything in it; and the first process dies with this process.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid, pipe2};
use testcluster::rights;

use crate::Failure;
use crate::arguments::{self, Options};
use crate::session::ignore_interrupts;

pub(crate) fn run(options: &Options) -> Result<u8, Failure> {
    if !rights::sufficient()? {
        become_root().map_err(|error| no_namespaces(&error))?;
    }
    // Checked first, because the steps below need some of these rights and their errors would not say what to do.
    rights::check()?;
    unshare(CloneFlags::CLONE_NEWPID).map_err(|errno| format!("making a process namespace: {errno}"))?;
    // The child inherits one end. (Not with nix's fcntl, which has another type in nix 0.29, the version of Debian 13.)
    let (lifeline, inherited) = pipe2(OFlag::empty())?;
    let held = inherited.try_clone()?;
    drop(inherited);
    let mut child = spawn_init(&lifeline, options)?;
    drop(lifeline);
    ignore_interrupts()?;
    let status = child.wait()?;
    drop(held);
    Ok(exit_status(status))
}

/// Gets capabilities: makes this process root in a new user namespace.
fn become_root() -> Result<(), Failure> {
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
    Ok(())
}

fn no_namespaces(error: &Failure) -> Failure {
    let obstacle = rights::obstacle().unwrap_or_else(|| {
        "In a container, the container's settings forbid it: `--cap-add=SYS_ADMIN --cap-add=NET_ADMIN` \
         or `--privileged` allow it. In a chroot the kernel forbids it."
            .to_owned()
    });
    let name = arguments::name();
    format!(
        "a user namespace cannot be made here ({error}).\n{obstacle}\nOr run {name} as root: `sudo {name} run …`."
    )
    .into()
}

/// Starts the first process of the namespace. It notices by the lifeline that this process has ended.
fn spawn_init(lifeline: &OwnedFd, options: &Options) -> Result<std::process::Child, Failure> {
    let child = Command::new("/proc/self/exe")
        .arg0(arguments::name())
        .arg("internal-init")
        .arg(lifeline.as_raw_fd().to_string())
        .args(options.arguments())
        .spawn();
    Ok(child?)
}

/// Returns the exit status as a shell would show it.
pub(crate) fn exit_status(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    // A process that has ended has either a code, which is one byte on Unix, or a signal.
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(crate::FAILED)
}
