//! The store: keys and values, and the commands that read and change them.

use std::collections::{BTreeMap, BTreeSet};

use crate::replica::Machine;
use crate::replica::format::Format;

/// Keys and their values, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Store(pub BTreeMap<Vec<u8>, Vec<u8>>);

/// A command to a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Reads the value of a key.
    Get(Vec<u8>),
    /// Sets the value of a key.
    Put(Vec<u8>, Vec<u8>),
    /// Deletes a key.
    Delete(Vec<u8>),
    /// Sets or deletes a key, if the key has the expected value.
    Cas {
        /// The key.
        key: Vec<u8>,
        /// The value that the key must have; `None` if the key must be absent.
        expected: Option<Vec<u8>>,
        /// The value that the key gets; `None` to delete the key.
        value: Option<Vec<u8>>,
    },
    /// Lists the keys that begin with these bytes.
    List(Vec<u8>),
}

/// The outcome of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The command was done.
    Done,
    /// The value of the key; `None` if the key is absent.
    Value(Option<Vec<u8>>),
    /// The command was not done, because the key has this value and not the expected one.
    Differs(Option<Vec<u8>>),
    /// The keys that were listed.
    Keys(BTreeSet<Vec<u8>>),
    /// The bytes were no command.
    Malformed,
}

impl Store {
    /// Does a command that changes nothing. Returns `None` for other commands.
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
        self.0.to_bytes()
    }

    fn restore(snapshot: &[u8]) -> Option<Self> {
        Format::of(snapshot).map(Self)
    }
}

impl Format<'_> for Command {
    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Get(key) => (0_u8, &key[..]).write(to),
            Self::Put(key, value) => (1_u8, &key[..], &value[..]).write(to),
            Self::Delete(key) => (2_u8, &key[..]).write(to),
            Self::Cas { key, expected, value } => {
                (3_u8, &key[..], expected.as_deref(), value.as_deref()).write(to);
            }
            Self::List(prefix) => (4_u8, &prefix[..]).write(to),
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        match u8::read(from)? {
            0 => Format::read(from).map(Self::Get),
            1 => Format::read(from).map(|(key, value)| Self::Put(key, value)),
            2 => Format::read(from).map(Self::Delete),
            3 => Format::read(from).map(|(key, expected, value)| Self::Cas { key, expected, value }),
            4 => Format::read(from).map(Self::List),
            _ => None,
        }
    }
}

impl Format<'_> for Outcome {
    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Done => 0_u8.write(to),
            Self::Value(value) => (1_u8, value.as_deref()).write(to),
            Self::Differs(value) => (2_u8, value.as_deref()).write(to),
            Self::Keys(keys) => {
                3_u8.write(to);
                keys.write(to);
            }
            Self::Malformed => 4_u8.write(to),
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        match u8::read(from)? {
            0 => Some(Self::Done),
            1 => Format::read(from).map(Self::Value),
            2 => Format::read(from).map(Self::Differs),
            3 => Format::read(from).map(Self::Keys),
            4 => Some(Self::Malformed),
            _ => None,
        }
    }
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
        assert_eq!(told(Command::List(bytes("a"))), Outcome::Keys([bytes("a"), bytes("ab")].into()));
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
            Outcome::Keys([b"k".to_vec(), Vec::new()].into()),
            Outcome::Malformed,
        ];
        for outcome in outcomes {
            assert_eq!(Outcome::of(&outcome.to_bytes()), Some(outcome));
        }
    }
}
