//! The programs that start and connect a cluster.

use std::path::PathBuf;

use crate::error::Result;
use crate::programs;

/// The full paths of the programs.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) corosync: PathBuf,
    pub(crate) cmapctl: PathBuf,
    pub(crate) ip: PathBuf,
    pub(crate) nsenter: PathBuf,
    pub(crate) setpriv: PathBuf,
}

impl Tools {
    pub(crate) fn find() -> Result<Self> {
        let names = ["corosync", "corosync-cmapctl", "ip", "nsenter", "setpriv"];
        let [corosync, cmapctl, ip, nsenter, setpriv] = programs::find_all(names)?;
        Ok(Self { corosync, cmapctl, ip, nsenter, setpriv })
    }
}
