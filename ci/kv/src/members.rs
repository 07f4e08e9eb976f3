//! The members of the store, one on each node.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cpg_faults::Result;
use cpg_faults::plan::Fault;
use cpg_kv::client::Client;
use cpg_kv::wire::{Reply, Request};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testcluster::Cluster;

/// The time limit for a member's answer about itself.
const ANSWER: Duration = Duration::from_millis(500);

/// All members.
pub struct Members<'c> {
    cluster: &'c Cluster,
    directory: PathBuf,
    confirm: bool,
    all: Vec<Member>,
    exits: Vec<String>,
}

/// The state of the store, after waiting for it.
pub enum Whole {
    /// All members have the state.
    InStep,
    /// A majority of the members has lost the state, and says so.
    Lost,
}

struct Member {
    node: u32,
    process: Option<Child>,
    stopped: bool,
    /// True if the member had state when it was asked last, and was not killed since.
    holds: bool,
}

impl<'c> Members<'c> {
    /// Starts a member on each node.
    pub fn start(cluster: &'c Cluster, directory: &Path, nodes: u32, confirm: bool) -> Result<Self> {
        let member = |node| Member { node, process: None, stopped: false, holds: false };
        let all = (1..=nodes).map(member).collect();
        let exits = Vec::new();
        let mut members = Self { cluster, directory: directory.to_owned(), confirm, all, exits };
        (0..members.all.len()).try_for_each(|index| members.start_one(index))?;
        Ok(members)
    }

    fn socket(&self, node: u32) -> PathBuf {
        self.directory.join(format!("kv{node}.socket"))
    }

    /// Returns the paths of the members' sockets.
    pub fn sockets(&self) -> Vec<PathBuf> {
        self.all.iter().map(|member| self.socket(member.node)).collect()
    }

