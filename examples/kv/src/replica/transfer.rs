//! State for a member that joins, in parts. Other messages pass in between.
//!
//! The member sends a marker. At the place of the marker in the order the state
//! ends, and the changes begin that the member keeps. The donor's clock sets the
//! pace of the parts, so that the writers keep their share of the group.

/// A part of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// The offset of the part in the state, in bytes.
    pub offset: u64,
    /// The length of the whole state, in bytes.
    pub total: u64,
    /// The bytes of the part.
    pub bytes: &'a [u8],
}

/// The state on its way to a member, at the donor.
#[derive(Debug)]
pub struct Giving {
    state: Vec<u8>,
    sent: usize,
    /// The number of parts that may be sent now.
    due: usize,
    under_way: usize,
}

impl Giving {
    /// Begins with the state at the place of the marker.
    pub fn new(state: Vec<u8>) -> Self {
        Self { state, sent: 0, due: 1, under_way: 0 }
    }

    /// Returns the part to send next, with at most `bytes` bytes. `None` after the
    /// last part, before the next tick, and while `parts` parts are under way.
    pub fn next(&mut self, bytes: usize, parts: usize) -> Option<Part<'_>> {
        if self.is_sent() || self.due == 0 || self.under_way >= parts {
            return None;
        }
        let from = self.sent;
        self.sent = self.state.len().min(from + bytes);
        self.due -= 1;
        self.under_way += 1;
        Some(Part {
            offset: from as u64,
            total: self.state.len() as u64,
            bytes: &self.state[from..self.sent],
        })
    }

    /// Advances the clock by one tick: another part may be sent. If parts take longer
    /// than a tick, at most `parts` ticks are kept for later.
    pub fn tick(&mut self, parts: usize) {
        self.due = parts.min(self.due + 1);
    }

    /// Notes that a part has come back to the donor.
    pub fn delivered(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// True after the last part.
    pub fn is_sent(&self) -> bool {
        self.sent == self.state.len()
    }
}

/// The state on its way, at the member that wants it, and the changes since.
#[derive(Debug)]
pub struct Catching<C> {
    marked: bool,
    state: Vec<u8>,
    after: Vec<C>,
}

impl<C> Catching<C> {
    /// Begins a transfer. The caller sends the marker.
    pub fn begin() -> Self {
        Self { marked: false, state: Vec::new(), after: Vec::new() }
    }

    /// Notes that the marker of this member was delivered.
    pub fn mark(&mut self) {
        self.marked = true;
    }

    /// Keeps a delivered change. Changes from before the marker are in the state.
    pub fn change(&mut self, change: C) {
        if self.marked {
            self.after.push(change);
        }
    }

    /// Adds a delivered part. Returns true if the state is whole now.
    ///
    /// A part that does not follow the one before is ignored. Then the state never
    /// becomes whole, and a member that waits for too long begins again.
    pub fn part(&mut self, part: Part<'_>) -> bool {
        if !self.marked || part.offset != self.state.len() as u64 {
            return false;
        }
        self.state.extend_from_slice(part.bytes);
        self.state.len() as u64 == part.total
    }

    /// Returns the numbers of bytes and of changes that have come.
    pub fn progress(&self) -> (usize, usize) {
        (self.state.len(), self.after.len())
    }

    /// Returns the state, and the changes to apply to it.
    pub fn finish(self) -> (Vec<u8>, Vec<C>) {
        (self.state, self.after)
    }
}
