//! The run: a cluster, its clients, and the faults.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testcluster::Cluster;

use crate::arguments::Options;
use crate::busy::Meter;
use crate::end;
use crate::process::Client;
use crate::style::{LISTER, STYLES};
use crate::verdict::Verdict;
use cpg_faults::Result;
use cpg_faults::cluster;
use cpg_faults::plan::{self, Breaks, Fault};

/// The longest silence of a node before the others go on without it.
const TOKEN: Duration = Duration::from_millis(500);

/// The time between two signals to a client.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(1);

/// The number of faults of each kind.
pub type Faults = BTreeMap<Breaks, BTreeMap<&'static str, u64>>;

/// The state of a run.
pub struct Run {
    pub options: Options,
    pub cluster: Cluster,
    pub clients: Vec<Client>,
    pub directory: PathBuf,
    pub faults: Faults,
    pub meter: Meter,
    /// The violations of property 5 by clients and daemons.
    pub failures: Vec<String>,
    /// The reasons why something could not be found out. They are no failures.
    pub undecided: Vec<String>,
}

/// Runs the whole test.
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
    let meter = Meter::start();
    let cluster = start(&options).map_err(|error| match meter.excuse() {
        Some(excuse) => {
            format!("it could not be found out: the cluster did not come up, and {excuse}. {error}").into()
        }
        None => error,
    })?;
    cluster.wait_after_changes(false);
    let mut run = Run {
        clients: clients(&options),
        options,
        cluster,
        directory,
        faults: BTreeMap::new(),
        meter,
        failures: Vec::new(),
        undecided: Vec::new(),
    };
    run.start_clients()?;
    run.break_things()?;
    end::end(&mut run)?;
    run.logs()?;
    let Run { options, directory, faults, failures, undecided, clients, cluster, .. } = run;
    drop(clients);
    drop(cluster);
    let mut verdict = Verdict { options, faults: Some(faults), undecided, ..Verdict::over(&directory)? };
    verdict.add_failures(failures);
    Ok(verdict)
}

fn start(options: &Options) -> Result<Cluster> {
    let cluster = Cluster::builder().nodes(options.nodes).token(TOKEN);
    Ok(if options.encrypted { cluster.encrypted() } else { cluster }.start()?)
}

/// Returns the clients of all nodes. The styles are assigned in turn, so that a few nodes together have all styles.
fn clients(options: &Options) -> Vec<Client> {
    let mut clients = Vec::new();
    for index in 0..options.clients {
        for node in 1..=options.nodes {
            let number = clients.len();
            let style = STYLES[(index * options.nodes as usize + node as usize - 1) % STYLES.len()];
            clients.push(Client::new(u16::try_from(number).unwrap_or(u16::MAX), node, style));
        }
    }
    for _ in 0..options.listers {
        for node in 1..=options.nodes {
            clients.push(Client::new(u16::try_from(clients.len()).unwrap_or(u16::MAX), node, LISTER));
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
            *self.faults.entry(fault.breaks()).or_default().entry(fault.name()).or_default() += 1;
            self.apply(&fault)?;
            self.look_after_clients()?;
        }
        thread::sleep((start + length).saturating_duration_since(Instant::now()));
        Ok(())
    }

    /// Starts each client that does not run.
    pub fn start_clients(&mut self) -> Result<()> {
        (0..self.clients.len()).try_for_each(|client| self.start_client(client))
    }

    fn start_client(&mut self, client: usize) -> Result<()> {
        let client = &mut self.clients[client];
        client.start(&self.cluster, &self.directory, self.options.seed)?;
        Ok(())
    }

    fn apply(&mut self, fault: &Fault) -> Result<()> {
        match fault {
            _ if cluster::apply(&self.cluster, fault)? => {}
            Fault::KillClient(client) => self.clients[*client].kill()?,
            Fault::StartClient(client) => self.start_client(*client)?,
            Fault::StopClient(client) => self.clients[*client].signal(Signal::SIGSTOP)?,
            Fault::ContinueClient(client) => self.clients[*client].signal(Signal::SIGCONT)?,
            Fault::StallClient(client, millis) => self.clients[*client].tell(&format!("stall {millis}")),
            Fault::ForkClient(client) => self.clients[*client].tell("fork 0"),
            Fault::ForkInHandler(client) => self.clients[*client].tell("fork 1"),
            Fault::SignalClient(client, count) if self.clients[*client].said().bears_signals => {
                for _ in 0..*count {
                    self.clients[*client].signal(Signal::SIGUSR1)?;
                    thread::sleep(BETWEEN_SIGNALS);
                }
            }
            // Of daemons and network; and signals to a client that has just been started.
            _ => {}
        }
        Ok(())
    }

    /// Looks for clients that hang, and for clients that have ended without being told to.
    pub fn look_after_clients(&mut self) -> Result<()> {
        self.look_for_hangs(None)?;
        for client in &mut self.clients {
            if let Some(status) = client.ended()? {
                let errors = client.errors(&self.directory);
                self.failures.push(format!("{} ended by itself, {status}: {errors}", client.name()));
                // The process is reaped, so a new one may be started.
                client.end()?;
            }
        }
        Ok(())
    }

    /// Notes and kills the clients whose watchdogs see a hang, and, if something was to be done in time, those that are
    /// late.
    pub fn look_for_hangs(&mut self, late: Option<&str>) -> Result<()> {
        for client in &mut self.clients {
            let place = client.said().hangs.or_else(|| late.map(str::to_owned));
            if let (Some(place), Some(_)) = (place, client.pid()) {
                let stacks = client.stacks();
                fs::write(client.path(&self.directory, "stacks"), &stacks)?;
                self.failures.push(format!("{} hangs: {place}. {stacks}", client.name()));
                client.kill()?;
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

/// Returns the path of the kept log of a node.
pub fn log_path(directory: &Path, node: u32) -> PathBuf {
    directory.join(format!("node{node}.log"))
}
