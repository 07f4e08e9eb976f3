//! The root directory of a new mount namespace.

use std::env;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns};
use nix::unistd::{chdir, pivot_root};

use crate::error::{Error, Result};

const PRIVATE: MsFlags = MsFlags::MS_REC.union(MsFlags::MS_PRIVATE);

/// Keeps what the calling thread mounts in its new mount namespace from other namespaces.
///
/// In a chroot, whose directory is not where a file system is mounted, nothing can be said of its mounts, and threads that enter
/// the namespace later would find themselves outside of it. There the directory becomes the root of the namespace.
///
/// # Errors
/// What the kernel refused.
#[doc(hidden)]
pub fn make_private() -> Result<()> {
    match mount(None::<&str>, "/", None::<&str>, PRIVATE, None::<&str>) {
        Err(Errno::EINVAL) => leave_chroot(),
        result => result.map_err(Error::errno("mount --make-rprivate /")),
    }
}

fn leave_chroot() -> Result<()> {
    let directory = env::current_dir().map_err(Error::system("the working directory"))?;
    let root = File::open("/").map_err(Error::system("/"))?;
    let namespace = "/proc/thread-self/ns/mnt";
    let namespace = File::open(namespace).map_err(Error::system(namespace))?;
    // Entering a namespace, even the own one, goes to its root directory.
    setns(&namespace, CloneFlags::CLONE_NEWNS).map_err(Error::errno("setns(CLONE_NEWNS)"))?;
    mount(None::<&str>, "/", None::<&str>, PRIVATE, None::<&str>)
        .map_err(Error::errno("mount --make-rprivate / outside of the chroot"))?;
    let become_root = || {
        // Not fchdir, whose type is another in nix 0.29, the one of Debian 13.
        chdir(&PathBuf::from(format!("/proc/thread-self/fd/{}", root.as_raw_fd())))?;
        mount(Some("."), ".", None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?;
        // By its path, which leads to what has just been mounted there.
        chdir(&nix::unistd::getcwd()?)?;
        pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)?;
        chdir(&directory)
    };
    become_root().map_err(Error::errno("making the directory of the chroot the root of a mount namespace"))
}
