//! The store: keys and values, and what can be done to them.

use std::collections::BTreeMap;

use crate::replica::Machine;
use crate::replica::message::{Reader, Writer};

/// Keys and their values, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Store(pub BTreeMap<Vec<u8>, Vec<u8>>);

/// What is asked of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The value of a key.
    Get(Vec<u8>),
    /// Sets the value of a key.
    Put(Vec<u8>, Vec<u8>),
    /// Takes a key out.
    Delete(Vec<u8>),
    /// Puts the last, or deletes the key, if its value is that (or it has none).
    Cas {
        /// The key.
        key: Vec<u8>,
        /// The value that it must have.
        expected: Option<Vec<u8>>,
        /// The value that it gets.
        value: Option<Vec<u8>>,
    },
    /// The keys that begin with these bytes.
    List(Vec<u8>),
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// The value of the key that was asked for.
    Value(Option<Vec<u8>>),
    /// The value was another than expected: this.
    Differs(Option<Vec<u8>>),
    /// Keys, in order.
    Keys(Vec<Vec<u8>>),
    /// It was no command.
    Malformed,
}

impl Store {
    /// Does what changes nothing.
    pub fn read(&self, command: &Command) -> Option<Outcome> {
        match command {
            Command::Get(key) => Some(Outcome::Value(self.0.get(key).cloned())),
            Command::List(prefix) => {
                let from = self.0.range(prefix.clone()..);
                let keys = from.map(|(key, _)| key).take_while(|key| key.starts_with(prefix));
                Some(Outcome::Keys(keys.cloned().collect()))
            }
            _ => None,
        }
    }

    fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Outcome {
        match value {
            Some(value) => self.0.insert(key, value),
            None => self.0.remove(&key),
        };
        Outcome::Done
    }
}

impl Machine for Store {
    type Outcome = Outcome;

    fn apply(&mut self, command: &[u8]) -> Outcome {
        match Command::of(command) {
            Some(Command::Put(key, value)) => self.set(key, Some(value)),
            Some(Command::Delete(key)) => self.set(key, None),
            Some(Command::Cas { key, expected, value }) => {
                let found = self.0.get(&key);
                if found == expected.as_ref() {
                    self.set(key, value)
                } else {
                    Outcome::Differs(found.cloned())
                }
            }
            Some(command) => self.read(&command).unwrap_or(Outcome::Malformed),
            None => Outcome::Malformed,
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut to = Writer::default();
        for (key, value) in &self.0 {
            to.field(key).field(value);
        }
        to.0
    }

    fn restore(snapshot: &[u8]) -> Option<Self> {
        let (mut from, mut store) = (Reader(snapshot), Self::default());
        while !from.0.is_empty() {
            store.0.insert(from.field()?.to_vec(), from.field()?.to_vec());
        }
        Some(store)
    }
}

impl Command {
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Writer::default();
        match self {
            Self::Get(key) => drop(to.byte(0).bytes(key)),
            Self::Put(key, value) => drop(to.byte(1).field(key).bytes(value)),
            Self::Delete(key) => drop(to.byte(2).bytes(key)),
            Self::Cas { key, expected, value } => {
                to.byte(3).field(key);
                option(&mut to, expected.as_deref());
                option(&mut to, value.as_deref());
            }
            Self::List(prefix) => drop(to.byte(4).bytes(prefix)),
        }
        to.0
    }

    /// The command of these bytes; `None` if it is none.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        Some(match from.byte()? {
            0 => Self::Get(from.rest().to_vec()),
            1 => Self::Put(from.field()?.to_vec(), from.rest().to_vec()),
            2 => Self::Delete(from.rest().to_vec()),
            3 => Self::Cas {
                key: from.field()?.to_vec(),
                expected: if is_there(&mut from)? { Some(from.field()?.to_vec()) } else { None },
                value: if is_there(&mut from)? { Some(from.field()?.to_vec()) } else { None },
            },
            4 => Self::List(from.rest().to_vec()),
            _ => return None,
        })
    }
}

impl Outcome {
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Writer::default();
        match self {
            Self::Done => drop(to.byte(0)),
            Self::Value(value) => option(to.byte(1), value.as_deref()),
            Self::Differs(value) => option(to.byte(2), value.as_deref()),
            Self::Keys(keys) => {
                to.byte(3);
                for key in keys {
                    to.field(key);
                }
            }
            Self::Malformed => drop(to.byte(4)),
        }
        to.0
    }

    /// The outcome of these bytes; `None` if it is none.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        Some(match from.byte()? {
            0 => Self::Done,
            1 => Self::Value(if is_there(&mut from)? { Some(from.field()?.to_vec()) } else { None }),
            2 => Self::Differs(if is_there(&mut from)? { Some(from.field()?.to_vec()) } else { None }),
            3 => {
                let mut keys = Vec::new();
                while !from.0.is_empty() {
                    keys.push(from.field()?.to_vec());
                }
                Self::Keys(keys)
            }
            4 => Self::Malformed,
            _ => return None,
        })
    }
}

fn option(to: &mut Writer, value: Option<&[u8]>) {
    match value {
        Some(value) => drop(to.byte(1).field(value)),
        None => drop(to.byte(0)),
    }
}

/// True if there is a value, which comes next.
fn is_there(from: &mut Reader<'_>) -> Option<bool> {
    Some(from.byte()? != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_does_what_it_is_told_and_comes_back_from_its_snapshot() {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let mut store = Store::default();
        let mut told = |command: Command| store.apply(&command.to_bytes());
        assert_eq!(told(Command::Put(bytes("a"), bytes("1"))), Outcome::Done);
        assert_eq!(told(Command::Put(bytes("ab"), bytes(""))), Outcome::Done);
        assert_eq!(told(Command::Put(bytes("b"), bytes("3"))), Outcome::Done);
        assert_eq!(told(Command::Get(bytes("ab"))), Outcome::Value(Some(bytes(""))));
        assert_eq!(told(Command::List(bytes("a"))), Outcome::Keys(vec![bytes("a"), bytes("ab")]));
        assert_eq!(told(Command::Delete(bytes("b"))), Outcome::Done);
        assert_eq!(told(Command::Get(bytes("b"))), Outcome::Value(None));
        let cas = |expected: Option<&str>, value: Option<&str>| Command::Cas {
            key: bytes("a"),
            expected: expected.map(bytes),
            value: value.map(bytes),
        };
        assert_eq!(told(cas(None, Some("2"))), Outcome::Differs(Some(bytes("1"))));
        assert_eq!(told(cas(Some("1"), Some("2"))), Outcome::Done);
        assert_eq!(told(cas(Some("2"), None)), Outcome::Done);
        assert_eq!(told(cas(None, Some("4"))), Outcome::Done);
        assert_eq!(store.apply(b"\xff"), Outcome::Malformed);
        assert_eq!(Store::restore(&store.snapshot()), Some(store.clone()));
        assert_eq!(Store::restore(b"\x01"), None);
    }

    #[test]
    fn outcomes_are_what_their_bytes_say() {
        let outcomes = [
            Outcome::Done,
            Outcome::Value(None),
            Outcome::Value(Some(b"v".to_vec())),
            Outcome::Differs(Some(Vec::new())),
            Outcome::Keys(vec![b"k".to_vec(), Vec::new()]),
            Outcome::Malformed,
        ];
        for outcome in outcomes {
            assert_eq!(Outcome::of(&outcome.to_bytes()), Some(outcome));
        }
    }
}
