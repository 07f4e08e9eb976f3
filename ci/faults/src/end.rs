//! The end of a run: everything is mended, all clients get one view, send a last message, and end.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testcluster::State;

use crate::busy::Patience;
use crate::process::{Client, End};
use crate::run::Run;
use cpg_faults::Result;
use cpg_faults::shared_memory;

/// The longest time until clients have one view after everything is mended.
const CONVERGE: Duration = Duration::from_secs(30);
/// The longest time until clients know the fate of their messages.
const SETTLE: Duration = Duration::from_secs(15);
/// The longest time until clients have ended, if their watchdogs see no hang. It is longer than a watchdog takes to
/// decide.
const STOP: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(50);

/// Ends the run, and notes each client that does not end.
pub fn end(run: &mut Run) -> Result<()> {
    mend(run)?;
    let mended = Instant::now();
    run.meter.mark();
    if let Err(error) = run.cluster.settle() {
        failed(run, format!("the daemons did not come together: {error}"));
        return stop(run);
    }
    tell(run, "quiet");
    run.look_after_clients()?;
    // The time counts from the moment at which the daemons had merged.
    run.meter.mark();
    let converged = wait(run, CONVERGE, one_view)?;
    if !converged {
        note_views(run);
    }
    if run.options.verbose {
        eprintln!("one view {:.1} s after the last thing was mended", mended.elapsed().as_secs_f64());
    }
    wait(run, SETTLE, |run| joined(run).all(|client| client.said().open == Some(0)))?;
    if converged {
        for packed in [false, true] {
            let of = |client: &&mut Client| client.style.joins() && client.style.packed == packed;
            let count = run.clients.iter_mut().filter(of).count();
            run.clients.iter_mut().filter(of).for_each(|client| client.tell(&format!("last {count}")));
        }
        run.meter.mark();
        if !wait(run, CONVERGE, |run| joined(run).all(|client| client.said().settled))? {
            let late: Vec<String> =
                joined(run).filter(|client| !client.said().settled).map(Client::name).collect();
            failed(run, format!("the last messages have not come to: {}", late.join(", ")));
            keep_stacks(run, |client| client.style.joins() && !client.said().settled);
        }
    }
    stop(run)
}

/// Notes a failure; if the machine was too busy, it is noted as not found out.
fn failed(run: &mut Run, what: String) {
    match run.meter.excuse() {
        Some(excuse) => run.undecided.push(format!("{what}, and {excuse}")),
        None => run.failures.push(what),
    }
}

/// Returns the clients that run. A client that hung has been noted and killed, and is not among them.
fn running(run: &Run) -> impl Iterator<Item = &Client> {
    run.clients.iter().filter(|client| client.pid().is_some())
}

fn joined(run: &Run) -> impl Iterator<Item = &Client> {
    running(run).filter(|client| client.style.joins())
}

/// Mends everything that is broken.
fn mend(run: &mut Run) -> Result<()> {
    for client in &run.clients {
        client.signal(Signal::SIGCONT)?;
    }
    for node in 1..=run.options.nodes {
        shared_memory::free(&run.cluster, node)?;
        match run.cluster.state(node) {
            State::Paused => run.cluster.resume(node)?,
            State::Dead => run.cluster.restart(node)?,
            State::Running => {}
        }
    }
    run.cluster.heal()?;
    run.look_after_clients()?;
    run.start_clients()
}

fn tell(run: &mut Run, line: &str) {
    run.clients.iter_mut().for_each(|client| client.tell(line));
}

/// Asks the clients for their state again and again, until all are in the wanted state.
fn wait(run: &mut Run, length: Duration, is_good: impl Fn(&Run) -> bool) -> Result<bool> {
    let mut patience = Patience::new(length, POLL);
    loop {
        tell(run, "look");
        let goes_on = patience.wait();
        if is_good(run) {
            return Ok(true);
        }
        run.look_after_clients()?;
        if !goes_on {
            return Ok(false);
        }
    }
}

/// Returns the members that all clients of each group should see.
fn wanted(run: &Run) -> BTreeMap<bool, Vec<String>> {
    let mut wanted: BTreeMap<bool, Vec<String>> = BTreeMap::new();
    for client in joined(run) {
        if let Some(pid) = client.pid() {
            wanted.entry(client.style.packed).or_default().push(format!("{}:{pid}", client.node));
        }
    }
    for members in wanted.values_mut() {
        members.sort_unstable();
    }
    wanted
}

fn one_view(run: &Run) -> bool {
    let wanted = wanted(run);
    running(run).all(|client| sorted(client.said().members) == wanted_by(client, &wanted))
}

fn sorted(mut members: Vec<String>) -> Vec<String> {
    members.sort_unstable();
    members
}

/// Returns the members that a client should see: those of its group, or all members if it is a lister.
fn wanted_by(client: &Client, wanted: &BTreeMap<bool, Vec<String>>) -> Vec<String> {
    let of = |packed: bool| wanted.get(&packed).into_iter().flatten().cloned();
    if client.style.joins() {
        of(client.style.packed).collect()
    } else {
        sorted(of(false).chain(of(true)).collect())
    }
}

fn note_views(run: &mut Run) {
    let wanted = wanted(run);
    let mut texts = Vec::new();
    for client in running(run) {
        let (members, wanted) = (sorted(client.said().members), wanted_by(client, &wanted));
        if members != wanted {
            let more: Vec<_> = members.iter().filter(|member| !wanted.contains(member)).collect();
            let less: Vec<_> = wanted.iter().filter(|member| !members.contains(member)).collect();
            texts.push(format!(
                "{} has not come to the view of all in {CONVERGE:?}: it sees {more:?} too, and not {less:?}",
                client.name()
            ));
        }
    }
    for text in texts {
        failed(run, text);
    }
    keep_stacks(run, |client| client.said().open.is_none());
}

/// Writes the stacks of some clients to files.
fn keep_stacks(run: &Run, of: impl Fn(&Client) -> bool) {
    for client in running(run).filter(|client| of(client)) {
        // A failure of this is no part of the verdict.
        let path = client.path(&run.directory, "stacks");
        if let Err(error) = fs::write(&path, client.stacks()) {
            eprintln!("torture: {}: {error}", path.display());
        }
    }
}

/// Makes all clients end. Notes and kills those whose watchdogs see a hang.
fn stop(run: &mut Run) -> Result<()> {
    run.look_after_clients()?;
    tell(run, "stop");
    let mut patience = Patience::new(STOP, POLL);
    loop {
        let mut all = true;
        for client in &mut run.clients {
            match client.end()? {
                None => all = false,
                Some(End::Well) => {}
                Some(End::Failed(status)) => {
                    let errors = client.errors(&run.directory);
                    run.failures.push(format!("{} has failed at its end, {status}: {errors}", client.name()));
                }
            }
        }
        if all {
            return Ok(());
        }
        let late = (!patience.wait()).then_some("its end");
        run.look_for_hangs(late)?;
    }
}
