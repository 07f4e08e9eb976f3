//! The run: a cluster, members, clients, and what breaks.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use cpg_faults::plan::Fault;
use cpg_faults::{Result, cluster};
use testcluster::{Cluster, State};

use crate::Options;
use crate::clients::{Clients, History};
use crate::members::{Members, Whole};
use crate::plan::{self, Act, How};

/// How long a node may be silent before the others go on without it.
const TOKEN: Duration = Duration::from_millis(500);

/// How long there may be no majority: without one nobody writes, and there is little to find out.
const WITHOUT: Duration = Duration::from_secs(2);

/// How long all may take to come together when all is mended.
const MENDED: Duration = Duration::from_secs(60);

/// How long they may take in between.
const SOON: Duration = Duration::from_secs(5);

/// What has come of a run.
pub struct Ended {
    pub history: History,
    pub counts: BTreeMap<&'static str, u64>,
    /// Members that ended by themselves, and were started again.
    pub exits: Vec<String>,
    /// Why the run did not come to its end as it should.
    pub failure: Option<String>,
}

/// Breaks things for as long as it is asked for. What clients have heard is returned, whatever becomes of the rest.
pub fn run(options: &Options, directory: &Path) -> Result<Ended> {
    let cluster = Cluster::builder().nodes(options.nodes).token(TOKEN).start()?;
    cluster.wait_after_changes(false);
    let members = Members::start(&cluster, directory, options.nodes, options.confirm)?;
    members.begin(Instant::now() + MENDED)?;
    let clients = Clients::start(&members.sockets(), options.clients, options.seed);
    let log = File::create(directory.join("faults"))?;
    let mut run = Run {
        options,
        cluster: &cluster,
        members,
        start: Instant::now(),
        counts: BTreeMap::new(),
        groups: Vec::new(),
        taken: None,
        majority: Instant::now(),
        log,
    };
    let ended = run.break_things().and_then(|whole| if whole { run.end() } else { Ok(Whole::Lost) });
    let (whole, failure) = match ended {
        Ok(Whole::InStep) => (true, None),
        Ok(Whole::Lost) => {
            (false, Some("a majority of the members had lost its state, and said so".to_owned()))
        }
        Err(error) => (false, Some(error.to_string())),
    };
    let history = clients.end(&run.members.sockets(), whole);
    for node in 1..=options.nodes {
        fs::write(directory.join(format!("node{node}.log")), cluster.log(node))?;
    }
    let (history, unread) = history;
    let failure = failure.or(unread);
    Ok(Ended { history, counts: run.counts, exits: run.members.exits(), failure })
}

struct Run<'c> {
    options: &'c Options,
    cluster: &'c Cluster,
    members: Members<'c>,
    start: Instant,
    counts: BTreeMap<&'static str, u64>,
    /// The parts of the network; none if it is whole.
    groups: Vec<Vec<u32>>,
    /// The node that was taken from the others.
    taken: Option<(u32, How)>,
    /// When there was a majority last.
    majority: Instant,
    log: File,
}

impl Run<'_> {
    /// Does what the plan says; false if a majority has lost its state.
    fn break_things(&mut self) -> Result<bool> {
        for (time, act) in plan::make(self.options.seed, self.options.nodes, self.options.length) {
            thread::sleep((self.start + time).saturating_duration_since(Instant::now()));
            if self.start.elapsed() > self.options.length {
                break;
            }
            let done = match &act {
                Act::Fault(fault) => self.fault(fault)?,
                Act::Take(how) => match self.take(*how)? {
                    Some(done) => done,
                    None => return Ok(false),
                },
                Act::GiveBack => self.give_back()?,
            };
            self.note(act.name(), &act.to_string(), done)?;
            self.members.look()?;
            if self.is_majority() {
                self.majority = Instant::now();
            } else if self.majority.elapsed() > WITHOUT {
                self.mend()?;
                self.note("all is mended", "all is mended", true)?;
            }
        }
        thread::sleep((self.start + self.options.length).saturating_duration_since(Instant::now()));
        Ok(true)
    }

    fn note(&mut self, name: &'static str, text: &str, done: bool) -> Result<()> {
        if done {
            *self.counts.entry(name).or_default() += 1;
        }
        let line = format!(
            "{:8.3}  {text}{}",
            self.start.elapsed().as_secs_f64(),
            if done { "" } else { " (not done)" }
        );
        if self.options.verbose {
            eprintln!("{line}");
        }
        Ok(writeln!(self.log, "{line}")?)
    }

    fn fault(&mut self, fault: &Fault) -> Result<bool> {
        let done = cluster::apply(self.cluster, fault)? || self.members.apply(fault)?;
        match fault {
            Fault::Partition(parts) => self.groups.clone_from(parts),
            Fault::Heal => self.groups.clear(),
            _ => {}
        }
        Ok(done)
    }

    /// Takes the sequencer's node from the others, which are all well. `None` if a majority has lost its state.
    fn take(&mut self, how: How) -> Result<Option<bool>> {
        self.mend()?;
        match self.members.wait_in_step(Instant::now() + SOON) {
            Ok(Whole::InStep) => {}
            Ok(Whole::Lost) => return Ok(None),
            // The time was too short.
            Err(_) => return Ok(Some(false)),
        }
        let Some(node) = self.members.sequencer() else { return Ok(Some(false)) };
        let others = (1..=self.options.nodes).filter(|&other| other != node).collect();
        self.fault(&match how {
            How::Paused => Fault::Pause(node),
            How::Cut => Fault::Partition(vec![vec![node], others]),
        })?;
        self.taken = Some((node, how));
        Ok(Some(true))
    }

    fn give_back(&mut self) -> Result<bool> {
        match self.taken.take() {
            Some((node, How::Paused)) => self.fault(&Fault::Resume(node)),
            Some((_, How::Cut)) => self.fault(&Fault::Heal),
            None => Ok(false),
        }
    }

    /// True if a part of the cluster has a majority of nodes that run, with members that run.
    fn is_majority(&self) -> bool {
        let runs = |node: &u32| self.cluster.state(*node) == State::Running && self.members.runs(*node);
        let all: Vec<u32> = (1..=self.options.nodes).collect();
        let groups = if self.groups.is_empty() { vec![&all] } else { self.groups.iter().collect() };
        groups.iter().any(|group| 2 * group.iter().filter(|node| runs(node)).count() > all.len())
    }

    /// Mends all.
    fn mend(&mut self) -> Result<()> {
        self.cluster.heal()?;
        self.groups.clear();
        self.taken = None;
        for node in 1..=self.options.nodes {
            cluster::apply(self.cluster, &Fault::FreeShm(node))?;
            match self.cluster.state(node) {
                State::Paused => self.cluster.resume(node)?,
                State::Dead => self.cluster.restart(node)?,
                State::Running => {}
            }
        }
        self.members.mend()
    }

    fn end(&mut self) -> Result<Whole> {
        self.mend()?;
        self.cluster.settle()?;
        self.members.wait_in_step(Instant::now() + MENDED)
    }
}
