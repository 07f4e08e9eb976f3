//! Replicas in a simulated cluster that orders messages as corosync does, and breaks in the same ways, from a seed.
//!
//! A ring has one order; each node receives it at its own pace, and each process takes it at its own. When rings change, nodes that go on
//! together come to the same place in the order of the old ring, and those that are cut off may lack its end. A ring works before its
//! processes hear of it: so a node that was cut off delivers to itself in its old view (B28).
//! Now and then a message comes back to its sender alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;

use cpg::{Member, NodeId};
use cpg_checker::linearizable::{Call, Operation, Value, Wrong, check};

use super::format::Format as _;
use super::primary::Place;
use super::quorum::Nodes;
use super::{Answer, Options, Output, Replica, Standing};
use crate::store::{Command, Outcome, Store};

/// A generator of numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^= value >> 31;
        usize::try_from(value % end as u64).unwrap()
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

#[derive(Clone)]
enum Event {
    View(Vec<Member>),
    /// A message; true if it comes back to its sender alone.
    Deliver(Member, Rc<[u8]>, bool),
    Lost,
}

#[derive(Default)]
struct Node {
    /// The ring that the node is in; `None` without a daemon.
    ring: Option<usize>,
    /// The number of events of the ring that the node has received.
    received: usize,
    /// The messages that the process has sent, and that have no place in the order yet.
    queue: VecDeque<(Member, Rc<[u8]>)>,
    process: Option<Process>,
    starts: u32,
}

struct Process {
    replica: Replica<Store>,
    me: Member,
    /// The place of the process's first view in the ring that the node is in.
    joined: Option<usize>,
    inbox: VecDeque<Event>,
    /// The time until which the process does not run.
    stopped_until: usize,
}

struct Simulation {
    random: Random,
    options: Options,
    nodes: Vec<Node>,
    rings: Vec<Vec<Event>>,
    /// Rings whose processes hear of them later, by that time.
    views: BTreeMap<usize, usize>,
    time: usize,
    /// Commands that were not answered, by node, start of its process and number.
    open: BTreeMap<(usize, u32, u64), usize>,
    calls: Vec<(u32, Option<Call>)>,
    next_value: u64,
    acknowledged: usize,
    /// The hash of the state at each place, and the first member at that place: one place has one state.
    places: BTreeMap<Place, (u64, Member)>,
    /// The value that was last written to each key, as far as clients have heard.
    last: BTreeMap<u32, Value>,
}

/// The keys that are used at one time, and how long: the checker's time grows fast with the length of a history.
const KEYS: usize = 2;
const TERM: usize = 3000;

/// Commands that are under way at one time, with those of processes that are stopped.
const CLIENTS: usize = 5;

impl Simulation {
    fn new(seed: u64, nodes: usize, confirm: bool) -> Self {
        let there_are = Nodes(u32::try_from(nodes).unwrap());
        let options = Options { nodes: there_are, confirm, patience: 12, expiry: 150, part: 40, parts: 2 };
        let mut simulation = Self {
            random: Random(seed),
            options,
            nodes: (0..nodes).map(|_| Node::default()).collect(),
            rings: Vec::new(),
            views: BTreeMap::new(),
            time: 0,
            open: BTreeMap::new(),
            calls: Vec::new(),
            next_value: 0,
            acknowledged: 0,
            places: BTreeMap::new(),
            last: BTreeMap::new(),
        };
        simulation.form_rings(&vec![Some(0); nodes]);
        (0..nodes).for_each(|node| simulation.start(node));
        simulation
    }

    /// Puts each node into one ring with the others of the same number. `None` takes the daemon away from the node.
    fn form_rings(&mut self, wanted: &[Option<usize>]) {
        let groups: BTreeSet<usize> = wanted.iter().flatten().copied().collect();
        for group in groups {
            let nodes: Vec<usize> =
                (0..self.nodes.len()).filter(|&node| wanted[node] == Some(group)).collect();
            for node in &nodes {
                let Some(ring) = self.nodes[*node].ring else { continue };
                let together = nodes.iter().filter(|&&other| self.nodes[other].ring == Some(ring));
                let to = together.map(|&other| self.nodes[other].received).max().unwrap_or(0);
                while self.nodes[*node].received < to {
                    self.receive(*node);
                }
            }
            let ring = self.rings.len();
            self.rings.push(Vec::new());
            for &node in &nodes {
                let node = &mut self.nodes[node];
                (node.ring, node.received) = (Some(ring), 0);
                if let Some(process) = &mut node.process {
                    process.joined = Some(0);
                }
            }
            // Much can overtake the news of the ring, or another ring all of it.
            let wait = if self.random.one_in(2) { 400 } else { 10 };
            let due = self.time + self.random.below(wait);
            self.views.insert(due * 1000 + ring, ring);
        }
        for (node, _) in wanted.iter().enumerate().filter(|(_, ring)| ring.is_none()) {
            let node = &mut self.nodes[node];
            node.ring = None;
            node.queue.clear();
            if let Some(process) = &mut node.process {
                process.joined = None;
                process.inbox.clear();
                process.inbox.push_back(Event::Lost);
            }
        }
    }

