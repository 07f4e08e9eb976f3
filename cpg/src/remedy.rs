//! The text of an error of libcpg, with the failed call and the remedy.

use std::fs;
use std::io;

use crate::cs_error::CsError;

/// Returns the text of [`Error::Cs`](crate::Error::Cs).
pub(crate) fn text(call: &str, code: CsError) -> String {
    if call == "cpg_model_initialize" {
        format!("cannot connect to corosync ({call}: {code}){}", of_connecting(code, effective_user))
    } else {
        format!("{call}: {code}{}", of_a_connection(call, code))
    }
}

/// Returns the remedy for a connection that was not made, with the punctuation that joins it to the error.
fn of_connecting(code: CsError, user: impl FnOnce() -> Option<u32>) -> String {
    let remedy = match code {
        CsError::Library => {
            ": is corosync running? A program reaches it only from corosync's network namespace, and only if both sides or neither \
             have the file /etc/libqb/force-filesystem-sockets. If it runs there, its log says why it refused"
        }
        CsError::Access => return access(user()),
        CsError::NotExist => {
            ": this process does not see the daemon's /dev/shm (a container must share it); or this is a 32-bit program and \
             corosync a 64-bit one; or, if the file /etc/libqb/force-filesystem-sockets exists here, corosync does not run or \
             does not see that file"
        }
        CsError::NoMemory => {
            ": a connection maps 10 megabytes, here and in corosync; raise ulimit -v, or LimitAS of a systemd unit"
        }
        CsError::NoSpace => {
            ": /dev/shm is full; a connection takes 3.1 MiB of it, so the 64 MiB of a container hold about 20; see df -h /dev/shm"
        }
        CsError::TryAgain => {
            ": corosync is starting, or its ring does not form, or it is paused while this process gets signals; try again, and read \
             corosync's log if this continues"
        }
        CsError::InvalidParam | CsError::NotSupported => {
            ": libqb here and libqb in corosync are of incompatible versions"
        }
        _ => "",
    };
    remedy.to_owned()
}

/// Returns the text of [`Error::UntrustedDaemon`](crate::Error::UntrustedDaemon).
pub(crate) fn untrusted(uid: u32, is_overflow: bool) -> String {
    let remedy = if is_overflow {
        format!(
            "a user without a number in this user namespace, so this process cannot tell which user it is. If no other user can \
             listen in this network namespace, ConnectOptions::allow_daemon_uid({uid}) trusts all users without a number"
        )
    } else {
        format!(
            "neither root nor the user of this process. Find out what it is with `ss -xlp`, and end it if it is not corosync; if it \
             is, ConnectOptions::allow_daemon_uid({uid}) trusts it"
        )
    };
    format!("the process that listens as corosync runs as user {uid}: {remedy}")
}

/// Returns the remedy for a user that corosync does not admit, with lines to copy as they are.
///
/// corosync's parser accepts a brace only at the end of a line, or alone on a line. Otherwise it refuses the whole
/// configuration, and the daemon does not start again.
fn access(user: Option<u32>) -> String {
    let elsewhere =
        "SELinux, AppArmor or the mode of /dev/shm may keep this user from the files /dev/shm/qb-*.";
    let (user, uid) = match user {
        // The daemon admits root without asking.
        Some(0) => {
            return format!(
                "\n  This user (uid 0) needs no entry in corosync's configuration.\n  {elsewhere}"
            );
        }
        Some(uid) => (format!("this user (uid {uid})"), uid.to_string()),
        None => ("this user".to_owned(), "NAME".to_owned()),
    };
    format!(
        "
  The configuration of corosync may not admit {user}. On this node, as root,
  put these lines into a file such as /etc/corosync/uidgid.d/{uid}:
    uidgid {{
        uid: {uid}
    }}
  then run: corosync-cfgtool -R
  If corosync's log has no \"Denied connection attempt\" at this time, the lines are not what is missing:
  {elsewhere}"
    )
}

/// Returns the number of the user that the daemon sees: the effective user.
///
/// For root of a user namespace this is the user outside of the namespace. The daemon must be outside as well, because it
/// admits root of its own namespace.
fn effective_user() -> Option<u32> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let effective = ids.split_whitespace().nth(1)?.parse().ok()?;
    if effective == 0 {
        outside(&fs::read_to_string("/proc/thread-self/uid_map").ok()?)
    } else {
        Some(effective)
    }
}

/// Returns the user that is root in a user namespace with this `uid_map`.
fn outside(map: &str) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace();
        (numbers.next()? == "0").then(|| numbers.next()?.parse().ok())?
    })
}

/// Returns the remedy for a refusal of the operating system, with the punctuation that joins it to the error.
pub(crate) fn of_the_system(call: &str, error: &io::Error) -> &'static str {
    match (call, error.raw_os_error()) {
        ("poll", Some(libc::EINVAL)) => {
            ": this process may have fewer descriptors open than it waits for; raise ulimit -n (RLIMIT_NOFILE, LimitNOFILE), and \
             go on: nothing is lost"
        }
        _ => "",
    }
}

