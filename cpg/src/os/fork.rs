//! The process that made something, which a child of it must keep off ([A7](crate::facts#a7)).

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::error::{Error, Result};
#[cfg(miri)]
use crate::os::miri as libc;

/// The page that tells forks apart, in which one value is kept; null before the first owner.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// Processes that have had this memory, as far as they made an [`Owner`]. A fork copies it.
static BIRTHS: AtomicU32 = AtomicU32::new(0);

/// The process that made a handle, or a lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    /// Holds `birth` in that process and something else in its children. Asking for the pid is a system call.
    page: Option<&'static AtomicU32>,
    birth: u32,
    pid: u32,
}

impl Owner {
    /// Returns this process.
    pub(crate) fn this_process() -> Self {
        let page = page();
        let birth = page.map_or(0, |page| {
            // Zero in a process that has not been here yet. Threads that come at once agree by the exchange.
            if page.load(Ordering::SeqCst) == 0 {
                let next = BIRTHS.fetch_add(1, Ordering::SeqCst) + 1;
                let _: Result<u32, u32> = page.compare_exchange(0, next, Ordering::SeqCst, Ordering::SeqCst);
            }
            page.load(Ordering::SeqCst)
        });
        Self { page, birth, pid: std::process::id() }
    }

    /// Refuses what belongs to the parent of this process.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        let own = match self.page {
            Some(page) => page.load(Ordering::Relaxed) == self.birth,
            None => self.has_this_pid(),
        };
        if own { Ok(()) } else { Err(self.forked()) }
    }

    #[cold]
    fn has_this_pid(&self) -> bool {
        std::process::id() == self.pid
    }

    #[cold]
    fn forked(&self) -> Error {
        Error::Forked { owner: self.pid }
    }
}

/// Returns the page, which is mapped for good; `None` where the kernel has no such pages.
fn page() -> Option<&'static AtomicU32> {
    if PAGE.load(Ordering::Acquire).is_null() {
        let new = wiped_page().ok()?;
        // Of threads that come at once the first sets it. No lock: a fork could copy one that is held.
        let _: Result<_, _> = PAGE.compare_exchange(
            ptr::null_mut(),
            ptr::from_ref(new).cast_mut(),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
    }
    // SAFETY: not null, and mapped for good; the value is an atomic, which is never borrowed mutably.
    unsafe { PAGE.load(Ordering::Acquire).as_ref() }
}

/// Maps a page of memory that is zero in a forked child, and returns the one value that is kept in it.
fn wiped_page() -> io::Result<&'static AtomicU32> {
    const PAGE: usize = 4096;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: the kernel chooses an address that nothing is mapped at.
    let page = unsafe { libc::mmap(ptr::null_mut(), PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the page was mapped above, and nobody has a reference to it.
    let code = unsafe { libc::madvise(page, PAGE, libc::MADV_WIPEONFORK) };
    if code != 0 {
        let error = io::Error::last_os_error();
        // SAFETY: it was mapped above, and nobody has a reference to it.
        unsafe { libc::munmap(page, PAGE) };
        return Err(error);
    }
    // SAFETY: it is mapped for good, zero, aligned, and reached through this alone.
    Ok(unsafe { AtomicU32::from_ptr(page.cast()) })
}