    fn tell_view(&mut self, ring: usize) {
        self.views.retain(|_, other| *other != ring);
        let nodes = self.nodes.iter().filter(|node| node.ring == Some(ring));
        let members = nodes.filter_map(|node| node.process.as_ref()).map(|process| process.me).collect();
        self.rings[ring].push(Event::View(members));
    }

    fn start(&mut self, node: usize) {
        let start = &mut self.nodes[node];
        start.starts += 1;
        let id = u32::try_from(node + 1).unwrap();
        let me = Member::new(NodeId::new(id), start.starts);
        let process = u64::from(id) << 32 | u64::from(start.starts);
        let joined = start.ring.map(|ring| self.rings[ring].len());
        let replica = Replica::new(me, process, self.options);
        start.process = Some(Process { replica, me, joined, inbox: VecDeque::new(), stopped_until: 0 });
        if let Some(ring) = start.ring {
            self.tell_view(ring);
        }
    }

    fn kill(&mut self, node: usize) {
        self.nodes[node].process = None;
        self.open.retain(|&(of, ..), _| of != node);
        if let Some(ring) = self.nodes[node].ring {
            self.tell_view(ring);
        }
    }

    /// Returns true if the process of the node may be killed. Mostly a majority must keep its state, because otherwise there is little to
    /// find out.
    fn may_be_killed(&mut self, node: usize) -> bool {
        let left = self.nodes.iter().enumerate().filter(|&(other, _)| other != node);
        let holds =
            |node: &Node| node.process.as_ref().is_some_and(|process| process.replica.held().is_some());
        let left = left.filter(|(_, other)| holds(other)).count();
        self.nodes[node].process.is_some() && (2 * left > self.nodes.len() || self.random.one_in(20))
    }

    /// Gives the next message of a node its place in the order.
    fn order(&mut self, node: usize) {
        let alone = self.random.one_in(400);
        let node = &mut self.nodes[node];
        if let (Some(ring), Some((sender, message))) = (node.ring, node.queue.pop_front()) {
            self.rings[ring].push(Event::Deliver(sender, message, alone));
        }
    }

    fn receive(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        let Some(ring) = node.ring else { return };
        let Some(event) = self.rings[ring].get(node.received) else { return };
        if let Some(process) = &mut node.process {
            let alone = matches!(event, Event::Deliver(sender, _, true) if *sender != process.me);
            if process.joined.is_some_and(|joined| joined <= node.received) && !alone {
                process.inbox.push_back(event.clone());
            }
        }
        node.received += 1;
    }

    /// Lets a process take events that have come.
    fn run(&mut self, node: usize, tick: bool) {
        let time = self.time;
        let most = self.random.below(6);
        let Some(process) = &mut self.nodes[node].process else { return };
        if process.stopped_until > time {
            return;
        }
        for _ in 0..most {
            match process.inbox.pop_front() {
                Some(Event::View(members)) => process.replica.view(&members),
                Some(Event::Lost) => process.replica.view(&[]),
                Some(Event::Deliver(sender, message, _)) => process.replica.deliver(sender, &message),
                None => break,
            }
        }
        process.replica.flush();
        if tick {
            process.replica.tick();
        }
        if let Some(held) = process.replica.held() {
            let mut hasher = DefaultHasher::new();
            process.replica.machine().0.hash(&mut hasher);
            let (hash, me) = (hasher.finish(), process.me);
            let (other, there) = *self.places.entry(held).or_insert((hash, me));
            assert_eq!(other, hash, "{time}: {there} and {me} differ at {held:?}");
        }
        self.drain(node);
    }

