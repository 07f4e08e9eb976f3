//! A cluster on which processes are measured.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use testcluster::{Cluster, Transport};

use crate::Result;
use crate::task::{Job, Outcome, Task};

/// The time that a process may take in addition to its task. A process that takes longer has lost a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name of the mode in which this program does a task.
pub const WORKER: &str = "worker";

/// The programs that do the tasks.
pub struct Programs {
    this: PathBuf,
    c: PathBuf,
}

impl Programs {
    /// Builds the program in C.
    pub fn build() -> Result<Self> {
        Ok(Self { this: std::env::current_exe()?, c: compile("load", &["-pthread", "-lcpg"])? })
    }
}

/// Compiles `c/NAME.c` to a program beside this one.
pub fn compile(name: &str, options: &[&str]) -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(format!("cpg-benchmarks-{name}"));
    compile_to(&program, name, options)?;
    Ok(program)
}

/// Compiles `c/NAME.c`, with the optimisation of Rust's release profile.
pub fn compile_to(file: &Path, name: &str, options: &[&str]) -> Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("c/{name}.c"));
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    compiler.args(["-O3", "-Wall", "-o"]).arg(file).arg(&source).args(options);
    let status = compiler
        .status()
        .map_err(|error| format!("{}: {error}", compiler.get_program().to_string_lossy()))?;
    if status.success() { Ok(()) } else { Err(format!("{compiler:?}: {status}").into()) }
}

/// A cluster, and the processes on it.
pub struct Field<'p> {
    cluster: Cluster,
    programs: &'p Programs,
    /// The number of the task. Each task uses another group, so that a failed task does not disturb the next.
    groups: Cell<u32>,
    /// The CPU of the process of a task, if it is bound to one.
    cpus: Option<CpuSet>,
}

/// The result of one task.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub sender: Outcome,
    /// The outcome of the receiver. On more than one node, that is another process.
    pub receiver: Outcome,
}

impl<'p> Field<'p> {
    pub fn start(nodes: u32, programs: &'p Programs) -> Result<Self> {
        // The default transport of corosync, which programs meet in practice.
        Ok(Self {
            cluster: Cluster::builder().nodes(nodes).transport(Transport::Knet).start()?,
            programs,
            groups: Cell::new(0),
            cpus: None,
        })
    }

    /// Starts a cluster of one node, with one CPU for the daemon and another for the process. So the scheduler has no
    /// influence on the measurement, and the process limits the speed, because its daemon needs less time per message.
    pub fn start_apart(programs: &'p Programs) -> Result<Self> {
        let field = Self::start(1, programs)?;
        let all = sched_getaffinity(Pid::this())?;
        let mut cpus = (0..CpuSet::count()).filter(|&cpu| all.is_set(cpu).unwrap_or(false));
        let (Some(first), Some(second)) = (cpus.next(), cpus.next()) else {
            return Err("the sender and the daemon need one CPU each, and this machine has only one".into());
        };
        let daemon = field.cluster.daemon_pid(1);
        for thread in std::fs::read_dir(format!("/proc/{daemon}/task"))? {
            let thread: i32 = thread?.file_name().to_string_lossy().parse()?;
            sched_setaffinity(Pid::from_raw(thread), &only(first)?)?;
        }
        Ok(Self { cpus: Some(only(second)?), ..field })
    }

    pub fn nodes(&self) -> u32 {
        self.cluster.nodes()
    }

    /// Does a task on node 1, with a receiver on node 2 if there is one.
    pub fn run(&self, task: &Task) -> Result<Measured> {
        self.groups.set(self.groups.get() + 1);
        let task = Task { group: format!("bench-{}", self.groups.get()), ..task.clone() };
        // If only one message is under way at a time, the sender measures the time itself.
        let receiver = (self.nodes() > 1 && task.job != Job::Echo)
            .then(|| self.spawn(2, &Task { job: Job::Receive, ..task.clone() }))
            .transpose()?;
        let sender = self.spawn(1, &task)?.finish(task.duration)?;
        let receiver = receiver.map_or(Ok(sender), |receiver| receiver.finish(task.duration))?;
        Ok(Measured { sender, receiver })
    }

    /// Starts a process on a node, and returns when it has joined.
    fn spawn(&self, node: u32, task: &Task) -> Result<Process> {
        let mut command = if task.variant.c_style().is_some() {
            self.cluster.command_on(node, &self.programs.c)
        } else {
            let mut command = self.cluster.command_on(node, &self.programs.this);
            command.arg(WORKER);
            command
        };
        command.args(task.arguments());
        let process = Process::start(&mut command, format!("{} on node {node}", task.variant))?;
        if let Some(cpus) = &self.cpus {
            sched_setaffinity(Pid::from_raw(i32::try_from(process.child.id())?), cpus)?;
        }
        Ok(process)
    }
}

/// Returns a set with one CPU.
fn only(cpu: usize) -> Result<CpuSet> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu)?;
    Ok(cpus)
}

/// Fails if a process has failed. Its standard error is that of this process.
pub fn well(name: &str, status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { Err(format!("{name}: {status}").into()) }
}

/// A process that prints lines.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    name: String,
}

impl Process {
    /// Starts the process, and waits until it prints that it is ready.
    pub fn start(command: &mut Command, name: String) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut process = Self { child, lines: read(stdout), name };
        match process.line(PATIENCE)?.as_str() {
            "ready" => Ok(process),
            other => Err(format!("{} said {other:?}", process.name).into()),
        }
    }

    fn line(&mut self, patience: Duration) -> Result<String> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => {
                Err(format!("{} is not done after {patience:?}", self.name).into())
            }
            // The process has closed its output, so it is ending.
            Err(RecvTimeoutError::Disconnected) => {
                Err(format!("{} has failed: {}", self.name, self.child.wait()?).into())
            }
        }
    }

    /// Makes the process begin, if it waits for that, and returns its last line.
    pub fn finish(mut self, duration: Duration) -> Result<Outcome> {
        if let Some(mut input) = self.child.stdin.take() {
            // A process that only receives reads nothing, and may have ended already.
            let _ = input.write_all(b"go\n");
        }
        let outcome = self.line(duration + PATIENCE)?.parse()?;
        well(&self.name, self.child.wait()?)?;
        Ok(outcome)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process has ended, or it hangs and the error has been reported.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines on a thread, so that the caller can wait with a deadline.
fn read(stdout: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
