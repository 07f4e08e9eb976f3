//! The parts of a corosync daemon's log that the checker needs.

use crate::record::Ring;

/// Returns the rings that a node was on, in order, from the lines "A new membership (…) was formed".
pub fn rings(log: &str) -> Vec<Ring> {
    log.lines().filter_map(ring).collect()
}

fn ring(line: &str) -> Option<Ring> {
    let (_, rest) = line.split_once("A new membership (")?;
    let (node, seq) = rest.split_once(')')?.0.split_once('.')?;
    Some(Ring { seq: u64::from_str_radix(seq, 16).ok()?, node: u32::from_str_radix(node, 16).ok()? })
}

/// Returns the lines that report messages that the daemon has dropped (B17).
pub fn drops(log: &str) -> impl Iterator<Item = &str> {
    log.lines()
        .filter(|line| line.contains("No buffer space available") || line.contains("cs_ipcs_msg_process"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_found() {
        let log = "Nov 25 [TOTEM ] A new membership (1.1a) was formed. Members joined: 2 3\nelse\n";
        assert_eq!(rings(log), [Ring { seq: 0x1a, node: 1 }]);
    }
}
