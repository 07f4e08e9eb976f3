//! The programs that are compared.
//!
//! All have the same layout. One process on node 1, with one membership, sends, and its messages are delivered to it.
//! On three nodes, they are also delivered to a process of the same kind on node 2, where throughput and latency under
//! load are measured. One thread sends and dispatches in turn: it dispatches after each message, as upstream's
//! `cpgbench` does, or, if there is a queue, when the queue is full. In variants with `threads` in their names, one
//! thread sends and another dispatches.

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

    /// All variants in this build.
    pub fn built() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|variant| cfg!(feature = "rust-corosync") || *variant != Self::Peer)
    }

    /// The variants in a report by default.
    pub fn reported() -> impl Iterator<Item = Self> {
        Self::built().filter(|variant| ![Self::COne, Self::CTwin].contains(variant))
    }

    /// Returns the name in tables and options.
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

    /// Returns a description.
    pub const fn what(self) -> &'static str {
        match self {
            Self::C => {
                "C: sends, repeats a refused send at once, dispatches after each message (upstream's cpgbench)"
            }
            Self::COne => "C: as the first, but dispatches one event at a time, until there is none",
            Self::CTwin => {
                "C: as the one before, with its state behind the context pointer, which is the work of cpg"
            }
            Self::CSleep => "C: as the first, with a pause of 1 ms before it repeats a send",
            Self::CThreads => "C: one thread sends and repeats refused sends at once, another one dispatches",
            Self::Peer => "rust-corosync 3.2.0, the bindings that upstream publishes: works as the first",
            Self::Plain => "cpg: Group::send and Group::dispatch, works as the first",
            Self::Queued => {
                "cpg: Session::send with its queue, without packets; dispatches when the queue is full, on one thread"
            }
            Self::QueuedThreads | Self::CoalescedThreads => {
                "cpg: the same queue; one thread sends and waits for room, another one dispatches"
            }
            Self::Coalesced => "cpg: Session::send with its queue, messages in packets, on one thread",
            Self::Tokio => "cpg::tokio: messages in packets; one task sends, another one dispatches",
        }
    }

    /// Returns true if the variant uses other bindings.
    pub fn is_peer(self) -> bool {
        self == Self::Peer
    }

    /// Returns the name in the C program, if the variant is one of the C program.
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
            format!("there is no variant {name} in this build: the variants are {}", names.join(", "))
        })
    }
}
