//! The programs that are compared.
//!
//! All have the same layout: one process on node 1, with one membership, sends, and delivers its own messages itself. On
//! three nodes another process on node 2, of the same kind, delivers them too, and it is there that throughput and latency
//! under load are measured. One thread sends and dispatches in turn: after each message, as upstream's `cpgbench` does, or
//! where there is a sending queue, when that is full. In those with `threads` in their names one thread sends and another
//! one dispatches.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// One of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Variant {
    C,
    COne,
    CTwin,
    CSleep,
    CThreads,
    Peer,
    Plain,
    Queued,
    QueuedThreads,
    Coalesced,
    CoalescedThreads,
    Tokio,
}

impl Variant {
    const ALL: [Self; 12] = [
        Self::C,
        Self::COne,
        Self::CTwin,
        Self::CSleep,
        Self::CThreads,
        Self::Peer,
        Self::Plain,
        Self::Queued,
        Self::QueuedThreads,
        Self::Coalesced,
        Self::CoalescedThreads,
        Self::Tokio,
    ];

    /// All of them that this build has.
    pub fn built() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|variant| cfg!(feature = "rust-corosync") || *variant != Self::Peer)
    }

    /// Those of them that a report has if it is not told which.
    pub fn reported() -> impl Iterator<Item = Self> {
        Self::built().filter(|variant| ![Self::COne, Self::CTwin].contains(variant))
    }

    /// What tables and options call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::COne => "c-one",
            Self::CTwin => "c-twin",
            Self::CSleep => "c-sleep",
            Self::CThreads => "c-threads",
            Self::Peer => "rust-corosync",
            Self::Plain => "cpg",
            Self::Queued => "cpg-queued",
            Self::QueuedThreads => "cpg-queued-threads",
            Self::Coalesced => "cpg-coalesced",
            Self::CoalescedThreads => "cpg-coalesced-threads",
            Self::Tokio => "cpg-tokio",
        }
    }

    /// What it is, in words.
    pub const fn what(self) -> &'static str {
        match self {
            Self::C => {
                "C: sends, tries again at once when refused, dispatches after each message (upstream's cpgbench)"
            }
            Self::COne => "C: the same, but dispatches one event at a time, until there is none",
            Self::CTwin => "C: as the one before, with its state behind the context pointer: what cpg does",
            Self::CSleep => "C: as the first, with a pause of 1 ms before it tries again",
            Self::CThreads => "C: one thread sends and tries again at once, another one dispatches",
            Self::Peer => "rust-corosync 3.2.0, the bindings that upstream publishes: as the first",
            Self::Plain => "cpg: Group::send and Group::dispatch, as the first",
            Self::Queued => {
                "cpg: Session::send with its queue, one message at a time; dispatches when that is full, on one thread"
            }
            Self::QueuedThreads | Self::CoalescedThreads => {
                "cpg: the same; one thread sends and waits for room, another one dispatches"
            }
            Self::Coalesced => "cpg: Session::send with its queue, messages in packets; on one thread",
            Self::Tokio => "cpg::tokio: messages in packets; one task sends, another one dispatches",
        }
    }

    /// Whether it is on other bindings.
    pub fn is_peer(self) -> bool {
        self == Self::Peer
    }

    /// How the C program calls it, if it is one of that program's.
    pub const fn c_style(self) -> Option<&'static str> {
        match self {
            Self::C => Some("spin"),
            Self::COne => Some("one"),
            Self::CTwin => Some("twin"),
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
