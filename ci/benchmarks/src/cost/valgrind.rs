//! Counting a program's instructions and allocations.

use std::ffi::OsString;
use std::process::Command;

use super::stub::Stub;
use crate::Result;

/// The cost of a program, or of one of its messages.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub instructions: f64,
    pub allocations: f64,
}

impl Cost {
    /// Returns the cost of one message, from two runs whose numbers of messages differ by this number.
    pub fn of_one(few: Self, many: Self, difference: f64) -> Self {
        Self {
            instructions: (many.instructions - few.instructions) / difference,
            allocations: (many.allocations - few.allocations) / difference,
        }
    }
}

/// Runs a program with the stub twice: once to count instructions, once to count allocations.
pub fn count(stub: &Stub, words: &[OsString], variables: &[(&str, String)]) -> Result<Cost> {
    let run = |options: &[&str], before: &str| {
        let mut valgrind = Command::new(testcluster::find("valgrind").map_err(|error| error.to_string())?);
        valgrind.args(options).args(words).envs(variables.iter().map(|(name, value)| (name, value)));
        let output = stub.under(&mut valgrind).output().map_err(|error| format!("valgrind: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let number = output.status.success().then(|| number_after(&said, before)).flatten();
        number.ok_or_else(|| format!("{valgrind:?}: {}\n{said}", output.status))
    };
    let instructions = run(&["--tool=callgrind", "--callgrind-out-file=/dev/null"], "Collected :")?;
    let allocations = run(&["--leak-check=no", "--undef-value-errors=no"], "total heap usage:")?;
    Ok(Cost { instructions, allocations })
}

/// Returns the number after a word. The number may contain commas.
fn number_after(text: &str, before: &str) -> Option<f64> {
    let (_, rest) = text.split_once(before)?;
    rest.split_whitespace().next()?.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found() {
        assert_eq!(number_after("==1== Collected : 1234\n", "Collected :"), Some(1234.0));
        assert_eq!(
            number_after("total heap usage: 1,234 allocs, 2 frees", "total heap usage:"),
            Some(1234.0)
        );
        assert_eq!(number_after("nothing", "Collected :"), None);
    }
}
