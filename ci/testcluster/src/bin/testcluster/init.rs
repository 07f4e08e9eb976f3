//! The first process in the process namespace of the cluster. When it ends, the kernel kills all others in the
//! namespace.

use std::env;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, close};

use crate::arguments::{self, Options};
use crate::{FAILED, Failure};

pub(crate) fn run(lifeline: i32, options: &Options) -> Result<u8, Failure> {
    set_pdeathsig(Signal::SIGKILL)?;
    if !parent_lives(lifeline)? {
        return Ok(FAILED);
    }
    // By its path, because /proc/self/exe no longer works when the root directory has changed.
    let program = env::current_exe()?;
    own_proc()?;
    let session = Command::new(program)
        .arg0(arguments::name())
        .arg("internal-session")
        .args(options.arguments())
        .spawn()?;
    let session = Pid::from_raw(session.id().try_into()?);
    loop {
        // Every process that loses its parent becomes a child of this process.
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == session => return Ok(code.try_into()?),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == session => {
                return Ok(u8::try_from(128 + signal as i32)?);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Returns false if the process that started this one ended before this one could ask to die with it. Then no process
/// holds the other end of the pipe.
fn parent_lives(lifeline: i32) -> Result<bool, Failure> {
    let pipe = File::open(format!("/proc/self/fd/{lifeline}"))?;
    close(lifeline)?;
    let mut polled = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut polled, PollTimeout::ZERO)? == 0)
}

/// Mounts a `/proc` that shows the processes with their numbers in the namespace.
fn own_proc() -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    testcluster::root::make_private()?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>).map_err(|errno| {
        format!(
            "mounting /proc: {errno}. A container that hides parts of its /proc does not allow this: \
             start it with `--security-opt systempaths=unconfined` or `--privileged`"
        )
    })?;
    Ok(())
}
