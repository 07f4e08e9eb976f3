//! Clients, and the history of their calls.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cpg_checker::linearizable::{Call, Operation};
use cpg_faults::random::Random;
use cpg_kv::client::Client;
use cpg_kv::store::{Command, Outcome};
use cpg_kv::wire::{Reply, Request};

/// The time for which a key is new. The checker's time grows fast with the length of a history and with the number of calls of one key at
/// one time. So there is one new key for every two clients.
const TERM: Duration = Duration::from_millis(150);

/// The time that a client waits for a reply before it asks on another connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time limit for reading all keys at the end.
const LAST: Duration = Duration::from_secs(600);

/// The pause of a client whose request was not done.
const PAUSE: Duration = Duration::from_millis(20);

/// The calls of clients, and the number of calls with each outcome.
#[derive(Default)]
pub struct History {
    pub calls: Vec<(u32, Call)>,
    pub done: u64,
    pub refused: u64,
    pub unknown: u64,
}

/// The threads of all clients.
pub struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<History>>,
    start: Instant,
}

impl Clients {
    /// Starts `count` clients of each member.
    pub fn start(sockets: &[PathBuf], count: usize, seed: u64) -> Self {
        let (stop, values, start) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(1)), Instant::now());
        let keys = (count * sockets.len()).div_ceil(2) as u64;
        let mut threads = Vec::new();
        for index in 0..count {
            for (node, socket) in sockets.iter().enumerate() {
                let (stop, values, socket) = (Arc::clone(&stop), Arc::clone(&values), socket.clone());
                let random = Random::new(seed ^ ((index * 100 + node) as u64) << 32);
                threads.push(thread::spawn(move || {
                    let history = History::default();
                    let mut one = One { socket, client: None, random, values, keys, start, history };
                    while !stop.load(Ordering::Relaxed) {
                        one.turn();
                    }
                    one.history
                }));
            }
        }
        Self { stop, threads, start }
    }

    /// Stops the clients. Reads all keys if `whole` says that the state has survived. Returns the history, and the failure if there was
    /// one.
    pub fn end(self, sockets: &[PathBuf], whole: bool) -> (History, Option<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut all, mut failure) = (History::default(), None);
        for thread in self.threads {
            match thread.join() {
                Ok(history) => all.add(history),
                Err(_) => failure = Some("a client panicked".to_owned()),
            }
        }
        if whole {
            let keys: BTreeSet<u32> = all.calls.iter().map(|(key, _)| *key).collect();
            let socket = sockets.first().cloned().unwrap_or_default();
            let (random, values, history) = (Random::new(0), Arc::default(), History::default());
            let mut last = One { socket, client: None, random, values, keys: 1, start: self.start, history };
            let deadline = Instant::now() + LAST;
            let is_read = |last: &mut One, key: u32| {
                let before = last.history.done;
                last.call(key, Operation::Read(None));
                last.history.done > before
            };
            for key in keys {
                while !is_read(&mut last, key) {
                    if Instant::now() > deadline {
                        failure = Some(format!(
                            "not all keys could be read at the end, within {} s",
                            LAST.as_secs()
                        ));
                        break;
                    }
                }
            }
            all.add(last.history);
        }
        (all, failure)
    }
}

impl History {
    fn add(&mut self, other: Self) {
        self.calls.extend(other.calls);
        self.done += other.done;
        self.refused += other.refused;
        self.unknown += other.unknown;
    }

    /// Writes the history to a file, one [`line`] per call, in the order in which the calls began.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let mut calls = self.calls.clone();
        calls.sort_by_key(|(_, call)| call.from);
        let mut file = BufWriter::new(File::create(file)?);
        for (key, call) in calls {
            writeln!(file, "{}", line(key, &call))?;
        }
        file.flush()
    }
}

/// Returns a call as a line: begin and end in seconds, key, operation. An end that nobody knows is `?`.
pub fn line(key: u32, call: &Call) -> String {
    let Call { operation, from, to } = call;
    let seconds = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64();
    let to = to.map_or("?".to_owned(), |to| format!("{:.6}", seconds(to)));
    format!("{:.6} {to} {key} {operation:?}", seconds(*from))
}

struct One {
    socket: PathBuf,
    client: Option<Client>,
    random: Random,
    values: Arc<AtomicU64>,
    /// The number of keys that are new at one time.
    keys: u64,
    start: Instant,
    history: History,
}

impl One {
    fn turn(&mut self) {
        let term = self.start.elapsed().as_millis() / TERM.as_millis();
        let mut term = u64::try_from(term).unwrap_or(0);
        // Now and then the client uses an older key.
        if self.random.one_in(8) {
            term -= self.random.range(0, term.min(100) + 1);
        }
        let key = u32::try_from(term * self.keys + self.random.range(0, self.keys)).unwrap_or(0);
        let value = Some(self.values.fetch_add(1, Ordering::Relaxed));
        let operation = match self.random.range(0, 20) {
            0..=8 => Operation::Write(value),
            9 => Operation::Write(None),
            10..=13 => Operation::Swap(self.last_of(key), value),
            _ => Operation::Read(None),
        };
        self.call(key, operation);
    }

    /// Returns the value that a key had in this client's last calls.
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
        // A read without a reply says nothing about the state.
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

/// Records what a client heard of an operation.
fn heard(operation: &mut Operation, outcome: &Outcome) {
    let number = |value: &Option<Vec<u8>>| {
        value.as_ref().map(|value| value.as_slice().try_into().map_or(u64::MAX, u64::from_le_bytes))
    };
    match (&operation, outcome) {
        (Operation::Read(_), Outcome::Value(value)) | (Operation::Swap(..), Outcome::Differs(value)) => {
            *operation = Operation::Read(number(value));
        }
        (Operation::Write(_) | Operation::Swap(..), Outcome::Done) => {}
        // A reply to another operation. A read of a value that nobody writes makes the history wrong.
        _ => *operation = Operation::Read(Some(u64::MAX)),
    }
}
