//! The result of a check.

/// The number of lines above which a file is worth a note.
const LONG: usize = 400;

/// A violation of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The file, by its path from `src` on.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// A text that describes the violation and its remedy.
    pub text: String,
}

/// The result of a check.
#[derive(Debug, Default)]
pub struct Report {
    /// The violations, in the order of files and lines.
    pub violations: Vec<Violation>,
    /// Files with many lines, and their lines.
    pub long: Vec<(String, usize)>,
    /// The number of files.
    pub files: usize,
    /// The number of pairs of files of which the first imports from the second.
    pub imports: usize,
}

impl Report {
    /// Adds a violation.
    pub(crate) fn violation(&mut self, file: &str, line: usize, text: impl Into<String>) {
        self.violations.push(Violation { file: file.to_string(), line, text: text.into() });
    }

    /// Counts a file.
    pub(crate) fn file(&mut self, name: &str, lines: usize) {
        self.files += 1;
        if lines > LONG {
            self.long.push((name.to_string(), lines));
        }
    }

    /// Sorts the violations.
    pub(crate) fn finish(&mut self) {
        self.violations.sort();
        self.violations.dedup();
    }

    /// Returns true if there is no violation.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}
