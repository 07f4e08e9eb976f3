//! Clients, and what they hear.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cpg_checker::linearizable::{Call, Operation};
use cpg_faults::Result;
use cpg_faults::random::Random;
use cpg_kv::client::Client;
use cpg_kv::store::{Command, Outcome};
use cpg_kv::wire::{Reply, Request};

/// The keys that are new at one time, and how long they are: what the checker takes grows fast with the length of a history.
const KEYS: u64 = 6;
const TERM: Duration = Duration::from_millis(150);

/// How long a client waits for a reply before it asks on another connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pause of a client that was not served.
const PAUSE: Duration = Duration::from_millis(20);

/// What was heard.
#[derive(Default)]
pub struct History {
    pub calls: Vec<(u32, Call)>,
    pub done: u64,
    pub refused: u64,
    pub unknown: u64,
}

/// All clients.
pub struct Clients {
    pub stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<History>>,
    start: Instant,
}

impl Clients {
    /// Starts so many of each member.
    pub fn start(sockets: &[PathBuf], count: usize, seed: u64) -> Self {
        let (stop, values, start) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(1)), Instant::now());
        let mut threads = Vec::new();
        for index in 0..count {
            for (node, socket) in sockets.iter().enumerate() {
                let (stop, values, socket) = (Arc::clone(&stop), Arc::clone(&values), socket.clone());
                let random = Random::new(seed ^ ((index * 100 + node) as u64) << 32);
                threads.push(thread::spawn(move || {
                    let mut one =
                        One { socket, client: None, random, values, start, history: History::default() };
                    while !stop.load(Ordering::Relaxed) {
                        one.turn();
                    }
                    one.history
                }));
            }
        }
        Self { stop, threads, start }
    }

    /// Waits for them, and reads all keys, if that is to be had.
    pub fn end(self, sockets: &[PathBuf], whole: bool) -> Result<History> {
        let mut all = History::default();
        for thread in self.threads {
            let History { calls, done, refused, unknown } = thread.join().map_err(|_| "a client panicked")?;
            all.calls.extend(calls);
            all.done += done;
            all.refused += refused;
            all.unknown += unknown;
        }
        if whole {
            let keys: BTreeSet<u32> = all.calls.iter().map(|(key, _)| *key).collect();
            let socket = sockets.first().cloned().unwrap_or_default();
            let (random, values) = (Random::new(0), Arc::new(AtomicU64::new(0)));
            let mut last =
                One { socket, client: None, random, values, start: self.start, history: History::default() };
            for &key in &keys {
                last.call(key, Operation::Read(None));
            }
            if last.history.calls.len() < keys.len() {
                return Err("not all keys could be read in the end".into());
            }
            all.calls.extend(last.history.calls);
        }
        Ok(all)
    }
}

struct One {
    socket: PathBuf,
    client: Option<Client>,
    random: Random,
    values: Arc<AtomicU64>,
    start: Instant,
    history: History,
}

impl One {
    fn turn(&mut self) {
        let term = self.start.elapsed().as_millis() / TERM.as_millis();
        let mut term = u64::try_from(term).unwrap_or(0);
        // Now and then of before.
        if self.random.one_in(8) {
            term -= self.random.range(0, term.min(100) + 1);
        }
        let key = u32::try_from(term * KEYS + self.random.range(0, KEYS)).unwrap_or(0);
        let value = Some(self.values.fetch_add(1, Ordering::Relaxed));
        let operation = match self.random.range(0, 20) {
            0..=8 => Operation::Write(value),
            9 => Operation::Write(None),
            10..=13 => Operation::Swap(self.last_of(key), value),
            _ => Operation::Read(None),
        };
        self.call(key, operation);
    }

    /// What this client knows of a key, from its last calls.
    fn last_of(&self, key: u32) -> Option<u64> {
        let calls = self.history.calls.iter().rev().take(50).filter(|(of, _)| *of == key);
        let values = calls.map(|(_, call)| match call.operation {
            Operation::Read(value) | Operation::Write(value) | Operation::Swap(_, value) => value,
        });
        values.take(1).next().flatten()
    }

    fn call(&mut self, key: u32, mut operation: Operation) {
        let bytes = |value: u64| value.to_le_bytes().to_vec();
        let name = format!("key {key}").into_bytes();
        let command = match operation {
            Operation::Read(_) => Command::Get(name),
            Operation::Write(Some(value)) => Command::Put(name, bytes(value)),
            Operation::Write(None) => Command::Delete(name),
            Operation::Swap(expected, value) => {
                Command::Cas { key: name, expected: expected.map(bytes), value: value.map(bytes) }
            }
        };
        if self.client.is_none() {
            self.client = connect(&self.socket).ok();
        }
        let from = self.now();
        let Some(client) = &mut self.client else { return thread::sleep(PAUSE) };
        let reply = client.ask(&Request::Do(command));
        let to = self.now();
        let to = match reply {
            Ok(Reply::Done(outcome)) => {
                heard(&mut operation, &outcome);
                self.history.done += 1;
                Some(to)
            }
            Ok(Reply::Refused(_)) => {
                self.history.refused += 1;
                return thread::sleep(PAUSE);
            }
            Ok(_) => None,
            Err(_) => {
                self.client = None;
                None
            }
        };
        self.history.unknown += u64::from(to.is_none());
        // A read of which nothing was heard says nothing.
        if to.is_some() || !matches!(operation, Operation::Read(_)) {
            self.history.calls.push((key, Call { operation, from, to }));
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX - 1)
    }
}

fn connect(socket: &Path) -> io::Result<Client> {
    let client = Client::connect(socket)?;
    client.give_up_after(PATIENCE)?;
    Ok(client)
}

/// Puts what was heard of an operation into it.
fn heard(operation: &mut Operation, outcome: &Outcome) {
    let number = |value: &Option<Vec<u8>>| {
        value.as_ref().map(|value| value.as_slice().try_into().map_or(u64::MAX, u64::from_le_bytes))
    };
    match (&operation, outcome) {
        (Operation::Read(_), Outcome::Value(value)) | (Operation::Swap(..), Outcome::Differs(value)) => {
            *operation = Operation::Read(number(value));
        }
        (Operation::Write(_) | Operation::Swap(..), Outcome::Done) => {}
        // An answer to something else, which no history has.
        _ => *operation = Operation::Read(Some(u64::MAX)),
    }
}
