//! The process that made a value, so that a child of that process does not use the value ([A7](crate::facts#a7)).

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::error::{Error, Result};
#[cfg(miri)]
use crate::os::miri as libc;

/// The page that is zero after a fork, and holds one number. Null before the first owner.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// The number of processes that have made an [`Owner`] in this memory. A fork copies it to the child.
static BIRTHS: AtomicU32 = AtomicU32::new(0);

/// The process that made a handle or a lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    /// The page, which holds `birth` in that process and another number in its children. Reading it is cheaper than a system
    /// call for the pid.
    page: Option<&'static AtomicU32>,
    birth: u32,
    pid: u32,
}

impl Owner {
    /// Returns this process.
    pub(crate) fn this_process() -> Self {
        let page = page();
        let birth = page.map_or(0, |page| {
            // Zero: no thread of this process has been here yet. If several threads come at once, the exchange lets one of them
            // win.
            if page.load(Ordering::SeqCst) == 0 {
                let next = BIRTHS.fetch_add(1, Ordering::SeqCst) + 1;
                let _: Result<u32, u32> = page.compare_exchange(0, next, Ordering::SeqCst, Ordering::SeqCst);
            }
            page.load(Ordering::SeqCst)
        });
        Self { page, birth, pid: std::process::id() }
    }

    /// Refuses a value that belongs to the parent of this process.
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

/// Returns the page, which is never unmapped. `None` if the kernel has no such pages.
fn page() -> Option<&'static AtomicU32> {
    if PAGE.load(Ordering::Acquire).is_null() {
        let new = wiped_page().ok()?;
        // If several threads come at once, the first one sets the page. This takes no lock, because a fork could copy a held
        // lock.
        let _: Result<_, _> = PAGE.compare_exchange(
            ptr::null_mut(),
            ptr::from_ref(new).cast_mut(),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
    }
    // SAFETY: the pointer is null or points to a page that stays mapped. The value is an atomic, which is never borrowed mutably.
    unsafe { PAGE.load(Ordering::Acquire).as_ref() }
}

/// Maps a page of memory that the kernel fills with zeros in a forked child. Returns the number that is kept in the page.
fn wiped_page() -> io::Result<&'static AtomicU32> {
    const PAGE: usize = 4096;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: the kernel chooses an address where nothing is mapped.
    let page = unsafe { libc::mmap(ptr::null_mut(), PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the page was mapped above, and nothing has a reference to it.
    let code = unsafe { libc::madvise(page, PAGE, libc::MADV_WIPEONFORK) };
    if code != 0 {
        let error = io::Error::last_os_error();
        // SAFETY: the page was mapped above, and nothing has a reference to it.
        unsafe { libc::munmap(page, PAGE) };
        return Err(error);
    }
    // SAFETY: the page stays mapped, is zero and aligned, and is reached only through this reference.
    Ok(unsafe { AtomicU32::from_ptr(page.cast()) })
}
