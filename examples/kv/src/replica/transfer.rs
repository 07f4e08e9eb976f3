//! State for a member that joins: in parts, between which other messages have their turn.
//!
//! The member says in a message that it wants the state. The place of that message in the order is where the state ends and the changes
//! begin that the member keeps: who gives takes the state there, and the member keeps all from there on.

/// A part of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// Where it begins.
    pub offset: u64,
    /// The length of the whole.
    pub total: u64,
    /// The part.
    pub bytes: &'a [u8],
}

/// The state on its way to a member, at the one who gives it.
#[derive(Debug)]
pub struct Giving {
    state: Vec<u8>,
    sent: usize,
    under_way: usize,
}

impl Giving {
    /// Begins to give the state at the place of the wish.
    pub fn new(state: Vec<u8>) -> Self {
        Self { state, sent: 0, under_way: 0 }
    }

    /// Returns the part to send next, of so many bytes; `None` while so many parts are under way, and after the last.
    pub fn next(&mut self, bytes: usize, parts: usize) -> Option<Part<'_>> {
        if self.under_way >= parts || self.is_sent() {
            return None;
        }
        let from = self.sent;
        self.sent = self.state.len().min(from + bytes);
        self.under_way += 1;
        Some(Part {
            offset: from as u64,
            total: self.state.len() as u64,
            bytes: &self.state[from..self.sent],
        })
    }

    /// A part was delivered, to the one who gives as to all: there is room for another.
    pub fn delivered(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// True after the last part.
    pub fn is_sent(&self) -> bool {
        self.sent == self.state.len()
    }
}

/// The state on its way, at the member that wants it, and the changes that come after it.
#[derive(Debug)]
pub struct Catching<C> {
    marked: bool,
    state: Vec<u8>,
    after: Vec<C>,
}

impl<C> Default for Catching<C> {
    fn default() -> Self {
        Self { marked: false, state: Vec::new(), after: Vec::new() }
    }
}

impl<C> Catching<C> {
    /// The own wish was delivered: this is its place in the order.
    pub fn mark(&mut self) {
        self.marked = true;
    }

    /// A change was delivered. Those from before the mark are in the state.
    pub fn change(&mut self, change: C) {
        if self.marked {
            self.after.push(change);
        }
    }

    /// A part was delivered. Returns true if the state is whole now. A part that does not follow the one before is passed over, and the
    /// state never becomes whole: who waits for too long begins anew.
    pub fn part(&mut self, part: Part<'_>) -> bool {
        if !self.marked || part.offset != self.state.len() as u64 {
            return false;
        }
        self.state.extend_from_slice(part.bytes);
        self.state.len() as u64 == part.total
    }

    /// Returns the bytes and the changes that have come.
    pub fn progress(&self) -> (usize, usize) {
        (self.state.len(), self.after.len())
    }

    /// Returns the state, and the changes to do after it.
    pub fn finish(self) -> (Vec<u8>, Vec<C>) {
        (self.state, self.after)
    }
}
