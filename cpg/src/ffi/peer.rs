//! The daemon at the other end of a connection: who it is, and how it is reached.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};

use cpg_sys as sys;

use crate::error::{Error, Result};
use crate::ffi::options::ConnectOptions;
use crate::os::socket;

/// The abstract name at which the daemon's CPG service listens (`exec/ipc_glue.c`, `cs_ipcs_init`).
const SERVICE: &[u8] = b"cpg";

/// Has libqb look for the sockets of daemons in a directory that was chosen when it was built (`lib/util.c`,
/// `use_filesystem_sockets`).
const FILESYSTEM_SOCKETS: &str = "/etc/libqb/force-filesystem-sockets";

/// Refuses the daemon of another user before libqb talks to it ([B19](crate::facts#b19)).
///
/// Afterwards is too late for much of the harm: libqb opens the files that the daemon names, gives them the size of a ring buffer
/// and maps them, as the user that connects (`lib/ringbuffer.c`, `qb_rb_open`).
pub(super) fn check_listener(options: ConnectOptions) -> Result<()> {
    // Nobody but libqb knows where that is.
    if fs::exists(FILESYSTEM_SOCKETS).is_ok_and(|there| there) {
        return Ok(());
    }
    match socket::connect_abstract(SERVICE) {
        Ok(listener) => check_user(listener.as_raw_fd(), options),
        // So many wait for the listener that its user cannot be asked for: libcpg would wait too, and then talk to it.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(Error::cs("cpg_model_initialize", sys::CS_ERR_TRY_AGAIN))
        }
        // libcpg says best why nobody can be reached.
        Err(_) => Ok(()),
    }
}

/// Refuses a connection that is none ([A22](crate::facts#a22)), that is made of datagrams ([B18](crate::facts#b18)), or that
/// leads to the daemon of another user ([B19](crate::facts#b19)): one can have taken the place of the daemon that
/// [`check_listener`] saw.
pub(super) fn check_connection(connection: RawFd, options: ConnectOptions) -> Result<()> {
    match socket::is_stream(connection) {
        // As for a handle that is none, which it is without its socket.
        Err(_) => Err(Error::cs("cpg_fd_get", sys::CS_ERR_BAD_HANDLE)),
        Ok(false) => Err(Error::DatagramIpc),
        Ok(true) => check_user(connection, options),
    }
}

fn check_user(connection: RawFd, options: ConnectOptions) -> Result<()> {
    let uid = socket::peer_uid(connection).map_err(Error::io("getsockopt"))?;
    if options.daemon_uid == Some(uid) || (is_root_or_self(uid) && socket::is_of_one_user(uid)) {
        return Ok(());
    }
    Err(Error::UntrustedDaemon { uid, is_overflow: !socket::is_of_one_user(uid) })
}

fn is_root_or_self(uid: u32) -> bool {
    uid == 0 || uid == socket::effective_uid()
}
