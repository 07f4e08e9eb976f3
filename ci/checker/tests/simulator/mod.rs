//! A simulator of histories that a correct cluster could have made, with nodes on rings, partitions and merges, and
//! clients that join, leave, send and die. A history is a function of a list of numbers.

use std::collections::{BTreeMap, BTreeSet};

use cpg_checker::record::{Change, Ending, Fate, Member, MessageId, Record, Ring, View};
use cpg_checker::{History, Process, Source};

pub const JOIN: u8 = 1;
pub const LEAVE: u8 = 2;
pub const NODE_DOWN: u8 = 3;
pub const NODE_UP: u8 = 4;
pub const PROC_DOWN: u8 = 5;

const NODES: u32 = 3;
const CLIENTS: u16 = 6;
const LONG: u32 = 2_000_000;

/// A client process.
#[derive(Debug)]
pub struct Client {
    pub number: u16,
    pub launch: u16,
    pub queued: bool,
    pub node: u32,
    pub records: Vec<Record>,
    /// True if the client is in the group now.
    joined: bool,
    alive: bool,
    incarnation: u32,
    seq: u32,
}

impl Client {
    fn me(&self) -> Member {
        Member { node: self.node, pid: 100 + u32::from(self.number) * 10 + u32::from(self.launch) }
    }
}

/// A node: its ring, and the members that it knows.
#[derive(Debug, Clone)]
struct Node {
    up: bool,
    ring: Ring,
    known: BTreeSet<Member>,
}

/// The cluster while it makes a history.
#[derive(Debug)]
pub struct Simulator {
    pub clients: Vec<Client>,
    nodes: BTreeMap<u32, Node>,
    pub rings: BTreeMap<u32, Vec<Ring>>,
    ring_seq: u64,
}

impl Simulator {
    /// Returns a cluster without partitions, with all clients in the group.
    pub fn new() -> Self {
        let ring = Ring { seq: 4, node: 1 };
        let node = Node { up: true, ring, known: BTreeSet::new() };
        let nodes: BTreeMap<u32, Node> = (1..=NODES).map(|id| (id, node.clone())).collect();
        let rings = nodes.keys().map(|&id| (id, vec![ring])).collect();
        let mut simulator = Self { clients: Vec::new(), nodes, rings, ring_seq: 4 };
        for client in 0..CLIENTS {
            simulator.launch(client, 1);
            simulator.join(usize::from(client));
        }
        simulator
    }

    /// Makes the history of a list of numbers.
    pub fn run(numbers: &[(u8, u8)]) -> Self {
        let mut simulator = Self::new();
        for &(what, which) in numbers {
            simulator.step(what, which);
        }
        simulator.finish();
        simulator
    }

    fn launch(&mut self, client: u16, launch: u16) {
        let (queued, node) = (client % 2 == 0, u32::from(client) % NODES + 1);
        let hello = Record::Hello { client, launch, group: 0, queued };
        self.clients.push(Client {
            number: client,
            launch,
            queued,
            node,
            records: vec![hello],
            joined: false,
            alive: true,
            incarnation: 0,
            seq: 0,
        });
    }

    /// Returns the clients to which messages on the ring of this node are delivered.
    fn audience(&self, node: u32) -> Vec<usize> {
        let ring = self.nodes[&node].ring;
        let hears = |client: &Client| client.joined && self.nodes[&client.node].ring == ring;
        (0..self.clients.len()).filter(|&index| hears(&self.clients[index])).collect()
    }

    fn tell(&mut self, node: u32, change: Change, joined: bool) {
        let ring = self.nodes[&node].ring;
        for state in self.nodes.values_mut().filter(|state| state.up && state.ring == ring) {
            if joined {
                state.known.insert(change.0);
            } else {
                state.known.remove(&change.0);
            }
        }
        for index in self.audience(node) {
            let members = self.nodes[&self.clients[index].node].known.iter().copied().collect();
            let (left, joined) = if joined { (vec![], vec![change]) } else { (vec![change], vec![]) };
            self.clients[index].records.push(Record::View(View { members, left, joined }));
        }
    }

    fn join(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if client.joined || !client.alive || !self.nodes[&client.node].up {
            return;
        }
        client.incarnation += 1;
        client.joined = true;
        let (me, incarnation, node) = (client.me(), client.incarnation, client.node);
        client.records.push(Record::Begin { incarnation, me });
        self.tell(node, (me, JOIN), true);
        let ring = self.nodes[&node].ring;
        self.clients[index].records.push(Record::Totem(ring));
    }

    fn leave(&mut self, index: usize) {
        if self.clients[index].joined {
            let (me, node) = (self.clients[index].me(), self.clients[index].node);
            self.tell(node, (me, LEAVE), false);
            self.clients[index].joined = false;
            self.clients[index].records.push(Record::End(Ending::Left));
        }
    }

    fn kill(&mut self, index: usize) {
        if self.clients[index].alive && self.clients[index].joined {
            let (me, node) = (self.clients[index].me(), self.clients[index].node);
            self.clients[index].joined = false;
            self.clients[index].alive = false;
            self.tell(node, (me, PROC_DOWN), false);
            let (client, launch) = (self.clients[index].number, self.clients[index].launch + 1);
            self.launch(client, launch);
        }
    }

