//! The run: a cluster, members, clients, and faults.

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

/// The time for which a node may be silent before the others go on without the node.
const TOKEN: Duration = Duration::from_millis(500);

/// The time for which there may be no majority. Without a majority nobody writes, and there is little to find out.
const WITHOUT: Duration = Duration::from_secs(2);

/// The time limit for all members to be in step after everything is mended.
const MENDED: Duration = Duration::from_secs(60);

/// The time limit for all members to be in step during the run.
const SOON: Duration = Duration::from_secs(5);

/// The outcome of a run.
pub struct Ended {
    pub history: History,
    pub counts: BTreeMap<&'static str, u64>,
    /// The members that ended by themselves and were started again.
    pub exits: Vec<String>,
    /// The reason why the run did not end as it should.
    pub failure: Option<String>,
}

/// Breaks things for as long as the options say. Returns the history of the clients even if the run fails on the way.
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
        Ok(Whole::Lost) => (
            false,
            Some("a majority of the members lost its state, and the store reported the loss".to_owned()),
        ),
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
    /// The node that was separated from the others, and the way of it.
    taken: Option<(u32, How)>,
    /// The last time at which there was a majority.
    majority: Instant,
    log: File,
}

impl Run<'_> {
    /// Follows the plan. Returns false if a majority has lost its state.
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
                self.note("mend everything", "mend everything: there was no majority for 2 seconds", true)?;
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

    /// Mends everything, and separates the sequencer's node from the others. Returns `None` if a majority has lost its state.
    fn take(&mut self, how: How) -> Result<Option<bool>> {
        self.mend()?;
        match self.members.wait_in_step(Instant::now() + SOON) {
            Ok(Whole::InStep) => {}
            Ok(Whole::Lost) => return Ok(None),
            // The members were not in step in time, so the step is left out.
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

    /// Returns true if a part of the cluster has a majority of the nodes, with daemons and members that run.
    fn is_majority(&self) -> bool {
        let runs = |node: &u32| self.cluster.state(*node) == State::Running && self.members.runs(*node);
        let all: Vec<u32> = (1..=self.options.nodes).collect();
        let groups = if self.groups.is_empty() { vec![&all] } else { self.groups.iter().collect() };
        groups.iter().any(|group| 2 * group.iter().filter(|node| runs(node)).count() > all.len())
    }

    /// Mends everything.
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
