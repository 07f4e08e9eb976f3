//! The text of `corosync.conf`.

use std::fmt::Write as _;
use std::time::Duration;

use crate::builder::Transport;
use crate::key::KEY;
use crate::network::address;
use crate::node::NodeId;

/// The directory for the persistent state of a daemon. Every node has a separate `/run`.
pub(crate) const STATE_DIRECTORY: &str = "/run/corosync-state";

pub(crate) fn text(nodes: NodeId, transport: Transport, token: Duration, encrypted: bool) -> String {
    let crypto = if encrypted {
        format!("crypto_cipher: aes256\n    crypto_hash: sha256\n    keyfile: {KEY}")
    } else {
        "crypto_cipher: none\n    crypto_hash: none".to_owned()
    };
    let mut text = format!(
        "totem {{
    version: 2
    cluster_name: testcluster
    transport: {transport}
    token: {token}
    token_coefficient: 0
    {crypto}
}}

system {{
    state_dir: {STATE_DIRECTORY}
    sched_rr: no
    priority: max
    move_to_root_cgroup: no
}}

logging {{
    to_stderr: yes
    to_syslog: no
    to_logfile: no
    timestamp: hires
}}

nodelist {{
",
        token = token.as_millis(),
    );
    for node in 1..=nodes {
        // corosync needs an opening brace at the end of its line.
        writeln!(
            text,
            "    node {{
        nodeid: {node}
        name: node{node}
        ring0_addr: {}
    }}",
            address(node),
        )
        .expect("a String takes everything");
    }
    text.push_str("}\n");
    text
}
