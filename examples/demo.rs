//! Three corosync nodes agree on one order of messages, through a partition.
//!
//! `demo` starts three private corosync daemons on this machine, and one member of a group on each. First all members
//! send at once. Then node 3 is cut off, and both sides go on. Then the network heals. The program checks what it
//! shows: members that stayed together have delivered the same messages in the same order. The exit status is 0 if this
//! is so.

mod program;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use cpg::{Event, Group, Limits, Link};
use program::End;
use testcluster::Cluster;

const HELP: &str = "\
Usage: {name}

Shows that members of a group on three corosync nodes agree on one order of messages, through a partition. The nodes are
private daemons on this machine, which end with the program. A corosync that already runs is left alone. The program
takes a few seconds. It needs corosync, iproute2 and util-linux, and root or user namespaces.

  --help       print this
  --version    print the version
";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const NODES: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(20);

/// A task for a member.
#[derive(Clone, Copy)]
enum Task {
    /// Wait for a view with so many members.
    See(usize),
    /// Send so many messages, and wait until so many have been delivered.
    Exchange(usize, usize),
}

/// The messages that were delivered to a member during a task.
type Heard = Result<Vec<String>>;

struct Member {
    tasks: Sender<Task>,
    heard: Receiver<Heard>,
}

fn main() -> ExitCode {
    program::main("demo", HELP, |mut arguments| {
        use lexopt::prelude::*;
        if let Some(argument) = arguments.next()? {
            return Err(match argument {
                Long("help") | Short('h') => End::Help,
                Long("version") | Short('V') => End::Version,
                other => other.unexpected().into(),
            });
        }
        demo().map_err(|error| End::Failed(error.to_string()))?;
        println!("One order everywhere among members that stayed together: checked.");
        Ok(())
    })
}

fn demo() -> Result<()> {
    let started = Instant::now();
    let cluster = Cluster::start(NODES)?;
    println!("{NODES} corosync daemons, a member on each: up after {:.1?}\n", started.elapsed());
    std::thread::scope(|scope| {
        let start = |node| {
            let ((tasks, to_do), (said, heard)) = (channel(), channel());
            let cluster = &cluster;
            scope.spawn(move || cluster.on(node, move || member(node, to_do, &said)));
            Member { tasks, heard }
        };
        let members: Vec<Member> = (1..=NODES).map(start).collect();
        act("All send at once.", &members, [3, 3, 3], 4)?;
        cluster.partition(&[&[1, 2], &[3]])?;
        act("Node 3 is cut off. Both sides go on.", &members, [2, 2, 1], 3)?;
        cluster.heal()?;
        act("The network heals.", &members, [3, 3, 3], 3)
    })
}

/// Makes each member wait for its view and then send. Shows the delivered messages side by side, and checks them.
fn act(title: &str, members: &[Member], in_view: [usize; NODES as usize], sends: usize) -> Result<()> {
    println!("{title}");
    // No member sends before all have the view, so that every member of the view delivers every message.
    all(members, |node| Task::See(in_view[node]))?;
    let heard = all(members, |node| Task::Exchange(sends, sends * in_view[node]))?;
    show(&heard);
    for (a, b) in [(0, 1), (1, 2), (0, 2)] {
        let together = in_view[a] == in_view[b];
        if together && heard[a] != heard[b] {
            return Err(format!("nodes {} and {} have different orders", a + 1, b + 1).into());
        }
        if !together && heard[a].iter().any(|message| heard[b].contains(message)) {
            return Err(format!("a message crossed from node {} to node {}", a + 1, b + 1).into());
        }
    }
    Ok(())
}

/// Gives each member its task, and waits until all tasks are done.
fn all(members: &[Member], task: impl Fn(usize) -> Task) -> Result<Vec<Vec<String>>> {
    for (node, member) in members.iter().enumerate() {
        member.tasks.send(task(node))?;
    }
    members.iter().map(|member| member.heard.recv()?).collect()
}

fn show(heard: &[Vec<String>]) {
    let colour = std::io::stdout().is_terminal();
    print!("    ");
    for node in 1..=heard.len() {
        print!("  node {node:<9}");
    }
    println!();
    for row in 0..heard.iter().map(Vec::len).max().unwrap_or(0) {
        print!("  {:>2}", row + 1);
        for column in heard {
            let message = column.get(row).map_or("", String::as_str);
            match message.as_bytes().get(5).filter(|_| colour) {
                Some(sender) => print!("  \x1b[3{}m{message:<14}\x1b[0m", sender - b'0'),
                None => print!("  {message:<14}"),
            }
        }
        println!();
    }
    println!();
}

/// Runs a member of the group on one node: it does its tasks, and returns the messages that were delivered.
fn member(node: u32, tasks: Receiver<Task>, said: &Sender<Heard>) {
    let mut group = Group::join("demo");
    let mut in_view = 0;
    for task in tasks {
        let heard = match &mut group {
            Ok(group) => {
                perform(group, task, &mut in_view).map_err(|error| format!("node {node}: {error}").into())
            }
            Err(error) => Err(error.to_string().into()),
        };
        if said.send(heard).is_err() {
            return;
        }
    }
}

fn perform(group: &mut Group, task: Task, in_view: &mut usize) -> Heard {
    let deadline = Instant::now() + PATIENCE;
    let mut heard = Vec::new();
    let mut sent = Ok(());
    let mut said = 1;
    let line = |link: &Link, number: usize| format!("node {} says {number}", link.me().node());
    if let Task::Exchange(..) = task {
        group.send(line(group, said).as_bytes())?;
    }
    loop {
        let done = match task {
            Task::See(members) => *in_view == members,
            Task::Exchange(_, messages) => heard.len() == messages,
        };
        if done {
            return Ok(heard);
        }
        let handled = group.dispatch(Limits::one().until(deadline), |link, event| match event {
            Event::Deliver(message) => {
                heard.push(String::from_utf8_lossy(message.payload()).into_owned());
                // The next message goes out when the last one has been delivered here, so that the members take turns.
                if message.sender() == link.me() && matches!(task, Task::Exchange(sends, _) if said < sends) {
                    said += 1;
                    sent = link.send(line(link, said).as_bytes());
                }
            }
            Event::ConfChg(view) => *in_view = view.members().len(),
            _ => {}
        })?;
        std::mem::replace(&mut sent, Ok(()))?;
        if handled == 0 {
            return Err(
                format!("{in_view} members in view and {} messages are all that came", heard.len()).into()
            );
        }
    }
}
