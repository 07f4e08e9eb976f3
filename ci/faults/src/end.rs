//! The end of a run: everything is whole again, all clients come to one view, send a last message, and end.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testcluster::State;

use crate::Result;
use crate::process::{Client, End};
use crate::run::Run;

/// How long clients may take to come to one view once nothing breaks any more.
const CONVERGE: Duration = Duration::from_secs(30);
/// How long they may take to learn what became of their messages.
const SETTLE: Duration = Duration::from_secs(15);
/// How long they may take to end: as long as they wait for their leave, and more.
const STOP: Duration = Duration::from_secs(25);
const POLL: Duration = Duration::from_millis(50);

/// Ends it, and notes what does not come to an end.
pub fn end(run: &mut Run) -> Result<()> {
    mend(run)?;
    let mended = Instant::now();
    if let Err(error) = run.cluster.settle() {
        run.failures.push(format!("the daemons did not come together: {error}"));
        return stop(run);
    }
    tell(run, "quiet");
    run.look_for_ended()?;
    // From the time that the daemons were together; that took as long as it took.
    let deadline = Instant::now() + CONVERGE;
    let converged = wait(run, deadline, one_view);
    if !converged {
        note_views(run);
    }
    if run.options.verbose {
        eprintln!("one view {:.1} s after the last thing was mended", mended.elapsed().as_secs_f64());
    }
    let deadline = Instant::now() + SETTLE;
    wait(run, deadline, |run| run.clients.iter().all(|client| client.said().open == Some(0)));
    if converged {
        for packed in [false, true] {
            let of = |client: &&mut Client| client.style.packed == packed;
            let count = run.clients.iter_mut().filter(of).count();
            run.clients.iter_mut().filter(of).for_each(|client| client.tell(&format!("last {count}")));
        }
        let deadline = Instant::now() + CONVERGE;
        if !wait(run, deadline, |run| run.clients.iter().all(|client| client.said().settled)) {
            let late: Vec<String> =
                run.clients.iter().filter(|client| !client.said().settled).map(Client::name).collect();
            run.failures.push(format!("the last messages have not come to: {}", late.join(", ")));
            hung(run, |client| !client.said().settled);
        }
    }
    stop(run)
}

/// Mends all that is broken.
fn mend(run: &mut Run) -> Result<()> {
    for client in &run.clients {
        client.signal(Signal::SIGCONT)?;
    }
    for node in 1..=run.options.nodes {
        match run.cluster.state(node) {
            State::Paused => run.cluster.resume(node)?,
            State::Dead => run.cluster.restart(node)?,
            State::Running => {}
        }
    }
    run.cluster.heal()?;
    run.look_for_ended()?;
    for client in &mut run.clients {
        client.start(&run.cluster, &run.directory, run.options.seed)?;
    }
    Ok(())
}

fn tell(run: &mut Run, line: &str) {
    run.clients.iter_mut().for_each(|client| client.tell(line));
}

/// Asks the clients for their state again and again until it is as wanted.
fn wait(run: &mut Run, deadline: Instant, is_good: impl Fn(&Run) -> bool) -> bool {
    loop {
        tell(run, "look");
        thread::sleep(POLL);
        if is_good(run) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
    }
}

/// The members that all clients of each group should see.
fn wanted(run: &Run) -> BTreeMap<bool, Vec<String>> {
    let mut wanted: BTreeMap<bool, Vec<String>> = BTreeMap::new();
    for client in &run.clients {
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
    run.clients.iter().all(|client| {
        let mut members = client.said().members;
        members.sort_unstable();
        wanted.get(&client.style.packed) == Some(&members)
    })
}

fn note_views(run: &mut Run) {
    let wanted = wanted(run);
    for client in &run.clients {
        let mut members = client.said().members;
        members.sort_unstable();
        let wanted = &wanted[&client.style.packed];
        if members != *wanted {
            let more: Vec<_> = members.iter().filter(|member| !wanted.contains(member)).collect();
            let less: Vec<_> = wanted.iter().filter(|member| !members.contains(member)).collect();
            run.failures.push(format!(
                "{} has not come to the view of all in {CONVERGE:?}: it sees {more:?} too, and not {less:?}",
                client.name()
            ));
        }
    }
    hung(run, |client| client.said().open.is_none());
}

/// Keeps the stacks of those that hang.
fn hung(run: &Run, is_hung: impl Fn(&Client) -> bool) {
    for client in run.clients.iter().filter(|client| is_hung(client)) {
        // It is no part of the verdict.
        let path = client.path(&run.directory, "stacks");
        if let Err(error) = fs::write(&path, client.stacks()) {
            eprintln!("torture: {}: {error}", path.display());
        }
    }
}

/// Has all clients end.
fn stop(run: &mut Run) -> Result<()> {
    run.look_for_ended()?;
    tell(run, "stop");
    let deadline = Instant::now() + STOP;
    for index in 0..run.clients.len() {
        let client = &mut run.clients[index];
        match client.wait(deadline)? {
            End::Well => {}
            End::Failed(status) => {
                let errors = client.errors(&run.directory);
                run.failures.push(format!("{} has failed at its end, {status}: {errors}", client.name()));
            }
            End::Hangs => {
                let stacks = client.stacks();
                fs::write(client.path(&run.directory, "stacks"), &stacks)?;
                run.failures.push(format!("{} does not end: {stacks}", client.name()));
                client.kill()?;
            }
        }
    }
    Ok(())
}
