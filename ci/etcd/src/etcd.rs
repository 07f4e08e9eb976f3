//! etcd on a cluster, and its clients.

use std::cell::Cell;
use std::fs::File;
use std::process::{Child, Stdio};
use std::rc::Rc;
use std::time::Instant;

use cpg_kv::bench::{Measured, key};
use etcd_client::Client;
use testcluster::Cluster;
use tokio::runtime::{Builder, Runtime};

use crate::{Load, Result, divide, wait_for};

/// A member of etcd on each node of a cluster.
pub struct Etcd<'c> {
    cluster: &'c Cluster,
    members: Vec<Child>,
    leader: u32,
}

impl<'c> Etcd<'c> {
    /// Starts the members, with data in `/run`, which is in memory on these nodes, and waits for a leader.
    pub fn start(cluster: &'c Cluster) -> Result<Self> {
        let nodes = 1..=cluster.nodes();
        let peer = |node| format!("http://{}:2380", cluster.address(node));
        let all: Vec<String> = nodes.clone().map(|node| format!("{node}={}", peer(node))).collect();
        let mut etcd = Self { cluster, members: Vec::new(), leader: 0 };
        for node in nodes.clone() {
            let mut command = cluster.command_on(node, "etcd");
            command.args(["--name", &node.to_string(), "--data-dir", "/run/etcd"]);
            command.args(["--listen-peer-urls", &peer(node), "--initial-advertise-peer-urls", &peer(node)]);
            let url = etcd.url(node);
            command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
            command.args(["--initial-cluster", &all.join(","), "--logger", "zap", "--log-level", "error"]);
            let log = std::env::temp_dir().join(format!("kv-bench-etcd{node}.log"));
            let (out, err) = (File::create(&log)?, File::options().append(true).open(&log)?);
            etcd.members.push(command.stdin(Stdio::null()).stdout(out).stderr(err).spawn()?);
        }
        etcd.leader = wait_for("etcd to have a leader", || nodes.clone().find(|&node| etcd.leads(node)))?;
        Ok(etcd)
    }

    fn url(&self, node: u32) -> String {
        format!("http://{}:2379", self.cluster.address(node))
    }

    fn leads(&self, node: u32) -> bool {
        let status = self.cluster.on(node, || {
            runtime()?.block_on(async {
                let mut client = Client::connect([self.url(node)], None).await?;
                Result::Ok(client.status().await?)
            })
        });
        status.is_ok_and(|status| {
            status
                .header()
                .is_some_and(|header| header.member_id() == status.leader() && status.leader() != 0)
        })
    }

    /// Returns this number of clients, which write values of this size. `sharing` clients share a connection.
    pub fn loads(&self, clients: usize, sharing: usize, size: usize) -> Vec<Load<'_>> {
        let load = |(node, clients)| {
            let load: Load<'_> = Box::new(move |goes_on| {
                self.cluster.on(node, || write(&self.url(node), clients, sharing, size, goes_on))
            });
            load
        };
        divide(clients, self.cluster.nodes(), self.leader).into_iter().map(load).collect()
    }
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Makes this number of clients write, each when its last write is answered.
fn write(
    url: &str,
    clients: usize,
    sharing: usize,
    size: usize,
    goes_on: &dyn Fn() -> bool,
) -> Result<Measured> {
    let runtime = runtime()?;
    let start = Instant::now();
    let number = Rc::new(Cell::new(0_u64));
    let of_clients = async {
        let mut connections = Vec::new();
        for _ in 0..clients.div_ceil(sharing) {
            connections.push(Client::connect([url], None).await?);
        }
        let writes = (0..clients).map(|client| {
            let (mut kv, number) = (connections[client / sharing].kv_client(), Rc::clone(&number));
            async move {
                let (value, mut latencies, mut failed) = (vec![b'x'; size], Vec::new(), 0);
                while goes_on() {
                    number.set(number.get() + 1);
                    let began = Instant::now();
                    match kv.put(key(number.get()), value.clone(), None).await {
                        Ok(_) => latencies.push(began.elapsed()),
                        Err(_) => failed += 1,
                    }
                }
                (latencies, failed)
            }
        });
        Result::Ok(futures_util::future::join_all(writes).await)
    };
    let mut measured = Measured::default();
    for (latencies, failed) in runtime.block_on(of_clients)? {
        measured.latencies.extend(latencies);
        measured.failed += failed;
    }
    measured.time = start.elapsed();
    Ok(measured)
}

impl Drop for Etcd<'_> {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _: std::io::Result<()> = member.kill();
            let _: std::io::Result<std::process::ExitStatus> = member.wait();
        }
    }
}
