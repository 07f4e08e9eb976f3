//! Whether this process may make namespaces, and what to do when it may not.

use std::fs;

use crate::error::{Error, Result};

/// `CAP_NET_ADMIN`, `CAP_SYS_CHROOT` and `CAP_SYS_ADMIN`, by their bits.
const NEEDED: u64 = 1 << 12 | 1 << 18 | 1 << 21;

/// True when the calling thread has the capabilities that a cluster needs.
pub fn sufficient() -> bool {
    fs::read_to_string("/proc/thread-self/status").is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
            .is_some_and(|capabilities| capabilities & NEEDED == NEEDED)
    })
}

/// Fails with what is missing when the calling thread cannot make a cluster.
///
/// # Errors
///
/// [`Error::Rights`].
pub fn check() -> Result<()> {
    if sufficient() {
        return Ok(());
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

/// What keeps users of this machine from making user namespaces, and how to allow it, as far as
/// the kernel's settings tell.
pub fn obstacle() -> Option<String> {
    let set = |name: &str, value: &str| {
        fs::read_to_string(format!("/proc/sys/{name}")).is_ok_and(|text| text.trim() == value)
    };
    let change = |key: &str, value: &str| {
        Some(format!("User namespaces are off on this machine: allow them with `sudo sysctl {key}={value}`."))
    };
    if !fs::exists("/proc/self/ns/user").unwrap_or(false) {
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
