//! The key of a cluster whose daemons encrypt their traffic.

use std::fs::{self, File};
use std::io::Read as _;

use crate::error::{Error, Result};

/// The path of the key file on all nodes.
pub(crate) const KEY: &str = "/run/testcluster/authkey";

const RANDOM: &str = "/dev/urandom";

/// The number of random bytes: corosync needs at least 128.
pub(crate) struct Key([u8; 256]);

impl Key {
    pub(crate) fn new() -> Result<Self> {
        let mut bytes = [0; 256];
        let mut random = File::open(RANDOM).map_err(Error::system(RANDOM))?;
        random.read_exact(&mut bytes).map_err(Error::system(RANDOM))?;
        Ok(Self(bytes))
    }

    /// Writes the file. The calling thread must be in the namespaces of the cluster.
    pub(crate) fn write(&self) -> Result<()> {
        fs::write(KEY, self.0).map_err(Error::system(KEY))
    }
}
