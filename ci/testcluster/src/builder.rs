//! The options of a cluster.

use std::fmt;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::conf;
use crate::error::{Error, Result};
use crate::features::Features;
use crate::key::Key;
use crate::network::MAX_NODES;
use crate::node::NodeId;

/// The transport by which the daemons talk to each other.
///
/// Encryption needs knet, and some builds of corosync have no other transport. In these cases knet is always used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Plain UDP to each node: the fastest to start.
    #[default]
    Udpu,
    /// The kronosnet library, the default of corosync.
    Knet,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Udpu => "udpu",
            Self::Knet => "knet",
        })
    }
}

impl std::str::FromStr for Transport {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "udpu" => Ok(Self::Udpu),
            "knet" => Ok(Self::Knet),
            _ => {
                Err(Error::Invalid(format!("there is no transport {text}: the transports are udpu and knet")))
            }
        }
    }
}

type Edit = Box<dyn FnOnce(String) -> String + Send>;

/// Options of a cluster to be started. Made by [`Cluster::builder`].
pub struct Builder {
    pub(crate) nodes: NodeId,
    transport: Transport,
    token: Duration,
    encrypted: bool,
    edits: Vec<Edit>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            nodes: 1,
            transport: Transport::Udpu,
            token: Duration::from_secs(1),
            encrypted: false,
            edits: Vec::new(),
        }
    }

    /// Sets the number of nodes. The default is 1.
    pub fn nodes(mut self, nodes: NodeId) -> Self {
        self.nodes = nodes;
        self
    }

    /// Sets the transport. The default is UDP.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Sets the longest silence of a node before the others go on without it. The default is one second. With a shorter
    /// time, partitions are noticed faster, but a busy machine may cause false ones.
    pub fn token(mut self, token: Duration) -> Self {
        self.token = token;
        self
    }

    /// Makes the daemons encrypt their traffic, over knet and with a new key for this cluster.
    ///
    /// A corosync that was built to require encryption always encrypts.
    pub fn encrypted(mut self) -> Self {
        self.encrypted = true;
        self
    }

    /// Changes the text of `corosync.conf`, which is the same for all nodes.
    ///
    /// ```no_run
    /// # use testcluster::Cluster;
    /// let cluster = Cluster::builder()
    ///     .config(|text| text + "uidgid {\n    uid: 1000\n}\n")
    ///     .start();
    /// ```
    pub fn config(mut self, edit: impl FnOnce(String) -> String + Send + 'static) -> Self {
        self.edits.push(Box::new(edit));
        self
    }

    /// Makes the daemons serve their clients through datagram sockets (`qb_ipc_type: socket`) instead of shared memory.
    pub fn datagram_ipc(self) -> Self {
        self.config(|text| text.replace("system {\n", "system {\n    qb_ipc_type: socket\n"))
    }

    /// Starts the cluster, and returns when every node sees all the others.
    ///
    /// # Errors
    ///
    /// An error if a program or a permission is missing, if the system refuses something, or if a daemon does not come
    /// up. In the last case the error contains the log of the daemon.
    pub fn start(self) -> Result<Cluster> {
        if !(1..=MAX_NODES).contains(&self.nodes) {
            return Err(Error::Invalid(format!("{} nodes: there can be 1 to {MAX_NODES}", self.nodes)));
        }
        Cluster::from_builder(self)
    }

    /// Returns the text of `corosync.conf` for daemons with these features, and a key if the text names one.
    pub(crate) fn configuration(self, features: Features) -> Result<(String, Option<Key>)> {
        let key = (self.encrypted || features.enforce_encryption).then(Key::new).transpose()?;
        let udpu = key.is_none() && !features.without_udpu;
        let transport = if udpu { self.transport } else { Transport::Knet };
        let text = conf::text(self.nodes, transport, self.token, key.is_some());
        Ok((self.edits.into_iter().fold(text, |text, edit| edit(text)), key))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, transport, token, encrypted, edits: _ } = self;
        f.debug_struct("Builder")
            .field("nodes", nodes)
            .field("transport", transport)
            .field("token", token)
            .field("encrypted", encrypted)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(builder: Builder, features: Features, transport: Transport, encrypted: bool) {
        let (text, key) = builder.configuration(features).unwrap();
        assert!(text.contains(&format!("    transport: {transport}\n")), "{text}");
        assert_eq!(text.contains("    crypto_cipher: aes256\n"), encrypted, "{text}");
        assert_eq!((text.contains("    keyfile: "), key.is_some()), (encrypted, encrypted), "{text}");
    }

    #[test]
    fn a_configuration_fits_the_features_of_the_daemon() {
        let today = Features::default();
        has(Builder::new(), today, Transport::Udpu, false);
        has(Builder::new().transport(Transport::Knet), today, Transport::Knet, false);
        has(Builder::new().encrypted(), today, Transport::Knet, true);
        has(Builder::new(), Features { without_udpu: true, ..today }, Transport::Knet, false);
        has(Builder::new(), Features { enforce_encryption: true, ..today }, Transport::Knet, true);
    }
}
