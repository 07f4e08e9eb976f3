//! Sockets of the family `AF_UNIX`: their kind, and the user at the other end.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

#[cfg(miri)]
use crate::os::miri as libc;

/// Returns true if the socket is a stream, and false if it is of another kind.
///
/// # Errors
/// The descriptor is closed, or is no socket.
pub(crate) fn is_stream(socket: RawFd) -> io::Result<bool> {
    option(socket, libc::SO_TYPE, 0).map(|kind: libc::c_int| kind == libc::SOCK_STREAM)
}

/// Returns the user that the process at the other end of a connected stream had when it began to listen.
pub(crate) fn peer_uid(socket: RawFd) -> io::Result<u32> {
    let nobody = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    option(socket, libc::SO_PEERCRED, nobody).map(|peer| peer.uid)
}

/// Returns the size of a socket's send buffer, as the kernel counts it.
pub(crate) fn send_buffer(socket: RawFd) -> io::Result<libc::c_int> {
    option(socket, libc::SO_SNDBUF, 0)
}

/// Reads an option of a socket. `T` is a structure of numbers.
fn option<T: Copy>(socket: RawFd, name: libc::c_int, mut value: T) -> io::Result<T> {
    let mut len = libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0);
    // SAFETY: the kernel writes at most as many bytes as it is told, which is the size of the value. Any bytes are valid numbers.
    let code =
        unsafe { libc::getsockopt(socket, libc::SOL_SOCKET, name, (&raw mut value).cast(), &raw mut len) };
    if code == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// Returns the effective user of the calling thread.
pub(crate) fn effective_uid() -> u32 {
    // SAFETY: the call has no precondition, and cannot fail.
    unsafe { libc::geteuid() }
}

/// True if this user number stands for one user only.
///
/// A user without a number in the user namespace of this process gets the overflow number, which is usually 65534. All such
/// users get the same number. In a namespace where each user has a number, the overflow number is an ordinary one.
pub(crate) fn is_of_one_user(uid: u32) -> bool {
    // Miri warns about each read of /proc.
    if cfg!(miri) {
        return true;
    }
    let overflow = fs::read_to_string("/proc/sys/kernel/overflowuid").ok();
    let overflow = overflow.and_then(|text| text.trim().parse().ok()).unwrap_or(65534);
    // Without /proc nothing can tell, so the overflow number counts as shared.
    uid != overflow || fs::read_to_string("/proc/thread-self/uid_map").is_ok_and(|map| has_all_users(&map))
}

/// True for the `uid_map` of a user namespace in which each user has a number.
fn has_all_users(map: &str) -> bool {
    let counts = map.lines().map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok());
    // -1 is no user.
    counts.sum::<Option<u64>>() == Some(u32::MAX.into())
}

/// Connects to an abstract name without waiting. The name is padded with zeros, as libqb pads its names.
pub(crate) fn connect_abstract(name: &[u8]) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the call has no precondition.
    let socket = unsafe { libc::socket(libc::AF_UNIX, kind, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nothing else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let family = libc::sa_family_t::try_from(libc::AF_UNIX).map_err(io::Error::other)?;
    let mut address = libc::sockaddr_un { sun_family: family, sun_path: [0; 108] };
    for (to, &from) in address.sun_path[1..].iter_mut().zip(name) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    let len = libc::socklen_t::try_from(size_of_val(&address)).map_err(io::Error::other)?;
    // SAFETY: the address is as long as the kernel is told, and the kernel reads no more.
    let code = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), len) };
    if code == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

/// Shuts down both directions of a socket. Calls that wait for its peer then return.
pub(crate) fn shut_down(socket: RawFd) {
    // SAFETY: the call has no precondition. A socket that is no longer connected needs nothing more.
    let _ = unsafe { libc::shutdown(socket, libc::SHUT_RDWR) };
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;

    #[test]
    fn the_overflow_number_stands_for_one_user_only_if_each_user_has_a_number() {
        assert!(has_all_users("         0          0 4294967295\n"));
        assert!(has_all_users("0 0 1000\n 1000 1000 4294966295\n"));
        for map in ["", "0 1000 1\n", "0 100000 65536\n", "0 0\n", "0 0 many\n"] {
            assert!(!has_all_users(map), "{map}");
        }
    }

    #[test]
    fn a_socket_tells_its_kind_and_its_peer() {
        let (stream, _peer) = UnixStream::pair().unwrap();
        assert!(is_stream(stream.as_raw_fd()).unwrap());
        assert_eq!(peer_uid(stream.as_raw_fd()).unwrap(), effective_uid());
        let (datagrams, _peer) = UnixDatagram::pair().unwrap();
        assert!(!is_stream(datagrams.as_raw_fd()).unwrap());
        assert!(is_stream(fs::File::open("/dev/null").unwrap().as_raw_fd()).is_err());
    }
}
