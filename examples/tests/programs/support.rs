//! Helpers of the tests, above all [`Program`]: a program on a node, with its input and its output.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testcluster::Cluster;
use testcluster::child::{assert_code, assert_ended, assert_success, describe};

/// A deadline that is longer than anything takes on a busy machine: only a test that fails waits so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Repeats `probe` until it gives a value.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs a program to its end with this input.
pub fn run(command: &mut Command, input: &[u8]) -> Output {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // The write fails if the program ends before it has read all.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    })
}

/// Runs a program that must succeed and print no errors, and returns its standard output.
#[track_caller]
pub fn run_well(mut command: Command, input: &[u8]) -> Vec<u8> {
    let output = run(&mut command, input);
    assert_success(&command, &output);
    assert!(output.stderr.is_empty(), "{}", describe(&command, &output));
    output.stdout
}

/// Runs a program without input that must end with this status, and returns its standard output and standard error.
#[track_caller]
pub fn outcome(mut command: Command, arguments: &[&str], code: i32) -> (String, String) {
    let output = run(command.args(arguments), b"");
    assert_code(&command, &output, code);
    let Output { stdout, stderr, .. } = output;
    (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A program that runs on a node until it is told to end, or this value is dropped.
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
}

impl Program {
    pub fn start(cluster: &Cluster, node: u32, program: &str, arguments: &[&str]) -> Self {
        let mut command = cluster.command_on(node, program);
        command.args(arguments).env("USER", "somebody");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // The send fails when a test has seen enough. Then the pipe is closed.
            stdout.lines().try_for_each(|line| sender.send(line.unwrap()))
        });
        let errors = Some(std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        }));
        let name = program.rsplit('/').next().unwrap().to_owned();
        Self { name, child, stdin, lines, errors }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn say(&mut self, text: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{text}").unwrap();
    }

    /// Takes the standard input of the program, to write to it elsewhere or to keep it open.
    pub fn take_input(&mut self) -> ChildStdin {
        self.stdin.take().unwrap()
    }

    pub fn line(&mut self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("no line: {error}{}", self.ended()))
    }

    pub fn lines(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.line()).collect()
    }

    /// Reads up to the first line for which `wanted` returns true, and returns that line.
    pub fn line_where(&mut self, mut wanted: impl FnMut(&str) -> bool) -> String {
        let mut passed = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if wanted(&line) => return line,
                Ok(line) => passed.push(line),
                Err(error) => panic!("the line did not come after {passed:?}: {error}{}", self.ended()),
            }
        }
    }

    /// Reads up to this line.
    pub fn expect(&mut self, line: &str) {
        self.line_where(|other| other == line);
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().try_into().unwrap()), signal).unwrap();
    }

    /// Stops reading the output, so that the next line of the program finds a closed pipe.
    pub fn close_output(&mut self) {
        self.lines = channel().1;
    }

    /// Closes the input if it is open, and waits until the program has ended. Returns the exit status, the lines that
    /// no test has read, and standard error.
    pub fn end(mut self) -> (ExitStatus, Vec<String>, String) {
        drop(self.stdin.take());
        let status = wait_for(&format!("{} to end", self.name), || self.child.try_wait().unwrap());
        let rest = self.lines.iter().collect();
        (status, rest, self.errors.take().unwrap().join().unwrap())
    }

    /// Does what [`end`](Self::end) does for a program that must end with this status.
    #[track_caller]
    pub fn end_with(self, code: i32) -> (Vec<String>, String) {
        let name = self.name.clone();
        let (status, rest, errors) = self.end();
        assert_ended(&name, status, code, &errors);
        (rest, errors)
    }

    /// Does what [`end`](Self::end) does for a program that must succeed and print no errors.
    #[track_caller]
    pub fn end_well(self) -> Vec<String> {
        let name = self.name.clone();
        let (rest, errors) = self.end_with(0);
        assert!(errors.is_empty(), "{name}: {errors}");
        rest
    }

    /// Kills the program after a line did not come, and describes its end: exit status and standard error.
    fn ended(&mut self) -> String {
        // A program that has already ended is no error here. Its end closes the pipe, so that standard error can be
        // read to the end.
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        let errors = self.errors.take().map_or_else(String::new, |errors| errors.join().unwrap());
        format!("\n{}: {status}: {errors}", self.name)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // After `end` both calls do nothing. In a test that fails, their errors would hide the first one.
        let _: std::io::Result<()> = self.child.kill();
        let _: std::io::Result<ExitStatus> = self.child.wait();
    }
}
