//! Making the namespaces of a cluster and of a node, and entering those of a node.

use std::env;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::error::{Error, Result};
use crate::root;

/// The directory of the cluster's files on all nodes, a file system in memory.
pub(crate) const SHARED: &str = "/run/testcluster";

/// The entries of the outer `/run` that a node does not see: the file by which a daemon makes sure to be the only one
/// in this `/run`, and the state of a daemon, which is there if a cluster is started inside another.
const HIDDEN: [&str; 2] = ["corosync.pid", "corosync-state"];

/// The size limit of `/dev/shm` on a node. The ring buffers of a connection use megabytes, and tests make hundreds of
/// connections.
const SHM_OPTIONS: &str = "mode=1777,size=16g,nr_inodes=0";

/// The namespaces of a node, held open.
#[derive(Debug)]
pub(crate) struct Namespaces {
    pub(crate) mount: File,
    pub(crate) network: File,
}

impl Namespaces {
    fn of_this_thread() -> Result<Self> {
        let open = |name: &str| {
            let path = format!("/proc/thread-self/ns/{name}");
            File::open(&path).map_err(Error::system(path))
        };
        Ok(Self { mount: open("mnt")?, network: open("net")? })
    }

    /// Moves the calling thread into these namespaces. It cannot go back.
    pub(crate) fn enter(&self) -> Result<()> {
        let directory = env::current_dir();
        // The kernel lets a thread change its mount namespace only if it does not share its working directory with
        // other threads.
        unshare(CloneFlags::CLONE_FS).map_err(Error::errno("unshare(CLONE_FS)"))?;
        setns(&self.mount, CloneFlags::CLONE_NEWNS).map_err(Error::errno("setns(CLONE_NEWNS)"))?;
        setns(&self.network, CloneFlags::CLONE_NEWNET).map_err(Error::errno("setns(CLONE_NEWNET)"))?;
        // Entering a mount namespace changes to its root directory.
        let directory = directory.map_err(Error::system("the working directory"))?;
        let what = format!("entering the working directory {} on the node", directory.display());
        env::set_current_dir(&directory).map_err(Error::system(what))
    }

    /// Returns the paths by which other processes can open the namespaces, as long as this process holds them.
    pub(crate) fn paths(&self) -> [PathBuf; 2] {
        [&self.mount, &self.network]
            .map(|file| PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())))
    }
}

/// Moves the calling thread to new namespaces, which connect the nodes of a cluster.
pub(crate) fn make_shared() -> Result<()> {
    new_namespaces()?;
    root::make_private()?;
    own_run()?;
    fs::create_dir_all(SHARED).map_err(Error::system(SHARED))?;
    tmpfs(SHARED, "mode=755")
}

/// Moves the calling thread from the shared namespaces to new ones for a node.
pub(crate) fn make_node() -> Result<Namespaces> {
    new_namespaces()?;
    own_run()?;
    tmpfs("/dev/shm", SHM_OPTIONS)?;
    Namespaces::of_this_thread()
}

/// Gives a network namespace a name in the mount namespace of the calling thread.
pub(crate) fn name_network(namespaces: &Namespaces, name: &Path) -> Result<()> {
    let failed = || format!("mount --bind {}", name.display());
    File::create(name).map_err(Error::system(name.display().to_string()))?;
    let [_, network] = namespaces.paths();
    mount(Some(&network), name, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(Error::errno(failed()))
}

fn new_namespaces() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
        .map_err(Error::errno("making namespaces: unshare(CLONE_NEWNS | CLONE_NEWNET)"))
}

fn tmpfs(directory: &str, options: &str) -> Result<()> {
    mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(options))
        .map_err(Error::errno(format!("mount -t tmpfs {directory}")))
}

/// Covers `/run` with a new one that shows the content of the old one, except the files of another daemon.
///
/// The content is needed, because some distributions have all their programs below `/run`.
fn own_run() -> Result<()> {
    let run = Path::new("/run");
    let old = File::open(run).map_err(Error::system("/run"))?;
    let entries = fs::read_dir(run).map_err(Error::system("/run"))?;
    let entries: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.file_name())).collect();
    let entries = entries.map_err(Error::system("/run"))?;
    tmpfs("/run", "mode=755")?;
    let old = PathBuf::from(format!("/proc/thread-self/fd/{}", old.as_raw_fd()));
    for name in entries {
        if !HIDDEN.iter().any(|hidden| name == *hidden) {
            match show(&old.join(&name), &run.join(&name)) {
                // An entry that this process may not read, or that has just been removed, is not needed.
                Err(Error::System { source, .. })
                    if matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound) => {}
                // A cluster needs few of these entries, so it starts without this one.
                Err(error) => eprintln!("testcluster: not shown on the nodes: {error}"),
                Ok(()) => {}
            }
        }
    }
    Ok(())
}

fn show(from: &Path, to: &Path) -> Result<()> {
    let failed = || Error::system(to.display().to_string());
    let kind = from.symlink_metadata().map_err(failed())?.file_type();
    if kind.is_symlink() {
        let target = fs::read_link(from).map_err(failed())?;
        return symlink(target, to).map_err(failed());
    }
    if kind.is_dir() {
        fs::DirBuilder::new().mode(0o755).create(to).map_err(failed())?;
    } else {
        File::create(to).map_err(failed())?;
    }
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .map_err(Error::errno(format!("mount --rbind {}", to.display())))
}
