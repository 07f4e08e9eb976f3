//! A process of another user that listens as corosync's CPG service.

use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use testcluster::Cluster;

use crate::support::other_user::become_nobody;

/// The size of libqb's `struct qb_ipc_connection_request`, and of the answer without its three paths.
const REQUEST: usize = 24;
const ANSWER: usize = 40;
const PATH: usize = 4096;

/// The value for shared memory in `enum qb_ipc_type`.
const SHARED_MEMORY: u8 = 1;

/// A listener that accepts each client, and names files for the client to open as its ring buffers.
pub struct FakeDaemon {
    listener: Arc<UnixListener>,
    thread: Option<JoinHandle<()>>,
}

impl FakeDaemon {
    /// Starts a listener as the user nobody, on a node without a daemon. The names of the buffers begin with `file`.
    pub fn start(cluster: &Cluster, node: u32, file: &'static str) -> Self {
        let mut fake = Self { listener: Arc::new(listen(cluster, node, 128)), thread: None };
        fake.serve(file);
        fake
    }

    /// Starts a listener as [`start`](Self::start) does. So many clients of the listener wait that there is hardly ever
    /// room for another one.
    pub fn start_full(cluster: &Cluster, node: u32, file: &'static str) -> Self {
        let mut fake = Self { listener: Arc::new(listen(cluster, node, 0)), thread: None };
        cluster.spawn_on(node, || while UnixStream::connect_addr(&address()).is_ok() {});
        fake.serve(file);
        fake
    }

    fn serve(&mut self, file: &'static str) {
        let listener = Arc::clone(&self.listener);
        self.thread = Some(std::thread::spawn(move || {
            let mut clients = Vec::new();
            while let Ok((mut client, _)) = listener.accept() {
                if client.read_exact(&mut [0; REQUEST]).is_ok() {
                    // The client may be gone.
                    let _ = client.write_all(&answer(file));
                    clients.push(client);
                }
            }
        }));
    }
}

fn address() -> SocketAddr {
    // libqb pads the name with zeros.
    let mut name = [0; 107];
    name[..3].copy_from_slice(b"cpg");
    SocketAddr::from_abstract_name(name).unwrap()
}

/// Listens as the user nobody, with a queue for one more client than this number.
fn listen(cluster: &Cluster, node: u32, queue: libc::c_int) -> UnixListener {
    let nobody = cluster.spawn_on(node, move || {
        become_nobody();
        let listener = UnixListener::bind_addr(&address()).unwrap();
        // SAFETY: it has no precondition.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), queue) }, 0);
        listener
    });
    nobody.join().unwrap()
}

fn answer(file: &str) -> Vec<u8> {
    let mut answer = vec![0; ANSWER];
    let len = ANSWER + 3 * PATH;
    answer[8..12].copy_from_slice(&u32::try_from(len).unwrap().to_ne_bytes());
    answer[24..28].copy_from_slice(&u32::from(SHARED_MEMORY).to_ne_bytes());
    answer[28..32].copy_from_slice(&(1_u32 << 20).to_ne_bytes());
    for _ in 0..3 {
        let start = answer.len();
        answer.extend_from_slice(file.as_bytes());
        answer.resize(start + PATH, 0);
    }
    answer
}

impl Drop for FakeDaemon {
    fn drop(&mut self) {
        // SAFETY: it has no precondition; accepting ends with an error.
        unsafe { libc::shutdown(self.listener.as_raw_fd(), libc::SHUT_RDWR) };
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
