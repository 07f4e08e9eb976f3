//! Counting a program's instructions and allocations.

use std::ffi::OsString;
use std::process::Command;

use super::stub::Stub;
use crate::Result;

/// What a program, or a message of it, costs.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub instructions: f64,
    pub allocations: f64,
}

impl Cost {
    /// That of one message, by the costs of two runs that differ in this many.
    pub fn of_one(few: Self, many: Self, difference: f64) -> Self {
        Self {
            instructions: (many.instructions - few.instructions) / difference,
            allocations: (many.allocations - few.allocations) / difference,
        }
    }
}

/// Runs a program on the stub twice: once to count instructions, once to count allocations.
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

/// The number that follows a word, which may have commas in it.
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
