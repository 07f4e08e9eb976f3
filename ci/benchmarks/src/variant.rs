//! The programs that are compared.
//!
//! All have the same layout: one process on node 1, with one membership, sends, and delivers its own messages itself. On
//! three nodes another process on node 2, of the same kind, delivers them too, and it is there that throughput and latency
//! under load are measured. What differs is what the libraries are made for: those that have no sending queue send and
//! dispatch on one thread in turn, as upstream's `cpgbench` does; those that have one dispatch on one thread and send from
//! another, but for `cpg-queued-1`, which sends and dispatches on one thread as C does. `c-threads` says what the second thread
//! alone would give to C.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// One of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Variant {
    C,
    CSleep,
    CThreads,
    Peer,
    Plain,
    QueuedAlone,
    Queued,
    Coalesced,
    Tokio,
}

impl Variant {
    const ALL: [Self; 9] = [
        Self::C,
        Self::CSleep,
        Self::CThreads,
        Self::Peer,
        Self::Plain,
        Self::QueuedAlone,
        Self::Queued,
        Self::Coalesced,
        Self::Tokio,
    ];

    /// All of them that this build has.
    pub fn built() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|variant| cfg!(feature = "rust-corosync") || *variant != Self::Peer)
    }

    /// What tables and options call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::CSleep => "c-sleep",
            Self::CThreads => "c-threads",
            Self::Peer => "rust-corosync",
            Self::Plain => "cpg",
            Self::QueuedAlone => "cpg-queued-1",
            Self::Queued => "cpg-queued",
            Self::Coalesced => "cpg-coalesced",
            Self::Tokio => "cpg-tokio",
        }
    }

    /// What it is, in words.
    pub const fn what(self) -> &'static str {
        match self {
            Self::C => {
                "C: sends, tries again at once when refused, dispatches after each message (upstream's cpgbench)"
            }
            Self::CSleep => "C: the same, with a pause of 1 ms before it tries again",
            Self::CThreads => "C: one thread sends and tries again at once, another one dispatches",
            Self::Peer => "rust-corosync 3.2.0, the bindings that upstream publishes: as the first",
            Self::Plain => "cpg: Group::send and Group::dispatch, as the first",
            Self::QueuedAlone => {
                "cpg: Sender with its queue, one message at a time; dispatches when that is full, on one thread"
            }
            Self::Queued => "cpg: Sender with its queue, one message at a time",
            Self::Coalesced => "cpg: Sender with its queue, messages in packets",
            Self::Tokio => "cpg::tokio: the same, from a task",
        }
    }

    /// How the C program calls it, if it is one of that program's.
    pub const fn c_style(self) -> Option<&'static str> {
        match self {
            Self::C => Some("spin"),
            Self::CSleep => Some("sleep"),
            Self::CThreads => Some("threads"),
            _ => None,
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Variant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::built().find(|variant| variant.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::built().map(Self::name).collect();
            format!("there is no variant {name} in this build: there are {}", names.join(", "))
        })
    }
}
