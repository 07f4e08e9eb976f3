//! Knowing that a thread has the stack that a C function with a large frame needs.

use std::cell::Cell;

use crate::error::{Error, Result};

thread_local! {
    // Asking reads /proc/self/maps on a main thread: too slow for each dispatch.
    /// The lowest address that a check has found to be in this thread's own stack, and the end of that.
    static KNOWN: Cell<(usize, usize)> = const { Cell::new((usize::MAX, 0)) };
}

/// Refuses a thread that has less than `needed` bytes of stack left.
///
/// The answer is remembered: the system is asked again only for what lies deeper than anything found good before.
#[inline]
pub(crate) fn check(needed: usize) -> Result<()> {
    let here = stack_pointer();
    let (low, end) = KNOWN.get();
    // Coroutines have their stacks elsewhere.
    if here < end && here.saturating_sub(needed) >= low { Ok(()) } else { ask(here, needed) }
}

#[cold]
fn ask(here: usize, needed: usize) -> Result<()> {
    let (low, end) = stack_bounds().unwrap_or_default();
    let remaining = if here < end { here.saturating_sub(low) } else { 0 };
    if remaining < needed {
        return Err(Error::StackTooSmall { needed, remaining });
    }
    KNOWN.set((here - needed, end));
    Ok(())
}

/// Returns the place on its stack at which this thread is.
///
/// That is not where a local is under an address sanitizer, which by default keeps locals on a stack of its own.
#[inline]
fn stack_pointer() -> usize {
    let here: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it reads a register.
    unsafe {
        std::arch::asm!("mov {}, rsp", out(reg) here, options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: it reads a register.
    unsafe {
        std::arch::asm!("mov {}, sp", out(reg) here, options(nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let local = std::hint::black_box(0_u8);
        here = std::ptr::from_ref(&local).addr();
    }
    here
}

/// Returns the lowest address and the end of this thread's own stack.
fn stack_bounds() -> Option<(usize, usize)> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: it always succeeds (pthread_self(3)).
    let thread = unsafe { libc::pthread_self() };
    // SAFETY: the function initialises the attributes of a thread that runs, as this one does, if it returns 0.
    if unsafe { libc::pthread_getattr_np(thread, attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let (mut low, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the attributes are initialised, and the function writes a pointer and a size.
    let code = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut low, &raw mut size) };
    // SAFETY: the attributes are initialised and not used again.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    (code == 0).then(|| (low.addr(), low.addr().saturating_add(size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_knows_what_it_has_left() {
        let fits = |size: usize, needed: usize| {
            let thread = std::thread::Builder::new().stack_size(size).spawn(move || check(needed).is_ok());
            thread.unwrap().join().unwrap()
        };
        assert!(fits(256 << 10, 128 << 10) && !fits(256 << 10, 256 << 10));
        assert!(fits(4 << 20, 3 << 20) && !fits(4 << 20, 4 << 20));
    }

    #[test]
    fn what_was_enough_for_a_small_frame_is_asked_again_for_a_large_one() {
        let thread = std::thread::Builder::new().stack_size(256 << 10);
        let [small, large, again] =
            thread.spawn(|| [16, 512, 16].map(|kib| check(kib << 10).is_ok())).unwrap().join().unwrap();
        assert!(small && !large && again);
    }
}