    fn start_one(&mut self, index: usize) -> Result<()> {
        let node = self.all[index].node;
        let errors = File::options().create(true).append(true).open(self.log(node))?;
        let mut command = self.cluster.command_on(node, crate::kv()?);
        command.args([
            "serve",
            "torture",
            "--timeout",
            "2",
            "--nodes",
            &self.all.len().to_string(),
            "--socket",
        ]);
        command.arg(self.socket(node)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        if !self.confirm {
            command.arg("--unconfirmed");
        }
        let member = &mut self.all[index];
        member.process = Some(command.spawn()?);
        (member.stopped, member.holds) = (false, false);
        Ok(())
    }

    fn ask(&self, node: u32, request: &Request) -> Option<String> {
        let mut client = Client::connect(&self.socket(node)).ok()?;
        client.give_up_after(ANSWER).ok()?;
        match client.ask(request).ok()? {
            Reply::Text(text) | Reply::Refused(text) => Some(text),
            _ => None,
        }
    }

    /// Sends `begin`, the statement of an operator, until all members are in step.
    pub fn begin(&self, deadline: Instant) -> Result<()> {
        while !self.are_in_step() {
            if Instant::now() > deadline {
                return Err("the store did not start: not all members have its state".into());
            }
            self.ask(1, &Request::Begin);
            thread::sleep(ANSWER);
        }
        Ok(())
    }

    fn are_in_step(&self) -> bool {
        let status = |member: &Member| self.ask(member.node, &Request::Status);
        self.all.iter().all(|member| status(member).is_some_and(|text| text.contains("primary, in step")))
    }

    /// Waits until all members are in step, or say that a majority has lost its state.
    pub fn wait_in_step(&mut self, deadline: Instant) -> Result<Whole> {
        loop {
            if self.are_in_step() {
                return Ok(Whole::InStep);
            }
            let ask = |member: &Member| self.ask(member.node, &Request::Status);
            let texts: Vec<String> = self.all.iter().map(|member| ask(member).unwrap_or_default()).collect();
            if texts.iter().all(|text| text.contains("kv begin")) {
                return Ok(Whole::Lost);
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "not all members have the state. The status of each:\n{}",
                    texts.join("\n")
                )
                .into());
            }
            thread::sleep(Duration::from_millis(100));
            self.look()?;
        }
    }

    /// Returns the node of the member that accepts changes, if one is known.
    pub fn sequencer(&self) -> Option<u32> {
        let statuses = self.all.iter().filter_map(|member| self.ask(member.node, &Request::Status));
        let mut lines =
            statuses.filter_map(|text| Some(text.split_once("\nsequencer")?.1.trim_start().to_owned()));
        lines.find_map(|line| line.split(':').next()?.parse().ok())
    }

    /// Returns a line about each member that ended by itself.
    pub fn exits(&self) -> Vec<String> {
        self.exits.clone()
    }

    /// Finds out which members have state, and restarts the members that ended by themselves.
    pub fn look(&mut self) -> Result<()> {
        for index in 0..self.all.len() {
            // A paused member does not answer, and holds what it held before.
            let runs = !self.all[index].stopped;
            let text = runs.then(|| self.ask(self.all[index].node, &Request::Status)).flatten();
            let member = &mut self.all[index];
            if let Some(text) = text {
                member.holds = text.contains("position");
            }
            let ended = member.process.as_mut().map(Child::try_wait).transpose()?.flatten();
            if let Some(status) = ended {
                let log = fs::read_to_string(self.log(self.all[index].node)).unwrap_or_default();
                let last = log.lines().last().unwrap_or_default();
                self.exits.push(format!("member of node {}: {status}: {last}", self.all[index].node));
                self.start_one(index)?;
            }
        }
        Ok(())
    }

    fn log(&self, node: u32) -> PathBuf {
        self.directory.join(format!("kv{node}.log"))
    }

    /// True if the member of that node runs.
    pub fn runs(&self, node: u32) -> bool {
        self.all.iter().any(|member| member.node == node && member.process.is_some() && !member.stopped)
    }

    /// Applies the fault, if it concerns members. Returns false if nothing was done. Kills a member only if a majority keeps its state,
    /// because otherwise there is nothing to find out.
    pub fn apply(&mut self, fault: &Fault) -> Result<bool> {
        match *fault {
            Fault::KillClient(index) => {
                self.look()?;
                let left =
                    self.all.iter().enumerate().filter(|&(other, member)| other != index && member.holds);
                if 2 * left.count() <= self.all.len() {
                    return Ok(false);
                }
                let member = &mut self.all[index];
                let Some(mut process) = member.process.take() else { return Ok(false) };
                process.kill()?;
                process.wait()?;
                (member.holds, member.stopped) = (false, false);
            }
            Fault::StartClient(index) if self.all[index].process.is_none() => self.start_one(index)?,
            Fault::StopClient(index) => return self.signal(index, Signal::SIGSTOP),
            Fault::ContinueClient(index) => return self.signal(index, Signal::SIGCONT),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn signal(&mut self, index: usize, signal: Signal) -> Result<bool> {
        let member = &mut self.all[index];
        let Some(process) = &member.process else { return Ok(false) };
        kill(Pid::from_raw(process.id().try_into()?), signal)?;
        member.stopped = signal == Signal::SIGSTOP;
        Ok(true)
    }

    /// Resumes or starts all members that do not run.
    pub fn mend(&mut self) -> Result<()> {
        for index in 0..self.all.len() {
            match self.all[index].process {
                Some(_) => drop(self.signal(index, Signal::SIGCONT)?),
                None => self.start_one(index)?,
            }
        }
        self.look()
    }
}

impl Drop for Members<'_> {
    fn drop(&mut self) {
        for process in self.all.iter_mut().filter_map(|member| member.process.as_mut()) {
            let _: std::io::Result<()> = process.kill();
            let _: std::io::Result<std::process::ExitStatus> = process.wait();
        }
    }
}