    fn send(&mut self, index: usize, which: u8) {
        let client = &mut self.clients[index];
        if !client.joined {
            return;
        }
        let (seq, len) = (client.seq, if which % 16 == 0 { LONG } else { 50 });
        client.seq += 1;
        let (tracked, hash) = (client.queued && which % 3 == 0, seq * 7 + u32::from(client.number));
        let id = MessageId { client: client.number, launch: client.launch, seq };
        client.records.push(Record::Send { seq, hash, len, tracked });
        if which % 13 == 0 {
            return client.records.push(Record::Fate { seq, fate: Fate::Refused });
        }
        let (sender, node) = (client.me(), client.node);
        for other in self.audience(node) {
            self.clients[other].records.push(Record::Deliver { id, hash, sender });
        }
        if tracked {
            self.clients[index].records.push(Record::Fate { seq, fate: Fate::Resolved });
        }
    }

    /// Puts the nodes that are up on new rings, one for each group of them.
    fn form(&mut self, groups: &[Vec<u32>]) {
        let before = self.nodes.clone();
        for group in groups {
            let group: Vec<u32> = group.iter().copied().filter(|id| self.nodes[id].up).collect();
            let Some(&first) = group.first() else { continue };
            self.ring_seq += 4;
            let ring = Ring { seq: self.ring_seq, node: first };
            let here = |member: &Member| group.contains(&member.node);
            // The members on these nodes: each node knows those that are on it.
            let all: BTreeSet<Member> = group
                .iter()
                .flat_map(|id| before[id].known.iter().copied().filter(move |member| member.node == *id))
                .collect();
            for &id in &group {
                let old = &before[&id];
                // The members that come with this node.
                let with = |member: &Member| here(member) && before[&member.node].ring == old.ring;
                let stay: BTreeSet<Member> = old.known.iter().copied().filter(with).collect();
                let left: Vec<Change> =
                    old.known.difference(&stay).map(|&member| (member, NODE_DOWN)).collect();
                let come: Vec<Change> = all.difference(&stay).map(|&member| (member, NODE_UP)).collect();
                for client in self.clients.iter_mut().filter(|client| client.joined && client.node == id) {
                    let mut views = Vec::new();
                    if !left.is_empty() {
                        views.push((stay.clone(), left.clone(), vec![]));
                    }
                    if !come.is_empty() {
                        views.push((all.clone(), vec![], come.clone()));
                    }
                    for (members, left, joined) in views {
                        let members = members.into_iter().collect();
                        client.records.push(Record::View(View { members, left, joined }));
                    }
                    client.records.push(Record::Totem(ring));
                }
                let node = self.nodes.get_mut(&id).unwrap();
                (node.ring, node.known) = (ring, all.clone());
                self.rings.get_mut(&id).unwrap().push(ring);
            }
        }
    }

    fn crash(&mut self, id: u32) {
        if !self.nodes[&id].up || self.nodes.values().filter(|node| node.up).count() == 1 {
            return;
        }
        let old = self.nodes[&id].ring;
        let node = self.nodes.get_mut(&id).unwrap();
        (node.up, node.ring, node.known) = (false, Ring { seq: 0, node: id }, BTreeSet::new());
        for client in self.clients.iter_mut().filter(|client| client.joined && client.node == id) {
            client.joined = false;
            client.records.push(Record::End(Ending::Lost));
        }
        let rest =
            self.nodes.iter().filter(|(_, node)| node.up && node.ring == old).map(|(&id, _)| id).collect();
        self.form(&[rest]);
    }

    fn step(&mut self, what: u8, which: u8) {
        let index = usize::from(which) % self.clients.len();
        let node = u32::from(which) % NODES + 1;
        match what % 32 {
            0 => self.leave(index),
            1 | 2 => self.join(index),
            3 => self.kill(index),
            4 => self.crash(node),
            5 | 6 => {
                self.nodes.get_mut(&node).unwrap().up = true;
                self.form(&[(1..=NODES).collect()]);
            }
            7 | 8 => self.form(&[(1..=NODES).collect()]),
            9 | 10 => {
                let rest = (1..=NODES).filter(|&other| other != node).collect();
                self.form(&[vec![node], rest]);
            }
            _ => self.send(index, what.wrapping_mul(7).wrapping_add(which)),
        }
    }

    /// Merges all nodes, sends the last messages, and ends the history.
    fn finish(&mut self) {
        self.nodes.values_mut().for_each(|node| node.up = true);
        self.form(&[(1..=NODES).collect()]);
        for index in 0..self.clients.len() {
            self.join(index);
        }
        for index in 0..self.clients.len() {
            self.send(index, 3);
        }
        for client in self.clients.iter_mut().filter(|client| client.joined) {
            client.records.push(Record::Settled);
        }
        for index in 0..self.clients.len() {
            if self.clients[index].joined {
                self.leave(index);
                self.clients[index].records.push(Record::Bye);
            }
        }
    }

    /// Returns the history, with or without the rings of the logs.
    pub fn history(&self, logs: bool) -> History {
        let mut clients: Vec<&Client> = self.clients.iter().collect();
        clients.sort_by_key(|client| (client.number, client.launch));
        let processes = clients
            .iter()
            .map(|client| Process {
                name: format!("{}.{}", client.number, client.launch),
                source: Source::of(&client.records),
            })
            .collect();
        let rings = if logs { self.rings.clone() } else { BTreeMap::new() };
        History { processes, rings, logged_drops: None }
    }
}
