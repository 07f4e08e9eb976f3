//! Whether the thread has the stack that `cpg_dispatch` needs.

use std::cell::Cell;

use crate::error::{Error, Result};
use crate::ffi::raw;

/// Bytes of stack that a dispatch must find.
///
/// `cpg_dispatch` has a frame of 1 054 040 bytes and no stack probe (A1; `IPC_DISPATCH_SIZE` in `ipc_cpg.h` and four arrays
/// of 128 members). The rest is for libqb under it and the callback above it.
const NEEDED: usize = 1152 * 1024;

thread_local! {
    // The lookup reads /proc/self/maps on a main thread, too slow for each dispatch.
    /// The lowest address and the end; both 0 before the first lookup.
    static BOUNDS: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Refuses a thread that has too little stack left.
#[inline]
pub(crate) fn check() -> Result<()> {
    let remaining = remaining();
    if remaining >= NEEDED { Ok(()) } else { Err(Error::StackTooSmall { needed: NEEDED, remaining }) }
}

/// Bytes from here to the end of this thread's stack; 0 on a stack that is not the thread's own, or unknown.
#[inline]
fn remaining() -> usize {
    let (low, end) = match BOUNDS.get() {
        (_, 0) => look_up(),
        bounds => bounds,
    };
    let here = raw::stack_pointer();
    if here < end { here.saturating_sub(low) } else { 0 }
}

#[cold]
fn look_up() -> (usize, usize) {
    let bounds = raw::stack_bounds().unwrap_or_default();
    BOUNDS.set(bounds);
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_knows_what_it_has_left() {
        let on_stack_of = |size: usize| {
            std::thread::Builder::new().stack_size(size).spawn(remaining).unwrap().join().unwrap()
        };
        let (small, large) = (on_stack_of(256 << 10), on_stack_of(4 << 20));
        assert!((128 << 10..=256 << 10).contains(&small), "{small}");
        assert!((3 << 20..=4 << 20).contains(&large), "{large}");
    }
}
