//! The commands inside a cluster: they send requests to the session.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::control::SEPARATOR;
use crate::session::VARIABLE;
use crate::{FAILED, Failure, arguments};

/// Sends a request to the session, and prints the answer.
pub(crate) fn request(request: &str) -> Result<u8, Failure> {
    let answer = ask(request)?;
    io::stdout().write_all(&answer)?;
    Ok(0)
}

/// Replaces this process by a command on a node. Returns only on failure.
pub(crate) fn on(node: &str, command: &[OsString]) -> Result<u8, Failure> {
    let answer = ask(&format!("enter {node}"))?;
    let mut words = answer.split(|&byte| byte == SEPARATOR).map(OsStr::from_bytes);
    let program = words.next().expect("what is split has a first part");
    let error = Command::new(program).args(words).args(command).exec();
    eprintln!("{}: {}: {error}", arguments::name(), Path::new(program).display());
    Ok(FAILED)
}

fn ask(request: &str) -> Result<Vec<u8>, Failure> {
    let Some(socket) = env::var_os(VARIABLE) else {
        let name = arguments::name();
        return Err(format!("this command works only inside a cluster, which `{name} run` starts").into());
    };
    let mut stream = UnixStream::connect(&socket)
        .map_err(|error| format!("{VARIABLE}={}: {error}", Path::new(&socket).display()))?;
    let mut answer = Vec::new();
    writeln!(stream, "{request}")
        .and_then(|()| stream.read_to_end(&mut answer))
        .map_err(|error| format!("the request to the cluster failed: {error}"))?;
    if let Some(text) = answer.strip_prefix(b"ok\n") {
        return Ok(text.to_vec());
    }
    let text = match answer.strip_prefix(b"error\n") {
        Some(text) => String::from_utf8_lossy(text).into_owned(),
        None if answer.is_empty() => "the cluster has ended".to_owned(),
        None => format!("the cluster's answer is not understood: {}", String::from_utf8_lossy(&answer)),
    };
    Err(text.into())
}
