//! Helpers of the tests: groups that are dispatched until a condition is true, and members that are written in C.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod fake_daemon;
pub mod filter;
pub mod fork;
pub mod limits;
pub mod mounts;
pub mod other_user;
pub mod process;
pub mod returns;
pub mod ring;
pub mod stack;
#[cfg(feature = "tokio")]
pub mod tasks;
pub mod waits;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use cpg::{Group, GroupName, Handle, Limits, OwnedEvent, OwnedMessage, OwnedView};
use testcluster::Cluster;
use testcluster::child::succeed;

/// A deadline that is longer than anything takes on a busy machine: only a test that fails waits so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

pub fn name(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

pub fn join(group: &str) -> Group {
    Handle::connect().unwrap().join_until(group, deadline()).unwrap()
}

/// Dispatches until `done` returns true for the events so far, and returns the events.
pub fn pump(group: &mut Group, mut done: impl FnMut(&[OwnedEvent]) -> bool) -> Vec<OwnedEvent> {
    let mut events = Vec::new();
    let deadline = deadline();
    while !done(&events) {
        let handled = group
            .dispatch(Limits::one().until(deadline), |_, event| events.push(event.into_owned()))
            .unwrap();
        assert_eq!(handled, 1, "nothing more came after {events:?}");
    }
    events
}

/// Dispatches until `count` messages have come, and returns their payloads.
pub fn payloads(group: &mut Group, count: usize) -> Vec<Vec<u8>> {
    let events = pump(group, |events| messages(events).count() == count);
    messages(&events).map(|message| message.payload().to_vec()).collect()
}

pub fn messages(events: &[OwnedEvent]) -> impl Iterator<Item = &OwnedMessage> {
    events
        .iter()
        .filter_map(|event| if let OwnedEvent::Deliver(message) = event { Some(message) } else { None })
}

pub fn views(events: &[OwnedEvent]) -> impl Iterator<Item = &OwnedView> {
    events.iter().filter_map(|event| if let OwnedEvent::ConfChg(view) = event { Some(view) } else { None })
}

pub fn rings(events: &[OwnedEvent]) -> impl Iterator<Item = &cpg::OwnedRing> {
    events
        .iter()
        .filter_map(|event| if let OwnedEvent::TotemConfChg(ring) = event { Some(ring) } else { None })
}

/// Repeats `probe` until it gives a value.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = deadline();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Builds a C program of this directory, once per test binary.
fn build(name: &str) -> PathBuf {
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let source =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(name).with_extension("c");
    let flags = succeed(Command::new("pkg-config").args(["--cflags", "--libs", "libcpg"]));
    succeed(
        Command::new("cc")
            .args(["-O1", "-Wall", "-Wno-unused-parameter", "-o"])
            .arg(&program)
            .arg(source)
            .args(String::from_utf8(flags.stdout).unwrap().split_whitespace()),
    );
    program
}

static MEMBER: LazyLock<PathBuf> = LazyLock::new(|| build("member"));

static PACKETS: LazyLock<PathBuf> = LazyLock::new(|| build("packets"));

/// Processes that have joined a group through libcpg in C. `member.c` describes their input and output.
pub struct Members {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Members {
    /// Starts `count` members on `node`, and returns when all have joined.
    pub fn start(cluster: &Cluster, node: u32, group: &GroupName, count: usize) -> Self {
        let name = std::str::from_utf8(group.as_bytes()).unwrap();
        match name.strip_suffix('\0') {
            Some(name) => Self::spawn(cluster, node, &["-n", name], count),
            None => Self::spawn(cluster, node, &[name], count),
        }
    }

    /// Starts members with a name that [`GroupName`] does not allow: an empty one, or one of 128 bytes.
    pub fn start_named(cluster: &Cluster, node: u32, name: &str, count: usize) -> Self {
        Self::spawn(cluster, node, &[name], count)
    }

    /// Starts a single member. Its join has been requested, and may not have been delivered.
    pub fn start_joining(cluster: &Cluster, node: u32, group: &GroupName) -> Self {
        let name = std::str::from_utf8(group.as_bytes()).unwrap();
        let mut member = Self::spawn_only(cluster, node, &[name], 1);
        // The member reads its input after it has requested the join.
        member.tell("send joining");
        let stdin = member.stdin.as_ref().unwrap().as_raw_fd();
        let mut unread = 0;
        wait_for("the member to read", || {
            // SAFETY: FIONREAD writes one int.
            assert_eq!(unsafe { libc::ioctl(stdin, libc::FIONREAD, &raw mut unread) }, 0);
            (unread == 0).then_some(())
        });
        member
    }

    fn spawn(cluster: &Cluster, node: u32, name: &[&str], count: usize) -> Self {
        let mut members = Self::spawn_only(cluster, node, name, count);
        members.expect(|line| line == format!("joined {count}"));
        members
    }

    fn spawn_only(cluster: &Cluster, node: u32, name: &[&str], count: usize) -> Self {
        let mut command = cluster.command_on(node, MEMBER.as_path());
        command.args(name).arg(count.to_string());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map(BufReader::new);
        Self { child, stdin, stdout }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a command to a single member.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Reads up to the first line of a single member for which `wanted` returns true, and returns it.
    pub fn expect(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            if self.stdout.as_mut().unwrap().read_line(&mut line).unwrap() == 0 {
                drop(self.stdin.take());
                panic!("member.c ended early, with {}", self.child.wait().unwrap());
            }
            if wanted(line.trim_end()) {
                return line.trim_end().to_owned();
            }
        }
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // A member that waits for room in the pipe ends as well.
        drop(self.stdout.take());
        let _ = self.child.wait();
    }
}

/// Returns the program `member.c`, for names that [`Members`] does not accept.
pub fn member_program() -> &'static std::path::Path {
    MEMBER.as_path()
}

/// Returns the program `packets.c`: a member of a group that coalesces.
pub fn packets_program() -> &'static std::path::Path {
    PACKETS.as_path()
}