    fn drain(&mut self, node: usize) {
        let time = self.time as u64;
        let here = &mut self.nodes[node];
        let Some(process) = &mut here.process else { return };
        while let Some(output) = process.replica.output() {
            match output {
                Output::Send(message) if here.ring.is_some() => {
                    here.queue.push_back((process.me, message.into()));
                }
                Output::Send(_) => {}
                Output::Answer(number, answer) => {
                    let index = self.open.remove(&(node, here.starts, number)).expect("answered once");
                    let (key, call) = &mut self.calls[index];
                    match answer {
                        Answer::Done(outcome) => {
                            self.acknowledged += 1;
                            let call = call.as_mut().unwrap();
                            call.to = Some(time);
                            heard(&mut call.operation, &outcome);
                            if let Operation::Write(value) | Operation::Swap(_, value) = call.operation {
                                self.last.insert(*key, value);
                            }
                        }
                        Answer::Refused => *call = None,
                        Answer::Unknown => {}
                    }
                }
            }
        }
    }

    fn call(&mut self, node: usize) {
        if self.open.len() >= CLIENTS {
            return;
        }
        let key = u32::try_from(self.time / TERM * KEYS + self.random.below(KEYS)).unwrap();
        self.next_value += 1;
        let value = Some(self.next_value);
        let operation = match self.random.below(12) {
            0..=4 => Operation::Write(value),
            5 => Operation::Write(None),
            6 | 7 => Operation::Swap(self.last.get(&key).copied().flatten(), value),
            _ => Operation::Read(None),
        };
        self.submit(node, key, operation);
    }

    fn submit(&mut self, node: usize, key: u32, operation: Operation) {
        let bytes = |value: u64| value.to_le_bytes().to_vec();
        let name = key.to_le_bytes().to_vec();
        let command = match operation {
            Operation::Read(_) => Command::Get(name),
            Operation::Write(Some(value)) => Command::Put(name, bytes(value)),
            Operation::Write(None) => Command::Delete(name),
            Operation::Swap(expected, value) => {
                Command::Cas { key: name, expected: expected.map(bytes), value: value.map(bytes) }
            }
        };
        let here = &mut self.nodes[node];
        let Some(process) = &mut here.process else { return };
        if process.stopped_until > self.time {
            return;
        }
        let number = process.replica.submit(command.to_bytes());
        self.open.insert((node, here.starts, number), self.calls.len());
        self.calls.push((key, Some(Call { operation, from: self.time as u64, to: None })));
        self.drain(node);
    }

    fn break_something(&mut self) {
        let count = self.nodes.len();
        let node = self.random.below(count);
        match self.random.below(8) {
            0..=2 => {
                let parts = 1 + self.random.below(3);
                let up = |node: &Node| node.ring.is_some();
                let wanted: Vec<_> =
                    (0..count).map(|node| up(&self.nodes[node]).then(|| self.random.below(parts))).collect();
                self.form_rings(&wanted);
            }
            3 => self.form_rings(&vec![Some(0); count]),
            4 => {
                // One daemon dies, and the others stay together.
                let wanted: Vec<_> = self
                    .nodes
                    .iter()
                    .enumerate()
                    .map(|(index, other)| other.ring.filter(|_| index != node))
                    .collect();
                self.form_rings(&wanted);
            }
            5 if self.may_be_killed(node) => self.kill(node),
            6 => {
                for node in 0..count {
                    if self.nodes[node].process.is_none() {
                        self.start(node);
                    }
                }
            }
            _ => {
                let until = self.time + self.random.below(3000);
                if let Some(process) = &mut self.nodes[node].process {
                    process.stopped_until = until;
                }
            }
        }
    }

    fn step(&mut self, breaks: bool, calls: bool) {
        self.time += 1;
        while let Some((_, &ring)) = self.views.first_key_value().filter(|(due, _)| **due < self.time * 1000)
        {
            self.tell_view(ring);
        }
        let node = self.random.below(self.nodes.len());
        match self.random.below(100) {
            0..=29 => self.order(node),
            30..=69 => self.receive(node),
            70..=89 => self.run(node, false),
            90..=93 => self.run(node, true),
            94..=98 if calls => self.call(node),
            99 if breaks && self.random.one_in(8) => self.break_something(),
            _ => {}
        }
    }

    fn steps(&mut self, count: usize, breaks: bool, calls: bool) {
        (0..count).for_each(|_| self.step(breaks, calls));
    }

    fn replicas(&self) -> impl Iterator<Item = &Replica<Store>> {
        self.nodes.iter().filter_map(|node| node.process.as_ref()).map(|process| &process.replica)
    }

    fn all_in_step(&self) -> bool {
        self.replicas().all(|replica| replica.standing() == Standing::InStep)
    }

    /// Returns true if nothing is in flight.
    fn is_quiet(&self) -> bool {
        let quiet = |node: &Node| {
            let all = node.ring.is_some_and(|ring| node.received == self.rings[ring].len());
            all && node.queue.is_empty()
                && node.process.as_ref().is_some_and(|process| process.inbox.is_empty())
        };
        self.nodes.iter().all(quiet) && self.replicas().all(|replica| replica.behind() == (0, 0))
    }

