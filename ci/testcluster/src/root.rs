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

/// Keeps the mounts of the calling thread's new mount namespace out of other namespaces.
///
/// In a chroot, the root directory is not a mount point. So the propagation of its mounts cannot be changed, and
/// threads that enter the namespace later would be outside the chroot. There, this function makes the directory the
/// root of the namespace.
///
/// # Errors
/// The operation that the kernel refused.
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
    // Entering a namespace changes to its root directory, even if the thread is in this namespace already.
    setns(&namespace, CloneFlags::CLONE_NEWNS).map_err(Error::errno("setns(CLONE_NEWNS)"))?;
    mount(None::<&str>, "/", None::<&str>, PRIVATE, None::<&str>)
        .map_err(Error::errno("mount --make-rprivate / outside of the chroot"))?;
    let become_root = || {
        // Not nix's fchdir, which has another type in nix 0.29, the version of Debian 13.
        chdir(&PathBuf::from(format!("/proc/thread-self/fd/{}", root.as_raw_fd())))?;
        mount(Some("."), ".", None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?;
        // By its path, which leads to the new mount.
        chdir(&nix::unistd::getcwd()?)?;
        pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)?;
        chdir(&directory)
    };
    become_root().map_err(Error::errno("making the directory of the chroot the root of a mount namespace"))
}
