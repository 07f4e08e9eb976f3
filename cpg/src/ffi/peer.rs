//! The daemon at the other end of a connection: its user, and the kind of its socket.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};

use cpg_sys as sys;

use crate::error::{Error, Result};
use crate::ffi::options::ConnectOptions;
use crate::os::socket;

/// The abstract socket name at which the daemon's CPG service listens (`exec/ipc_glue.c`, `cs_ipcs_init`).
const SERVICE: &[u8] = b"cpg";

/// A file that makes libqb look for the daemon's sockets in a directory, which was chosen when libqb was built (`lib/util.c`,
/// `use_filesystem_sockets`).
const FILESYSTEM_SOCKETS: &str = "/etc/libqb/force-filesystem-sockets";

/// Refuses a daemon of another user before libqb talks to it ([B19](crate::facts#b19)).
///
/// A check after connecting would be too late for much of the harm. While libqb connects, it opens the files that the daemon
/// names, gives them the size of a ring buffer and maps them, with the rights of this process (`lib/ringbuffer.c`, `qb_rb_open`).
pub(super) fn check_listener(options: ConnectOptions) -> Result<()> {
    // Only libqb knows the directory of the sockets.
    if fs::exists(FILESYSTEM_SOCKETS).is_ok_and(|there| there) {
        return Ok(());
    }
    match socket::connect_abstract(SERVICE) {
        Ok(listener) => check_user(listener.as_raw_fd(), options),
        // The listener's queue is full, so its user cannot be found out. libcpg would wait, and then talk to it.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(Error::cs("cpg_model_initialize", sys::CS_ERR_TRY_AGAIN))
        }
        // libcpg reports best why no daemon can be reached.
        Err(_) => Ok(()),
    }
}

/// Refuses a connection that is not one ([A22](crate::facts#a22)), one that uses datagrams ([B18](crate::facts#b18)), and one to
/// the daemon of another user ([B19](crate::facts#b19)). The user is checked again, because another process can have taken the
/// place of the daemon that [`check_listener`] saw.
pub(super) fn check_connection(connection: RawFd, options: ConnectOptions) -> Result<()> {
    match socket::is_stream(connection) {
        // Without its socket, the handle is not a usable handle.
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
