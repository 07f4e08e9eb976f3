//! `/dev/shm`: the room in it, and the files of zero-copy buffers there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

/// The size of the headers that libcpg puts before a buffer, and of the page to which it rounds up (`lib/cpg.c`,
/// `cpg_zcb_alloc`).
const HEADERS: usize = 8192;

/// Takes as much of `/dev/shm` as libcpg is about to take. Dropping the file gives it back.
///
/// Up to corosync 3.1.10 `cpg_zcb_alloc` asserts that its file can be made and filled. It also writes to pages that it did not
/// fill. Without enough descriptors or room, either ends the process.
pub(crate) fn check_shared_memory(len: usize) -> io::Result<(File, usize)> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC)
        .open("/dev/shm")?;
    let page = [0; 4096];
    let size = len.saturating_add(HEADERS);
    let mut left = size;
    while left > 0 {
        let part = left.min(page.len());
        file.write_all(&page[..part])?;
        left -= part;
    }
    Ok((file, size))
}

/// Returns the file of the zero-copy buffer at `address`, if the daemon has not accepted the buffer.
///
/// The daemon removes the name of the file when it maps the file. libcpg up to 3.1.10 does not check the daemon's answer. A
/// buffer that the daemon refused does not contain an address of the daemon's, so sending it would make the daemon follow a
/// null pointer (`exec/cpg.c`, `message_handler_req_lib_cpg_zc_execute`).
///
/// # Errors
/// `/proc` is not mounted, and nothing else can tell.
pub(crate) fn untaken_file(address: usize) -> io::Result<Option<PathBuf>> {
    let unknown = |error: io::Error| {
        let text = "cannot read /proc/self/maps, and nothing else tells if corosync has taken the buffer";
        io::Error::new(
            error.kind(),
            format!("{text} ({error}): mount /proc, or send the bytes as a plain message"),
        )
    };
    Ok(untaken_in(&fs::read_to_string("/proc/self/maps").map_err(unknown)?, address))
}

fn untaken_in(maps: &str, address: usize) -> Option<PathBuf> {
    let holds = |line: &&str| {
        let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
        let number = |text| usize::from_str_radix(text, 16).ok();
        range.and_then(|(start, end)| Some((number(start)?..number(end)?).contains(&address))) == Some(true)
    };
    let line = maps.lines().find(holds)?;
    let path = &line[line.find('/')?..];
    (path.contains("/corosync_zerocopy-") && !path.ends_with(" (deleted)")).then(|| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_the_daemon_has_not_taken_still_has_a_file() {
        let maps = "\
7f00-7f20 rw-p 00000000 00:00 0
7f20-7f40 rw-s 00000000 00:2e 12 /dev/shm/corosync_zerocopy-a1B2c3 (deleted)
7f40-7f60 rw-s 00000000 00:2e 13 /dev/shm/corosync_zerocopy-d4E5f6
7f60-7f80 r--p 00000000 fe:00 99 /usr/lib/libcpg.so.4.1.0
";
        assert_eq!(untaken_in(maps, 0x7f00), None, "memory of newer libraries");
        assert_eq!(untaken_in(maps, 0x7f3f), None, "taken");
        assert_eq!(untaken_in(maps, 0x7f40), Some("/dev/shm/corosync_zerocopy-d4E5f6".into()));
        assert_eq!(untaken_in(maps, 0x7f5f), untaken_in(maps, 0x7f40));
        assert_eq!(untaken_in(maps, 0x7f60), None);
        assert_eq!(untaken_in(maps, 0x7f80), None);
    }
}
