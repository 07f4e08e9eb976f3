//! The requirements with which a corosync was built.

use std::path::Path;
use std::process::Command;

use crate::child;
use crate::error::{Error, Result};

/// The features in the output of `corosync -v` that a configuration must respect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features {
    /// True if the daemon refuses a configuration without encryption.
    pub(crate) enforce_encryption: bool,
    /// True if knet is the only transport of the daemon.
    pub(crate) without_udpu: bool,
}

impl Features {
    /// Asks a corosync program for its features.
    pub(crate) fn of(corosync: &Path) -> Result<Self> {
        let mut command = Command::new(corosync);
        let output = command.arg("-v").output().map_err(Error::system(corosync.display().to_string()))?;
        if !output.status.success() {
            let output = child::describe(&command, &output);
            return Err(Error::Tool { command: child::name(&command), output });
        }
        Ok(Self::named_in(&String::from_utf8_lossy(&output.stdout)))
    }

    fn named_in(printed: &str) -> Self {
        let line = printed.lines().find_map(|line| line.strip_prefix("Built-in features:")).unwrap_or("");
        let named = |name| line.split_whitespace().any(|word| word == name);
        Self { enforce_encryption: named("enforce_encryption"), without_udpu: named("without_udpu") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requirements_of_a_daemon_are_read_from_its_features() {
        let today = "Corosync Cluster Engine, version '3.1.7'\n\nBuilt-in features: dbus systemd relro\nAvailable crypto models: nss\n";
        assert_eq!(Features::named_in(today), Features::default());
        let next = "Built-in features: systemd enforce_encryption without_udpu\n";
        assert_eq!(Features::named_in(next), Features { enforce_encryption: true, without_udpu: true });
        assert_eq!(Features::named_in("Built-in features: unencrypted udpu\n"), Features::default());
        assert_eq!(Features::named_in(""), Features::default());
    }
}
