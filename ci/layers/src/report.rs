//! The result of a check.

use crate::exceptions::Exceptions;

/// The number of lines above which a file is worth a note.
const LONG: usize = 400;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The file, by its path from `src` on.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub text: String,
}

/// The result of a check.
#[derive(Debug)]
pub struct Report {
    /// What is wrong, in the order of files and lines.
    pub violations: Vec<Violation>,
    /// Files with many lines, and their lines.
    pub long: Vec<(String, usize)>,
    /// Exceptions that nothing needs any more, as they are written in the list.
    pub idle: Vec<String>,
    /// The number of files.
    pub files: usize,
    /// The number of pairs of files of which the first imports from the second.
    pub imports: usize,
    /// The number of exceptions.
    pub excepted: usize,
    pub(crate) exceptions: Exceptions,
}

impl Report {
    pub(crate) fn new(exceptions: Exceptions) -> Self {
        let excepted = exceptions.len();
        Self {
            violations: Vec::new(),
            long: Vec::new(),
            idle: Vec::new(),
            files: 0,
            imports: 0,
            excepted,
            exceptions,
        }
    }

    /// Adds a violation, unless an exception for `file` and `other` covers it. `other` is the second file, or
    /// the second half of an exception of another kind.
    pub(crate) fn violation(&mut self, file: &str, line: usize, other: &str, text: impl Into<String>) {
        if !self.exceptions.cover(file, other) {
            self.violations.push(Violation { file: file.to_string(), line, text: text.into() });
        }
    }

    /// Counts a file.
    pub(crate) fn file(&mut self, name: &str, lines: usize) {
        self.files += 1;
        if lines > LONG {
            self.long.push((name.to_string(), lines));
        }
    }

    /// Brings the violations into order, and notes the exceptions that nothing needed.
    pub(crate) fn finish(&mut self) {
        self.violations.sort();
        self.violations.dedup();
        self.idle = self.exceptions.idle().map(|(from, to)| format!("{from} -> {to}")).collect();
    }

    /// Returns whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty() && self.idle.is_empty()
    }
}
