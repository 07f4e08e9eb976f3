//! A client, seen from the driver.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testcluster::Cluster;

use crate::style::Style;
use cpg_faults::Result;

/// The last answers of a client.
#[derive(Debug, Default, Clone)]
pub struct Said {
    /// True if signals only interrupt its calls. Before, the first signal would end it.
    pub bears_signals: bool,
    /// The number of its messages whose fate is not known.
    pub open: Option<u64>,
    /// The members that it sees, `NODE:PID`.
    pub members: Vec<String>,
    pub settled: bool,
    pub bye: bool,
    /// The thread that hangs, with its last work, according to the client's watchdog.
    pub hangs: Option<String>,
}

/// A client, which is one process after the other.
#[derive(Debug)]
pub struct Client {
    pub id: u16,
    pub node: u32,
    pub style: Style,
    pub launches: u16,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    input: ChildStdin,
    said: Arc<Mutex<Said>>,
}

impl Client {
    pub fn new(id: u16, node: u32, style: Style) -> Self {
        Self { id, node, style, launches: 0, running: None }
    }

    /// Returns the name of the current process in reports.
    pub fn name(&self) -> String {
        format!("client{:02}.{:03}-{}-node{}", self.id, self.launches, self.style, self.node)
    }

    /// Returns the path of a file of the current process.
    pub fn path(&self, directory: &Path, kind: &str) -> PathBuf {
        directory.join(format!("{}.{kind}", self.name()))
    }

    pub fn start(&mut self, cluster: &Cluster, directory: &Path, seed: u64) -> Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        self.launches += 1;
        let errors = File::create(self.path(directory, "err"))?;
        let mut command = cluster.command_on(self.node, std::env::current_exe()?);
        command.arg("client").arg(self.id.to_string()).arg(self.launches.to_string());
        command.arg(self.style.name).arg(seed.to_string());
        command.arg(self.path(directory, "records"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors).spawn()?;
        let input = child.stdin.take().ok_or("a pipe")?;
        let output = child.stdout.take().ok_or("a pipe")?;
        let said = Arc::new(Mutex::new(Said::default()));
        let for_reader = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(io::Result::ok) {
                hear(&mut for_reader.lock().unwrap_or_else(PoisonError::into_inner), &line);
            }
        });
        self.running = Some(Running { child, input, said });
        Ok(())
    }

    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// Returns the exit status if the process has ended by itself.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.running.as_mut().map_or(Ok(None), |running| running.child.try_wait())
    }

    /// Sends a command. If the process has ended, this is noticed elsewhere.
    pub fn tell(&mut self, line: &str) {
        if let Some(running) = &mut self.running {
            let _: io::Result<()> = writeln!(running.input, "{line}").and_then(|()| running.input.flush());
        }
    }

    pub fn said(&self) -> Said {
        let said = self.running.as_ref().map(|running| &running.said);
        said.map(|said| said.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap_or_default()
    }

    pub fn kill(&mut self) -> io::Result<()> {
        if let Some(mut running) = self.running.take() {
            running.child.kill()?;
            running.child.wait()?;
        }
        Ok(())
    }

    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match self.pid().and_then(|pid| pid.try_into().ok()) {
            Some(pid) => Ok(kill(Pid::from_raw(pid), signal)?),
            None => Ok(()),
        }
    }

    /// Returns the exit status if the process has ended. It was told to end, or was killed, which also counts as a good
    /// end.
    pub fn end(&mut self) -> io::Result<Option<End>> {
        if self.running.is_none() {
            return Ok(Some(End::Well));
        }
        let Some(status) = self.ended()? else { return Ok(None) };
        self.running = None;
        Ok(Some(if status.success() { End::Well } else { End::Failed(status) }))
    }

    /// Returns the last part of its standard error.
    pub fn errors(&self, directory: &Path) -> String {
        let path = self.path(directory, "err");
        match fs::read_to_string(&path) {
            Ok(text) => {
                let start = text.len().saturating_sub(1000);
                // If this cuts a character in two, the whole text.
                text.get(start..).unwrap_or(&text).trim_end().to_owned()
            }
            Err(error) => format!("{}: {error}", path.display()),
        }
    }

    /// Returns the stacks of its threads.
    pub fn stacks(&self) -> String {
        let Some(pid) = self.pid() else { return String::new() };
        let mut text = format!("{}, process {pid}\n", self.name());
        let stacks = match std::process::Command::new("eu-stack").arg("-p").arg(pid.to_string()).output() {
            Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
            Ok(output) => format!("eu-stack: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)),
            Err(error) => format!("no stacks of the program without eu-stack (elfutils): {error}"),
        };
        text.push_str(stacks.trim_end());
        text.push('\n');
        // A process that has ended has no threads.
        for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            for file in ["comm", "wchan", "syscall", "stack"] {
                let content = fs::read_to_string(thread.path().join(file));
                let content = content.unwrap_or_else(|error| format!("({error})"));
                let number = thread.file_name();
                let line = writeln!(text, "{} {file}: {}", number.to_string_lossy(), content.trim_end());
                line.expect("a String takes everything");
            }
        }
        text
    }
}

/// The end of a client that was told to end.
#[derive(Debug)]
pub enum End {
    Well,
    Failed(ExitStatus),
}

fn hear(said: &mut Said, line: &str) {
    let mut words = line.split_whitespace();
    match words.next() {
        Some("state") => {
            said.open = words.next().and_then(|open| open.parse().ok());
            said.members = words.map(str::to_owned).collect();
        }
        Some("bears") => said.bears_signals = true,
        Some("settled") => said.settled = true,
        Some("bye") => said.bye = true,
        Some("hangs") => said.hangs = Some(words.collect::<Vec<_>>().join(" ")),
        _ => {}
    }
}
