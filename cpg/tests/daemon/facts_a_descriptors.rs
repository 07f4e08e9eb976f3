//! Facts A14, A15, A23 and A24: libcpg and libqb change the descriptors and the umask of the process while other
//! threads use them.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::filter::forbid;
use crate::support::join;
use crate::support::mounts::{keep_shared_memory_alone, limit_shared_memory};
use crate::support::process::own_process;
use cpg::{Error, Group, Handle};
use testcluster::Cluster;

/// Ends the other threads when it is dropped, also in a panic.
struct End<'e>(&'e AtomicBool);
impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` while other threads run `beside` again and again.
fn beside<T>(beside: impl Fn() + Sync, work: impl FnOnce() -> T) -> T {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = End(&ended);
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    beside();
                }
            });
        }
        work()
    })
}

/// Opens descriptors until only so many are left.
fn leave_descriptors(left: usize) -> Vec<File> {
    let mut limit = libc::rlimit { rlim_cur: 256, rlim_max: 0 };
    // SAFETY: it writes one rlimit.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    limit.rlim_cur = 256;
    // SAFETY: it reads one rlimit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    taken.truncate(taken.len() - left);
    taken
}

/// Returns the open files and sockets of libqb that are not close-on-exec.
fn inheritable() -> Option<String> {
    fs::read_dir("/proc/self/fd").unwrap().flatten().find_map(|entry| {
        let link = fs::read_link(entry.path()).ok()?.display().to_string();
        let flags =
            fs::read_to_string(format!("/proc/self/fdinfo/{}", entry.file_name().to_string_lossy())).ok()?;
        let flags = flags.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let closes = i32::from_str_radix(flags.trim(), 8).unwrap() & libc::O_CLOEXEC != 0;
        let libqbs = link.contains("/dev/shm/qb-") || link.starts_with("socket:");
        (libqbs && !closes).then_some(link)
    })
}

#[test]
fn a23_no_descriptor_of_a_connection_is_inherited_while_connecting() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        assert_eq!(inheritable(), None);
        beside(
            || assert_eq!(inheritable(), None),
            || (0..300).for_each(|_| Handle::connect().unwrap().close().unwrap()),
        );
    });
}

#[test]
fn a23_no_descriptor_is_inherited_where_a_system_call_is_filtered_or_missing() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    for call in [libc::SYS_unshare, libc::SYS_close_range] {
        let connecting = cluster.spawn_on(1, move || {
            forbid(&[call]);
            beside(
                || assert_eq!(inheritable(), None),
                || (0..300).for_each(|_| Handle::connect().unwrap().close().unwrap()),
            );
        });
        connecting.join().unwrap();
    }
}

#[test]
fn a14_connecting_at_the_limit_of_descriptors_closes_none_of_the_process() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        // A connection needs more descriptors than are left.
        let taken = leave_descriptors(5);
        drop(Handle::connect().unwrap());
        drop(taken);
        let _taken = leave_descriptors(9);
        let opened = || drop((0..16).map(|_| File::open("/dev/null")).collect::<Vec<_>>());
        let end = Instant::now() + Duration::from_secs(2);
        let (mut connected, mut refused) = (0, 0);
        beside(opened, || {
            loop {
                match Handle::connect() {
                    Ok(_) => connected += 1,
                    Err(Error::NoDescriptors(_)) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
                // SAFETY: it asks for the flags of a descriptor.
                let flags = unsafe { libc::fcntl(0, libc::F_GETFD) };
                assert!(flags >= 0, "closed after {connected} connects, {refused} refused");
                if Instant::now() >= end {
                    break;
                }
            }
        });
    });
}

/// Runs `work` with standard error closed, as in a program that closes unused descriptors.
fn without_standard_error<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: it copies a descriptor.
    let kept = unsafe { libc::fcntl(libc::STDERR_FILENO, libc::F_DUPFD_CLOEXEC, 100) };
    assert!(kept >= 100);
    // SAFETY: this process has a copy of it, and nothing writes to it meanwhile.
    unsafe { libc::close(libc::STDERR_FILENO) };
    let done = work();
    // SAFETY: the first number is of the copy.
    assert_eq!(unsafe { libc::dup2(kept, libc::STDERR_FILENO) }, libc::STDERR_FILENO);
    done
}

#[test]
fn a24_a_connection_never_gets_the_number_of_a_standard_descriptor() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (group, sent) = without_standard_error(|| {
            let group = join("closed");
            let sent = group.send(&vec![24; 3 << 20]);
            (group, sent)
        });
        assert!(group.as_raw_fd() > libc::STDERR_FILENO, "{}", group.as_raw_fd());
        sent.unwrap();
        group.leave().unwrap();
    });
}

#[test]
fn a14_a_program_without_dev_null_can_connect() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        thread::scope(|scope| {
            let connect = || {
                keep_shared_memory_alone();
                assert!(File::open("/dev/null").is_err());
                Handle::connect().unwrap().close().unwrap();
            };
            scope.spawn(connect).join().unwrap();
        });
    });
}

fn umask() -> String {
    // Threads of a node share one table of descriptors, and not that of the main thread.
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    status.lines().find(|line| line.starts_with("Umask")).unwrap().to_owned()
}

#[test]
fn a15_zero_copy_in_two_threads_does_not_change_the_umask() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let before = umask();
        let groups: Vec<Group> = (0..2).map(|number| join(&format!("umask {number}"))).collect();
        let seen = || assert_eq!(umask(), before);
        beside(seen, || {
            thread::scope(|scope| {
                for group in groups {
                    scope.spawn(move || (0..500).for_each(|_| drop(group.zero_copy(1000).unwrap())));
                }
            });
        });
        assert_eq!(umask(), before);
    });
}

#[test]
fn a15_zero_copy_beside_a_thread_that_opens_files_ends_no_process() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let group = join("files");
        let kept = group.zero_copy(100).unwrap();
        let _taken = leave_descriptors(1);
        beside(
            || drop(File::open("/dev/null").map(|file| file.as_raw_fd())),
            || (0..1000).for_each(|_| drop(group.zero_copy(1000).unwrap())),
        );
        kept.send().unwrap();
    });
}

#[test]
fn a15_zero_copy_in_two_threads_shares_the_remaining_shared_memory() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let groups: Vec<Group> = (0..2).map(|number| join(&format!("short {number}"))).collect();
        // There is room for one buffer, and not for two.
        limit_shared_memory(800_000);
        let (mut made, mut refused) = (0, 0);
        thread::scope(|scope| {
            let tries = |group: Group| {
                move || {
                    let made = (0..300).map(|_| match group.zero_copy(500_000) {
                        Ok(_) => true,
                        Err(Error::NoSharedMemory { .. }) => false,
                        Err(error) => panic!("{error}"),
                    });
                    made.collect::<Vec<_>>()
                }
            };
            let threads: Vec<_> = groups.into_iter().map(|group| scope.spawn(tries(group))).collect();
            for tried in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
                if tried { made += 1 } else { refused += 1 }
            }
        });
        assert!(made > 0, "{made} {refused}");
    });
}
