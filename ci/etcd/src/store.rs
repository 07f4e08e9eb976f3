//! The store on a cluster, and its clients.

use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use cpg::GroupName;
use cpg_kv::bench::bench;
use cpg_kv::client::Client;
use cpg_kv::serve::{Server, Settings};
use cpg_kv::wire::{Reply, Request};
use testcluster::Cluster;

use crate::{Load, Result, divide, wait_for};

/// Serves as a member, in a process of its own: the arguments are the socket and the number of nodes.
pub fn serve(mut arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let mut argument = || arguments.next().ok_or("a member needs a socket and a number of nodes");
    let socket = PathBuf::from(argument()?);
    let nodes = argument()?.to_str().ok_or("the number of nodes is no number")?.parse()?;
    let settings = Settings {
        group: GroupName::new("bench")?,
        nodes,
        socket,
        patience: Duration::from_secs(30),
        confirm: true,
    };
    // The member ends with the cluster: this socket is never readable.
    let (stop, _open) = UnixStream::pair()?;
    Server::join(settings)?.serve(&stop)
}

/// Members on the nodes of a cluster.
pub struct Store<'c> {
    cluster: &'c Cluster,
    directory: PathBuf,
    members: Vec<Child>,
}

impl<'c> Store<'c> {
    /// Starts this number of members, on the first nodes, and begins the state.
    pub fn start(cluster: &'c Cluster, members: u32) -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("kv-bench-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let mut store = Self { cluster, directory, members: Vec::new() };
        for _ in 0..members {
            store.start_next()?;
        }
        wait_for("the members of the store to be in step", || {
            store.ask(1, &Request::Begin);
            (1..=members).all(|node| store.is_in_step(node)).then_some(())
        })?;
        Ok(store)
    }

    /// Starts a member on the next node.
    pub fn start_next(&mut self) -> Result<()> {
        let node = u32::try_from(self.members.len() + 1)?;
        let mut command = self.cluster.command_on(node, std::env::current_exe()?);
        command.arg("member").arg(self.socket(node)).arg(self.cluster.nodes().to_string());
        self.members.push(command.stdin(Stdio::null()).spawn()?);
        Ok(())
    }

    /// Ends the member that was started last, and waits until the others have gone on without it.
    pub fn end_last(&mut self) -> Result<()> {
        if let Some(mut member) = self.members.pop() {
            member.kill()?;
            member.wait()?;
        }
        wait_for("the other members to go on", || {
            let status = self.ask(1, &Request::Status);
            let view = status.lines().find_map(|line| line.strip_prefix("view"))?;
            let alone = view.split_whitespace().count() == self.members.len();
            (alone && status.contains("primary, in step")).then_some(())
        })
    }

    fn socket(&self, node: u32) -> PathBuf {
        self.directory.join(format!("{node}.socket"))
    }

    /// Returns a client of the member on that node.
    pub fn client(&self, node: u32) -> std::io::Result<Client> {
        Client::connect(&self.socket(node))
    }

    fn ask(&self, node: u32, request: &Request) -> String {
        let reply = self.client(node).and_then(|mut client| client.ask(request));
        if let Ok(Reply::Text(text)) = reply { text } else { String::new() }
    }

    /// True if the member on that node has the state.
    pub fn is_in_step(&self, node: u32) -> bool {
        self.ask(node, &Request::Status).contains("primary, in step")
    }

    /// Returns the node of the sequencer.
    fn leader(&self) -> u32 {
        let status = self.ask(1, &Request::Status);
        let line = status.lines().find_map(|line| line.strip_prefix("sequencer"));
        line.and_then(|line| line.trim().split(':').next()?.parse().ok()).unwrap_or(1)
    }

    /// Returns this number of clients, which write values of this size. `sharing` clients share a connection.
    pub fn loads(&self, clients: usize, sharing: usize, size: usize) -> Vec<Load<'static>> {
        let members = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let load = |(node, clients)| {
            let socket = self.socket(node);
            let load: Load<'static> =
                Box::new(move |goes_on| Ok(bench(&socket, clients, sharing, size, goes_on)?));
            load
        };
        divide(clients, members, self.leader()).into_iter().map(load).collect()
    }
}

impl Drop for Store<'_> {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _: std::io::Result<()> = member.kill();
            let _: std::io::Result<std::process::ExitStatus> = member.wait();
        }
        let _: std::io::Result<()> = std::fs::remove_dir_all(&self.directory);
    }
}
