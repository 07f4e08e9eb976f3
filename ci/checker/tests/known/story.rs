//! Histories that are built one event after the other.

use std::collections::{BTreeMap, BTreeSet};

use cpg_checker::record::{Change, Ending, Member, MessageId, Record, Ring, View};
use cpg_checker::{History, Process, Source};

pub const JOIN: u8 = 1;
pub const LEAVE: u8 = 2;
pub const NODE_DOWN: u8 = 3;
pub const NODE_UP: u8 = 4;
pub const PROC_DOWN: u8 = 5;

/// Returns the ring with this number.
pub fn ring(seq: u64) -> Ring {
    Ring { seq, node: 1 }
}

/// A history. Clients are identified by their index.
pub struct Story {
    clients: Vec<(Member, Vec<Record>)>,
    sent: Vec<u32>,
    /// The current view of each client.
    views: Vec<BTreeSet<usize>>,
    /// The rings in the logs of the nodes.
    pub rings: BTreeMap<u32, Vec<Ring>>,
}

impl Story {
    /// Begins a history with one client on each of these nodes.
    pub fn new(nodes: &[u32]) -> Self {
        let client = |(number, &node): (u16, &u32)| {
            let hello = Record::Hello { client: number, launch: 1, group: 0, queued: false };
            (Member { node, pid: 10 + u32::from(number) }, vec![hello])
        };
        Self {
            clients: (0..).zip(nodes).map(client).collect(),
            sent: vec![0; nodes.len()],
            views: vec![BTreeSet::new(); nodes.len()],
            rings: BTreeMap::new(),
        }
    }

    fn changes(&self, of: &[(usize, u8)]) -> Vec<Change> {
        of.iter().map(|&(client, reason)| (self.clients[client].0, reason)).collect()
    }

    fn tell(&mut self, to: &[usize], record: &Record) {
        for &client in to {
            self.clients[client].1.push(record.clone());
        }
    }

    /// Makes a client join; no other client is told.
    pub fn join(&mut self, client: usize, members: &[usize], ring_seq: u64) {
        let me = self.clients[client].0;
        self.tell(&[client], &Record::Begin { incarnation: 1, me });
        self.views[client] = members.iter().copied().collect();
        self.view(&[client], &[], &[(client, JOIN)]);
        self.totem(&[client], ring_seq);
    }

    /// Makes a client leave that is alone in its view.
    pub fn leave(&mut self, client: usize) {
        self.view(&[client], &[(client, LEAVE)], &[]);
        self.end(client, Ending::Left);
    }

    /// Ends the membership of a client.
    pub fn end(&mut self, client: usize, how: Ending) {
        self.tell(&[client], &Record::End(how));
    }

    /// Changes the views of some clients: the members that left and joined, with their reasons.
    pub fn view(&mut self, to: &[usize], left: &[(usize, u8)], joined: &[(usize, u8)]) {
        for &client in to {
            let view = &mut self.views[client];
            view.retain(|member| left.iter().all(|(gone, _)| gone != member));
            view.extend(joined.iter().map(|(come, _)| come));
            let members = self.views[client].iter().map(|&member| self.clients[member].0).collect();
            let (left, joined) = (self.changes(left), self.changes(joined));
            self.tell(&[client], &Record::View(View { members, left, joined }));
        }
    }

    /// Returns true if a client has another one in its view.
    pub fn sees(&self, client: usize, other: usize) -> bool {
        self.views[client].contains(&other)
    }

    /// Begins a new ring.
    pub fn totem(&mut self, to: &[usize], seq: u64) {
        self.tell(to, &Record::Totem(ring(seq)));
    }

    /// Sends a message and delivers it.
    pub fn message(&mut self, sender: usize, to: &[usize]) {
        self.message_of(sender, to, 50);
    }

    /// Sends a message of this length and delivers it.
    pub fn message_of(&mut self, sender: usize, to: &[usize], len: u32) {
        let (seq, client) = (self.sent[sender], u16::try_from(sender).expect("few clients"));
        self.sent[sender] += 1;
        self.tell(&[sender], &Record::Send { seq, hash: seq, len, tracked: false });
        let id = MessageId { client, launch: 1, seq };
        self.tell(to, &Record::Deliver { id, hash: seq, sender: self.clients[sender].0 });
    }

    /// Delivers bytes that are not a message.
    pub fn damaged(&mut self, sender: usize, to: &[usize], len: u32, excusable: bool) {
        self.tell(to, &Record::Alien { len, sender: self.clients[sender].0, excusable });
    }

    /// Ends the part of the history that is compared.
    pub fn settle(&mut self, all: &[usize]) {
        self.tell(all, &Record::Settled);
        self.tell(all, &Record::Bye);
    }

    pub fn history(&self) -> History {
        let process = |(number, (_, records)): (usize, &(Member, Vec<Record>))| Process {
            name: format!("client {number}"),
            source: Source::of(records),
        };
        History {
            processes: self.clients.iter().enumerate().map(process).collect(),
            rings: self.rings.clone(),
            logged_drops: None,
        }
    }
}
