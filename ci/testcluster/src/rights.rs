//! The right to make namespaces, and advice for processes that lack it.

use std::fs;
use std::io;

use crate::directory;
use crate::error::{Error, Result};

/// The bits of `CAP_NET_ADMIN`, `CAP_SYS_CHROOT` and `CAP_SYS_ADMIN`.
const NEEDED: u64 = 1 << 12 | 1 << 18 | 1 << 21;

const STATUS: &str = "/proc/thread-self/status";

/// Returns true if the calling thread has the capabilities that a cluster needs.
///
/// # Errors
///
/// [`Error::System`] when `/proc` does not say which capabilities there are.
pub fn sufficient() -> Result<bool> {
    let status = fs::read_to_string(STATUS).map_err(Error::system(STATUS))?;
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = capabilities.ok_or_else(|| io::Error::other("no line CapEff"));
    let capabilities = capabilities
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).map_err(io::Error::other))
        .map_err(Error::system(STATUS))?;
    Ok(capabilities & NEEDED == NEEDED)
}

/// Fails if the calling thread cannot make a cluster. The error says what is missing.
///
/// # Errors
///
/// [`Error::Rights`]; [`Error::Directory`] when the user cannot reach the working directory, in which threads and
/// commands on a node run.
pub fn check() -> Result<()> {
    if sufficient()? {
        return directory::check();
    }
    let mut text = "a test cluster needs the capabilities SYS_ADMIN, SYS_CHROOT and NET_ADMIN. \
         Run the program as root, or without root through ci/as-root, which is \
         `unshare --user --map-root-user PROGRAM`"
        .to_owned();
    if let Some(obstacle) = obstacle() {
        text.push_str(".\n");
        text.push_str(&obstacle);
    }
    Err(Error::Rights(text))
}

/// Returns the obstacle that keeps users of this machine from making user namespaces, and its remedy, as far as the
/// settings of the kernel tell.
pub fn obstacle() -> Option<String> {
    // If a setting cannot be read, this kernel does not have it.
    let set = |name: &str, value: &str| {
        fs::read_to_string(format!("/proc/sys/{name}")).is_ok_and(|text| text.trim() == value)
    };
    let change = |key: &str, value: &str| {
        Some(format!("User namespaces are off on this machine: allow them with `sudo sysctl {key}={value}`."))
    };
    if !fs::exists("/proc/self/ns").is_ok_and(|there| there) {
        return Some("/proc is not mounted here, or not readable: `mount -t proc proc /proc`.".to_owned());
    }
    if !fs::exists("/proc/self/ns/user").is_ok_and(|there| there) {
        return Some("This kernel has no user namespaces (CONFIG_USER_NS).".to_owned());
    }
    if set("kernel/unprivileged_userns_clone", "0") {
        return change("kernel.unprivileged_userns_clone", "1");
    }
    if set("user/max_user_namespaces", "0") {
        return change("user.max_user_namespaces", "10000");
    }
    if set("kernel/apparmor_restrict_unprivileged_userns", "1") {
        return change("kernel.apparmor_restrict_unprivileged_userns", "0");
    }
    None
}
