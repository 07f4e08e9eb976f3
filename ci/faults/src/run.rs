//! The run: a cluster, clients, and what breaks them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testcluster::{Cluster, State};

use crate::Result;
use crate::arguments::Options;
use crate::end;
use crate::plan::{self, Fault};
use crate::process::Client;
use crate::style::STYLES;
use crate::verdict::Verdict;

/// How long a node may be silent before the others go on without it.
const TOKEN: Duration = Duration::from_millis(500);

/// What runs.
pub struct Run {
    pub options: Options,
    pub cluster: Cluster,
    pub clients: Vec<Client>,
    pub directory: PathBuf,
    pub faults: BTreeMap<&'static str, u64>,
    /// What was seen of clients and daemons that is against property 5.
    pub failures: Vec<String>,
}

/// Runs it all.
pub fn run(options: Options) -> Result<Verdict> {
    eprintln!(
        "torture: seed {}, {} nodes, {} seconds",
        options.seed,
        options.nodes,
        options.length.as_secs()
    );
    let directory = match &options.keep {
        Some(directory) => directory.clone(),
        None => std::env::temp_dir().join(format!("cpg-torture-{}", std::process::id())),
    };
    fs::create_dir_all(&directory)?;
    let directory = directory.canonicalize()?;
    if fs::read_dir(&directory)?.next().is_some() {
        return Err(format!("{} is not empty", directory.display()).into());
    }
    let cluster = Cluster::builder().nodes(options.nodes).token(TOKEN).start()?;
    cluster.wait_after_changes(false);
    let mut run = Run {
        clients: clients(&options),
        options,
        cluster,
        directory,
        faults: BTreeMap::new(),
        failures: Vec::new(),
    };
    for client in &mut run.clients {
        client.start(&run.cluster, &run.directory, run.options.seed)?;
    }
    run.break_things()?;
    end::end(&mut run)?;
    run.logs()?;
    let Run { options, directory, faults, failures, clients, cluster } = run;
    drop(clients);
    drop(cluster);
    let mut verdict = Verdict { options, faults: Some(faults), ..Verdict::over(&directory)? };
    verdict.add_failures(failures);
    Ok(verdict)
}

/// The clients of all nodes: the styles one after the other, so that few nodes have them all between them.
fn clients(options: &Options) -> Vec<Client> {
    let mut clients = Vec::new();
    for index in 0..options.clients {
        for node in 1..=options.nodes {
            let number = clients.len();
            let style = STYLES[(index * options.nodes as usize + node as usize - 1) % STYLES.len()];
            clients.push(Client::new(u16::try_from(number).unwrap_or(u16::MAX), node, style));
        }
    }
    clients
}

impl Run {
    fn break_things(&mut self) -> Result<()> {
        let Options { seed, nodes, length, verbose, .. } = self.options;
        let start = Instant::now();
        for (time, fault) in plan::make(seed, nodes, self.clients.len(), length) {
            thread::sleep((start + time).saturating_duration_since(Instant::now()));
            if verbose {
                eprintln!("{:8.3}  {fault}", start.elapsed().as_secs_f64());
            }
            *self.faults.entry(fault.name()).or_default() += 1;
            self.apply(&fault)?;
            self.look_for_ended()?;
        }
        thread::sleep((start + length).saturating_duration_since(Instant::now()));
        Ok(())
    }

    fn apply(&mut self, fault: &Fault) -> Result<()> {
        let cluster = &self.cluster;
        match fault {
            Fault::Partition(groups) => {
                let groups: Vec<&[u32]> = groups.iter().map(Vec::as_slice).collect();
                cluster.partition(&groups)?;
            }
            Fault::Heal => cluster.heal()?,
            Fault::Kill(node) if cluster.state(*node) != State::Dead => cluster.kill(*node)?,
            Fault::Restart(node) => cluster.restart(*node)?,
            Fault::Pause(node) if cluster.state(*node) == State::Running => cluster.pause(*node)?,
            Fault::Resume(node) if cluster.state(*node) == State::Paused => cluster.resume(*node)?,
            // A daemon that has ended by itself is reported.
            Fault::Kill(_) | Fault::Pause(_) | Fault::Resume(_) => {}
            Fault::KillClient(client) => self.clients[*client].kill()?,
            Fault::StartClient(client) => {
                self.clients[*client].start(cluster, &self.directory, self.options.seed)?;
            }
            Fault::StopClient(client) => self.clients[*client].signal(Signal::SIGSTOP)?,
            Fault::ContinueClient(client) => self.clients[*client].signal(Signal::SIGCONT)?,
            Fault::StallClient(client, millis) => self.clients[*client].tell(&format!("stall {millis}")),
        }
        Ok(())
    }

    /// Clients and daemons that have ended though nobody has ended them.
    pub fn look_for_ended(&mut self) -> Result<()> {
        for client in &mut self.clients {
            if let Some(status) = client.ended()? {
                let errors = client.errors(&self.directory);
                self.failures.push(format!("{} ended by itself, {status}: {errors}", client.name()));
                // Reaped; a new one may be started in its place.
                client.wait(Instant::now())?;
            }
        }
        Ok(())
    }

    fn logs(&self) -> Result<()> {
        for node in 1..=self.options.nodes {
            fs::write(log_path(&self.directory, node), self.cluster.log(node))?;
        }
        Ok(())
    }
}

/// Where the log of a node is kept.
pub fn log_path(directory: &Path, node: u32) -> PathBuf {
    directory.join(format!("node{node}.log"))
}
