//! The styles of clients: the ways in which they use the crate.

use std::fmt;
use std::str::FromStr;

/// The types that a client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `Group` with `run`, sending also from its handler.
    Run,
    /// `Group` with `recv_until`.
    Recv,
    /// A whole `Session`, sending also from its handlers.
    Whole,
    /// A split `Session`: a thread that sends, one that dispatches.
    Split,
    /// `cpg::tokio`.
    Tokio,
    /// In no group: the client lists groups all the time.
    List,
}

/// The reaction to the loss of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// The client joins again.
    Anew,
    /// The session reconnects.
    Itself,
    /// The session reconnects, and keeps the messages that wait to be sent.
    Keeping,
}

/// A style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    pub name: &'static str,
    pub kind: Kind,
    /// True if its messages travel in packets. Such clients are in another group than the rest.
    pub packed: bool,
    pub back: Back,
    /// True if some messages are above the atomic size.
    pub large: bool,
    /// True if the client leaves and joins all the time.
    pub churns: bool,
}

const fn style(name: &'static str, kind: Kind, packed: bool, back: Back) -> Style {
    Style { name, kind, packed, back, large: false, churns: false }
}

/// All styles of clients in groups.
pub const STYLES: [Style; 18] = [
    style("run", Kind::Run, false, Back::Anew),
    style("split", Kind::Split, false, Back::Anew),
    style("tokio-packed", Kind::Tokio, true, Back::Anew),
    style("split-packed-back", Kind::Split, true, Back::Itself),
    Style { large: true, ..style("split-large", Kind::Split, false, Back::Anew) },
    style("tokio-back", Kind::Tokio, false, Back::Itself),
    style("split-packed", Kind::Split, true, Back::Anew),
    Style { large: true, ..style("split-packed-large", Kind::Split, true, Back::Itself) },
    Style { churns: true, ..style("run-churn", Kind::Run, false, Back::Anew) },
    style("split-keep", Kind::Split, false, Back::Keeping),
    style("tokio-packed-keep", Kind::Tokio, true, Back::Keeping),
    style("recv", Kind::Recv, false, Back::Anew),
    style("session-packed-keep", Kind::Whole, true, Back::Keeping),
    style("session", Kind::Whole, false, Back::Anew),
    style("tokio", Kind::Tokio, false, Back::Anew),
    Style { large: true, ..style("run-large", Kind::Run, false, Back::Anew) },
    Style { churns: true, ..style("split-packed-churn", Kind::Split, true, Back::Anew) },
    Style { large: true, ..style("tokio-large-back", Kind::Tokio, false, Back::Itself) },
];

/// The style of listers.
pub const LISTER: Style = style("list", Kind::List, false, Back::Anew);

impl Style {
    /// Returns true if the client is in a group.
    pub fn joins(&self) -> bool {
        self.kind != Kind::List
    }

    /// Returns true if messages go through a queue.
    pub fn is_queued(&self) -> bool {
        matches!(self.kind, Kind::Whole | Kind::Split | Kind::Tokio)
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

impl FromStr for Style {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = STYLES.iter().chain([&LISTER]).find(|style| style.name == name);
        found.copied().ok_or_else(|| format!("no style {name}"))
    }
}
