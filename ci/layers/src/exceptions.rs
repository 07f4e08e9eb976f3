//! Exceptions: what is still wrong, and known. All of this goes with the last of them.

use std::collections::BTreeSet;

/// Pairs of a file and what it may have although a rule forbids it: the other file, for an import.
#[derive(Debug, Default)]
pub struct Exceptions {
    listed: BTreeSet<(String, String)>,
    used: BTreeSet<(String, String)>,
}

impl Exceptions {
    /// Reads lines of the form `a.rs -> b.rs: reason`. Empty lines and those that begin with `#` are skipped.
    ///
    /// # Errors
    ///
    /// A text with the number of a line that has another form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut listed = BTreeSet::new();
        for (number, line) in
            text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        {
            let pair = line.split_once(": ").filter(|(_, reason)| !reason.trim().is_empty());
            let Some((from, to)) = pair.and_then(|(pair, _)| pair.split_once(" -> ")) else {
                return Err(format!("line {}: not of the form `a.rs -> b.rs: reason`", number + 1));
            };
            if !listed.insert((from.to_string(), to.to_string())) {
                return Err(format!("line {}: {from} -> {to} is listed twice", number + 1));
            }
        }
        Ok(Self { listed, used: BTreeSet::new() })
    }

    /// Returns whether a pair is listed.
    pub(crate) fn has(&self, from: &str, to: &str) -> bool {
        self.listed.contains(&(from.to_string(), to.to_string()))
    }

    /// Returns whether a pair is listed, and notes that the exception is needed.
    pub(crate) fn cover(&mut self, from: &str, to: &str) -> bool {
        let listed = self.has(from, to);
        if listed {
            self.used.insert((from.to_string(), to.to_string()));
        }
        listed
    }

    /// Returns the exceptions that nothing needed.
    pub(crate) fn idle(&self) -> impl Iterator<Item = &(String, String)> {
        self.listed.difference(&self.used)
    }

    /// Returns how many are listed.
    pub(crate) fn len(&self) -> usize {
        self.listed.len()
    }
}
