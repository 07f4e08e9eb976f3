//! The ways in which a client is in its group.

use std::fmt;
use std::str::FromStr;

/// What a client is written with.
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
    /// In no group: it lists groups all the while.
    List,
}

/// What happens when the daemon goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// The client joins anew.
    Anew,
    /// The session comes back by itself.
    Itself,
    /// The session comes back by itself, and keeps what waits to be sent.
    Keeping,
}

/// A style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    pub name: &'static str,
    pub kind: Kind,
    /// Whether its messages travel in packets; such a group is another one than that of those who do not.
    pub packed: bool,
    pub back: Back,
    /// Whether some messages are above the atomic size.
    pub large: bool,
    /// Whether it leaves and joins all the time.
    pub churns: bool,
}

const fn style(name: &'static str, kind: Kind, packed: bool, back: Back) -> Style {
    Style { name, kind, packed, back, large: false, churns: false }
}

/// All of them.
pub const STYLES: [Style; 17] = [
    style("run", Kind::Run, false, Back::Anew),
    style("split", Kind::Split, false, Back::Anew),
    style("tokio-packed", Kind::Tokio, true, Back::Anew),
    style("split-packed-back", Kind::Split, true, Back::Itself),
    Style { large: true, ..style("split-large", Kind::Split, false, Back::Anew) },
    style("tokio-back", Kind::Tokio, false, Back::Itself),
    style("split-packed", Kind::Split, true, Back::Anew),
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

/// The style of those who list.
pub const LISTER: Style = style("list", Kind::List, false, Back::Anew);

impl Style {
    /// Whether it is in a group.
    pub fn joins(&self) -> bool {
        self.kind != Kind::List
    }

    /// Whether messages go through a queue.
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
