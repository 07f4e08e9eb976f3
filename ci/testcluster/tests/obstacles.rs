//! Obstacles that keep a cluster from starting: the error comes at once, and names the cause.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use common::{MARK, busy, mark, marked, none_stays, pid, traces};
use nix::sys::signal::{Signal, kill};
use testcluster::child::{describe, run, succeed};
use testcluster::{Cluster, find};

const PROGRAM: &str = env!("CARGO_BIN_EXE_testcluster");

/// A time that is shorter than a cluster waits for its daemons.
const AT_ONCE: Duration = Duration::from_secs(20);

/// A directory that every user can reach, removed when it is dropped. The build directory may be in root's home
/// directory, and so may be `TMPDIR`.
struct ForEverybody(PathBuf);

impl ForEverybody {
    fn new(test: &str) -> Self {
        let directory = Path::new("/tmp").join(mark(&format!("testcluster-{test}")));
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        Self(directory)
    }

    /// Starts a copy of the program in this directory as another user.
    fn as_user(&self) -> Command {
        let copy = self.0.join("testcluster");
        if !copy.exists() {
            fs::copy(PROGRAM, &copy).unwrap();
            fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = as_user();
        command.arg(copy).current_dir(&self.0);
        command
    }

    /// Makes a program with this text.
    fn program(&self, name: &str, text: &str) {
        let file = self.0.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
    }
}

impl Drop for ForEverybody {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn as_user() -> Command {
    let mut command = Command::new(find("setpriv").unwrap());
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command
}

/// Returns true if this process can become another user. It cannot in a user namespace, which `ci/as-root` may have
/// made.
fn real_root() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    let real = map.split_whitespace().eq(["0", "0", "4294967295"]);
    if !real {
        println!("skipped: this process is not root, so all tests run as this user");
    }
    real
}

/// Returns true if a user can make a user namespace here.
fn user_namespaces() -> bool {
    run(as_user().args(["unshare", "--user", "true"]).current_dir("/")).status.success()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_user_does_not_need_root() {
    if !real_root() {
        return;
    }
    let place = ForEverybody::new("rootless");
    let mut status = place.as_user();
    status.args(["run", "--nodes", "3", "testcluster", "status"]);
    let output = run(&mut status);
    if !user_namespaces() {
        assert!(
            errors(&output).contains("a user namespace cannot be made here"),
            "{}",
            describe(&status, &output)
        );
        return;
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("running  1,2,3"), "{}", describe(&status, &output));

    let (before, mark) = (traces(), mark("rootless"));
    let mut child = busy(&mut place.as_user(), &mark);
    child.kill().unwrap();
    child.wait().unwrap();
    none_stays(&mark);
    assert_eq!(traces(), before);
}

#[test]
fn an_unreachable_directory_is_an_error_at_once() {
    if !real_root() || !user_namespaces() {
        return;
    }
    let place = ForEverybody::new("closed");
    let closed = place.0.join("closed");
    let inside = closed.join("a/clone");
    fs::create_dir_all(&inside).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    for directory in [&closed, &inside] {
        let start = Instant::now();
        let mut command = place.as_user();
        command.args(["run", "--nodes", "3", "true"]).current_dir(directory);
        let output = run(&mut command);
        assert!(start.elapsed() < AT_ONCE, "after {:?}", start.elapsed());
        assert_eq!(output.status.code(), Some(125));
        let (told, closed) = (errors(&output), closed.display());
        let where_it_is = format!("cannot be started in {}, which the user", directory.display());
        assert!(told.contains(&where_it_is), "{told}");
        assert!(told.contains(&format!("({closed}: Permission denied")) && told.contains("`cd /`"), "{told}");
    }
}

#[test]
fn a_removed_directory_is_an_error_at_once() {
    let place = ForEverybody::new("gone");
    let gone = place.0.join("gone");
    fs::create_dir(&gone).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", r#"rmdir "$PWD" && exec "$0" run true"#, PROGRAM]).current_dir(&gone);
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(125), "{}", describe(&command, &output));
    assert!(errors(&output).contains("cannot be started in the working directory"), "{}", errors(&output));
}

#[test]
fn a_tool_that_cannot_run_is_an_error_at_once() {
    let place = ForEverybody::new("tool");
    // These are the errors of the dynamic linker for a missing library, and of the kernel for a missing interpreter.
    let missing = "cannot open shared object file";
    let programs = [
        (format!("#!/bin/sh\necho 'libcmap.so.4: {missing}' >&2\nexit 127\n"), missing),
        ("#!/no-such-interpreter\n".to_owned(), "No such file or directory"),
    ];
    for (program, cause) in programs {
        place.program("corosync-cmapctl", &program);
        let path = format!("{}:/usr/bin:/bin", place.0.display());
        let start = Instant::now();
        let output = run(Command::new(PROGRAM).args(["run", "true"]).env("PATH", path));
        assert!(start.elapsed() < AT_ONCE, "after {:?}", start.elapsed());
        assert_eq!(output.status.code(), Some(125));
        let told = errors(&output);
        assert!(told.contains("corosync-cmapctl -b runtime.members.`") && told.contains(cause), "{told}");
    }
}

/// No test: the test below starts this as another process.
#[test]
#[ignore = "writes the text that the test looks for on standard error"]
fn lose_the_watchdog() {
    let cluster = Cluster::start(1).unwrap();
    let running = marked(&std::env::var(MARK).unwrap());
    let (watchdog, _) = running.iter().find(|(_, line)| line.contains("testcluster-watchdog")).unwrap();
    kill(pid(*watchdog), Signal::SIGKILL).unwrap();
    drop(cluster);
}

#[test]
fn a_killed_watchdog_is_reported() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "lose_the_watchdog", "--ignored", "--nocapture"]).env(MARK, mark("watchdog"));
    let output = succeed(&mut command);
    let told = "the shell that cleans up: signal: 9 (SIGKILL): processes may be left on the nodes";
    assert!(errors(&output).contains(told), "{}", describe(&command, &output));
}
