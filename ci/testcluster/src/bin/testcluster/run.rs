//! `testcluster run`: the process that the user sees.
//!
//! It makes a process namespace. All of the cluster, the command included, is in it, so the kernel
//! ends everything when the namespace's first process ends, which dies with this one.

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
    // Of all that a cluster needs, the steps below take some, and their errors would not say what to do.
    rights::check()?;
    unshare(CloneFlags::CLONE_NEWPID).map_err(|errno| format!("making a process namespace: {errno}"))?;
    // The child gets one end, and not the other, whose copy is closed there. (fcntl has another type in nix 0.29, Debian 13's.)
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

/// Gets capabilities by becoming the root of a new user namespace.
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
        "a user namespace cannot be made here ({error}).\n{obstacle}\nOr run it as root: `sudo {name} run …`."
    )
    .into()
}

/// The first process of the namespace. It can tell by the lifeline whether this one still lives.
fn spawn_init(lifeline: &OwnedFd, options: &Options) -> Result<std::process::Child, Failure> {
    let child = Command::new("/proc/self/exe")
        .arg0(arguments::name())
        .arg("internal-init")
        .arg(lifeline.as_raw_fd().to_string())
        .args(options.arguments())
        .spawn();
    Ok(child?)
}

/// What a shell would show as the status.
pub(crate) fn exit_status(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    // A process that was waited for has one of both, and Unix gives a code one byte.
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(crate::FAILED)
}