/// Returns the remedy for a request on a connection, with the punctuation that joins it to the error.
fn of_a_connection(call: &str, code: CsError) -> &'static str {
    match (call, code) {
        ("cpg_fd_get" | "cpg_max_atomic_msgsize_get", CsError::BadHandle) => {
            ": libqb has failed in the middle of connecting and reported success, as it can where setsockopt(SO_PASSCRED) is refused; \
             check whether the process is confined (seccomp), and the version of libqb"
        }
        (_, CsError::Library) => {
            ": the connection to corosync is lost; a session that reconnects comes back by itself, everything else has to connect anew"
        }
        (_, CsError::BadHandle) => {
            ": code outside of this crate has closed the handle, so the connection is lost"
        }
        (_, CsError::MessageError) => {
            ": the memory that this process shares with corosync is damaged, so the connection is lost"
        }
        ("cpg_dispatch", CsError::NoMemory) => {
            ": there was no memory for a message above the atomic size, which cannot be delivered, so the connection is lost"
        }
        (_, CsError::NoMemory) => ": memory is short in this process or in corosync",
        ("cpg_join", CsError::Exist) => {
            ": this process is in the group already, and a process can join a group only once"
        }
        ("cpg_join", CsError::TryAgain) => {
            ": an earlier membership of this process has not ended yet, or the ring is re-forming; try again"
        }
        ("cpg_mcast_joined" | "cpg_zcb_mcast_joined", CsError::TryAgain) => {
            ": flow control; dispatch, wait a little, and send the message again"
        }
        ("cpg_zcb_alloc", CsError::TryAgain) => {
            ": corosync has not taken the buffer; try again, or send the bytes as a plain message"
        }
        (_, CsError::TryAgain) => ": flow control, or the ring is re-forming; try again in a moment",
        ("cpg_mcast_joined", CsError::Interrupt) => {
            ": members came or went while the parts of this message were sent; nothing of the message is delivered, send it again"
        }
        ("cpg_mcast_joined" | "cpg_leave", CsError::NotExist) => {
            ": corosync does not count this process among the members"
        }
        ("cpg_mcast_joined" | "cpg_zcb_mcast_joined", CsError::TooBig) => {
            ": the connection takes no message of this size; send the message in parts"
        }
        ("cpg_zcb_mcast_joined" | "cpg_zcb_alloc", CsError::NotSupported) => {
            ": this daemon has no zero-copy; send the bytes as a plain message"
        }
        (_, CsError::InvalidParam) => {
            ": corosync does not understand the request; compare the version of corosync (corosync -v) with that of libcpg"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_call_the_code_and_the_remedy() {
        let text = text("cpg_model_initialize", CsError::NotExist);
        let head = "cannot connect to corosync (cpg_model_initialize: CS_ERR_NOT_EXIST: it does not exist): this process";
        assert!(text.starts_with(head), "{text}");
        let text = super::text("cpg_leave", CsError::from(77));
        assert_eq!(text, "cpg_leave: code 77: an error that corosync/corotypes.h does not name");
    }

    #[test]
    fn the_lines_for_the_configuration_name_the_user() {
        let text = access(Some(1000));
        assert!(text.contains("/uidgid.d/1000:\n    uidgid {\n        uid: 1000\n    }\n"), "{text}");
        assert!(!access(Some(0)).contains("uid: "), "root is admitted as it is");
        assert!(access(None).contains("uid: NAME"));
    }

    #[test]
    fn root_of_a_user_namespace_is_a_user_outside() {
        assert_eq!(outside("         0          0 4294967295\n"), Some(0));
        assert_eq!(
            outside("         1     100000      65536\n         0       1000          1\n"),
            Some(1000)
        );
        assert_eq!(outside(""), None);
    }

    /// A search in the documentation for the text of an error finds the page.
    #[test]
    fn the_page_about_troubleshooting_has_every_text() {
        let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/troubleshooting.md"));
        let words =
            |text: &str| text.split_whitespace().filter(|word| *word != ">").collect::<Vec<_>>().join(" ");
        let page = words(page);
        let (mut missing, mut count) = (Vec::new(), 0);
        for code in (0..=200).map(CsError::from) {
            let connecting = of_connecting(code, || Some(1000));
            let calls =
                ["cpg_fd_get", "cpg_join", "cpg_leave", "cpg_mcast_joined", "cpg_dispatch", "cpg_zcb_alloc"];
            let remedies =
                calls.map(|call| of_a_connection(call, code).to_owned()).into_iter().chain([connecting]);
            for remedy in remedies.filter(|remedy| !remedy.is_empty()) {
                count += 1;
                let remedy = words(remedy.trim_start_matches(':'));
                if !page.contains(&remedy) {
                    missing.push(format!("{code}: {remedy}"));
                }
            }
        }
        for uid in [1000, 65534] {
            let text = words(&untrusted(uid, uid == 65534));
            count += 1;
            if !page.contains(&text) {
                missing.push(text);
            }
        }
        assert!(count > 12, "{count} remedies found");
        assert!(missing.is_empty(), "not on the page: {missing:#?}");
    }
}