    fn begin(&mut self) {
        for _ in 0..300 {
            self.steps(300, false, false);
            if self.all_in_step() {
                return;
            }
            if let Some(process) = self.nodes[0].process.as_mut() {
                let _: Result<(), Standing> = process.replica.begin(1);
                self.drain(0);
            }
        }
        panic!("it does not begin: {:?}", self.replicas().map(Replica::standing).collect::<Vec<_>>());
    }

    /// Mends everything, and waits until all members have come to one state. Returns false if a majority has lost its state.
    fn mend(&mut self) -> bool {
        for node in 0..self.nodes.len() {
            if self.nodes[node].process.is_none() {
                self.start(node);
            }
            self.nodes[node].process.as_mut().unwrap().stopped_until = 0;
        }
        self.form_rings(&vec![Some(0); self.nodes.len()]);
        let holders = self.replicas().filter(|replica| replica.held().is_some()).count();
        let survives = 2 * holders > self.nodes.len();
        for _ in 0..200 {
            self.steps(500, false, false);
            let states: Vec<Standing> = self.replicas().map(Replica::standing).collect();
            if survives && self.all_in_step() && self.is_quiet() {
                return true;
            }
            if !survives && states.iter().all(|state| matches!(state, Standing::Stateless { .. })) {
                return false;
            }
        }
        let states: Vec<_> =
            self.replicas().map(|replica| (replica.standing(), replica.behind(), replica.held())).collect();
        panic!("it does not come together: {holders} hold something: {states:#?}");
    }

    fn check(&self) -> Result<(), (u32, Wrong)> {
        let mut histories: BTreeMap<u32, Vec<Call>> = BTreeMap::new();
        for (key, call) in &self.calls {
            histories.entry(*key).or_default().extend(call);
        }
        histories.into_iter().try_for_each(|(key, calls)| check(&calls).map_err(|wrong| (key, wrong)))
    }
}

/// Records what a client heard of an operation.
fn heard(operation: &mut Operation, outcome: &Outcome) {
    let number = |value: &Option<Vec<u8>>| {
        value.as_ref().map(|value| u64::from_le_bytes(value.as_slice().try_into().unwrap()))
    };
    match (operation, outcome) {
        (Operation::Read(read), Outcome::Value(value)) => *read = number(value),
        (Operation::Write(_) | Operation::Swap(..), Outcome::Done) => {}
        (swap @ Operation::Swap(..), Outcome::Differs(value)) => *swap = Operation::Read(number(value)),
        other => panic!("{other:?}"),
    }
}

/// Runs a simulation. Returns the number of acknowledged commands, and true if the state survived.
fn simulate(seed: u64, nodes: usize, confirm: bool) -> Result<(usize, bool), (u32, Wrong)> {
    let mut simulation = Simulation::new(seed, nodes, confirm);
    simulation.begin();
    simulation.steps(30_000, true, true);
    let survived = simulation.mend();
    if survived {
        let states: BTreeSet<_> = simulation.replicas().map(|replica| &replica.machine().0).collect();
        assert_eq!(states.len(), 1, "seed {seed}: states differ");
        let keys: BTreeSet<u32> = simulation.calls.iter().map(|(key, _)| *key).collect();
        for key in keys {
            simulation.submit(0, key, Operation::Read(None));
        }
        simulation.steps(5_000, false, false);
    }
    simulation.check()?;
    Ok((simulation.acknowledged, survived))
}

fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("KV_SEEDS").ok().and_then(|count| count.parse().ok());
    let first = std::env::var("KV_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    first..first + count.unwrap_or(2000)
}

#[test]
fn what_was_acknowledged_survives_whatever_happens_to_a_minority() {
    let (mut acknowledged, mut survived) = (0, 0);
    for seed in seeds() {
        let nodes = [3, 5, 3, 4, 1, 2][usize::try_from(seed % 6).unwrap()];
        match simulate(seed, nodes, true) {
            Ok((count, whole)) => {
                acknowledged += count;
                survived += usize::from(whole);
            }
            Err((key, wrong)) => panic!("seed {seed}, {nodes} nodes, key {key}: {wrong:#?}"),
        }
    }
    println!("{acknowledged} acknowledged, state survived in {survived}");
    assert!(acknowledged > 0 && survived > 0);
}

#[test]
fn without_a_majority_s_word_the_checker_finds_what_is_lost() {
    assert!((0..60).any(|seed| simulate(seed, 3, false).is_err()));
}