/// Joins with options.
pub fn join_with(options: cpg::SessionOptions, group: &str) -> cpg::Session {
    options.join_until(group, deadline()).unwrap()
}

/// Joins and splits, with these sizes.
pub fn split_with(flow: cpg::Flow, group: &str) -> (cpg::Sender, cpg::Receiver) {
    join_with(cpg::Session::options().flow(flow), group).split()
}

/// Dispatches a whole session, as [`pump`] does.
pub fn pump_session(
    session: &mut cpg::Session,
    mut done: impl FnMut(&[OwnedEvent]) -> bool,
) -> Vec<OwnedEvent> {
    let mut events = Vec::new();
    let deadline = deadline();
    while !done(&events) {
        let limits = Limits::one().until(deadline);
        let handled = session.dispatch(limits, |_, event| events.push(event.into_owned())).unwrap();
        assert_eq!(handled, 1, "nothing more came after {events:?}");
    }
    events
}

/// Dispatches a receiver until `count` messages have come, and returns their payloads.
pub fn receive(receiver: &mut cpg::Receiver, count: usize) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    while heard.len() < count {
        match receiver.recv_until(deadline()).unwrap() {
            Some(OwnedEvent::Deliver(message)) => heard.push(message.into_payload()),
            Some(_) => {}
            None => panic!("{} of {count} messages came", heard.len()),
        }
    }
    heard
}

/// Starts a thread that asks for the members, and returns when that thread runs.
pub fn asking<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    sender: &'scope cpg::Sender,
) -> std::thread::ScopedJoinHandle<'scope, cpg::Result<Vec<cpg::Member>>> {
    let (say, asks) = std::sync::mpsc::channel();
    let asking = scope.spawn(move || {
        say.send(()).unwrap();
        sender.members()
    });
    asks.recv().unwrap();
    asking
}

/// Returns true if `poll` says that the descriptor is readable now.
pub fn readable(fd: std::os::fd::BorrowedFd<'_>) -> bool {
    let mut fd = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the pointer leads to one entry, and the count is one.
    let ready = unsafe { libc::poll(&raw mut fd, 1, 0) };
    assert!(ready >= 0, "{}", std::io::Error::last_os_error());
    ready == 1
}

/// Returns the time that a thread has run, in nanoseconds, and `None` while it is running.
pub fn asleep_after(thread: i32) -> Option<u64> {
    let file = |name| std::fs::read_to_string(format!("/proc/self/task/{thread}/{name}")).ok();
    let asleep = file("stat")?.contains(") S ");
    let ran = file("schedstat")?.split(' ').next()?.parse().ok()?;
    asleep.then_some(ran)
}

/// Asserts that an idle thread does not run while `others` run.
pub fn assert_stays_asleep(thread: i32, mut others: impl FnMut()) {
    let ran = || wait_for("the thread to sleep", || asleep_after(thread));
    // The thread may have been seen asleep on its way to the wait. After that it has no reason to run.
    let mut before = ran();
    wait_for("the wait", || {
        (0..20).for_each(|_| others());
        let earlier = std::mem::replace(&mut before, ran());
        (earlier == before).then_some(())
    });
    (0..200).for_each(|_| others());
    assert_eq!(ran(), before, "the idle thread has run");
}

/// Waits until another thread has the lock on libcpg's tables: one that connects to a paused daemon keeps it.
pub fn wait_until_the_lock_is_held() {
    wait_for("the lock to be held", || cpg_sys::Tables::lock(Some(Instant::now())).err());
}

/// True while a thread of the crate does something.
pub fn crew_works() -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let mut states =
        threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
    states.any(|stat| stat.contains("(cpg)") && !stat.contains("(cpg) S"))
}
