//! Knowing that a thread has the stack that a C function with a large frame needs.

use std::cell::Cell;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use crate::error::{Error, Result};
#[cfg(any(miri, cpg_model))]
use crate::os::miri as libc;

thread_local! {
    /// The deepest stack pointer from which [`StackLeft::used`] has been reached, and the end of that stack.
    static DEEPEST: Cell<(usize, usize)> = const { Cell::new((usize::MAX, 0)) };
}

/// Bytes below the end of the stack of a process that the kernel maps nothing else into, unless it is told to.
///
/// It leaves a gap of 128 MiB or more, of which random offsets and a guard take a part (`mmap_base` in the kernel's `mm/util.c`).
const RESERVED: usize = 64 << 20;

/// The proof that the calling thread has `BYTES` of stack left, for one C call with a frame that jumps over guard pages.
///
/// It is made in the function that makes the call, or in its caller.
#[derive(Debug)]
#[must_use = "it is for a call"]
pub(crate) struct StackLeft<const BYTES: usize> {
    /// Threads have stacks of their own.
    not_send: PhantomData<*const ()>,
}

impl<const BYTES: usize> StackLeft<BYTES> {
    const fn new() -> Self {
        Self { not_send: PhantomData }
    }

    /// Returns the proof if the stack has been used from here or deeper, without asking the system; see [`used`](Self::used).
    #[inline]
    pub(crate) fn known() -> Option<Self> {
        let here = stack_pointer();
        let (deepest, end) = DEEPEST.get();
        // Coroutines have their stacks elsewhere.
        (deepest <= here && here < end).then_some(Self::new())
    }

    /// Asks the system, unless it is [`known`](Self::known).
    pub(crate) fn ask() -> Result<Self> {
        if let Some(known) = Self::known() {
            return Ok(known);
        }
        let here = stack_pointer();
        let remaining = bounds(here).map_or(0, |(low, _)| here.saturating_sub(low));
        if remaining < BYTES {
            Err(Error::StackTooSmall { needed: BYTES, remaining })
        } else {
            Ok(Self::new())
        }
    }

    /// Notes that the call has been made from about here: the frame was there, whatever becomes of limits, and all of it stays.
    ///
    /// Called for the largest frame of all, since the note is good for smaller ones too.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the stack pointer is to be that of the call")]
    #[expect(clippy::unused_self, reason = "who has the proof may have made the call")]
    pub(crate) fn used(self) {
        let here = stack_pointer();
        if let Some((_, end)) = bounds(here) {
            DEEPEST.set((here, end));
        }
    }

    /// Returns the proof for a thread that was made with a stack of `SIZE` bytes, at its beginning.
    pub(super) fn at_the_beginning<const SIZE: usize>() -> Self {
        // What std, the C library and thread-local storage of the whole program take of it.
        const { assert!(BYTES + (128 << 10) <= SIZE, "the stack is too small for this call") };
        Self::new()
    }
}

/// Returns the place on its stack at which this thread is.
///
/// That is not where a local is under an address sanitizer, which by default keeps locals on a stack of its own.
#[inline]
fn stack_pointer() -> usize {
    let here: usize;
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: it reads a register.
    unsafe {
        std::arch::asm!("mov {}, rsp", out(reg) here, options(nomem, nostack, preserves_flags));
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: it reads a register.
    unsafe {
        std::arch::asm!("mov {}, sp", out(reg) here, options(nomem, nostack, preserves_flags));
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    {
        let local = std::hint::black_box(0_u8);
        here = std::ptr::from_ref(&local).addr();
    }
    here
}

/// Returns the lowest address and the end of the stack that `here` is on, if it is the calling thread's own.
fn bounds(here: usize) -> Option<(usize, usize)> {
    process_stack(here).or_else(|| thread_stack().filter(|&(_, end)| here < end))
}

/// Returns the bounds of the stack that the kernel gave the process, if `here` is on it.
///
/// The C library cannot be asked ([A18](crate::facts#a18)): glibc reads `/proc/self/maps`, musl tells what is mapped so far.
/// The kernel lets this stack grow up to the limit that holds at that moment.
fn process_stack(here: usize) -> Option<(usize, usize)> {
    let end = process_stack_end()?;
    let most = stack_limit().min(RESERVED);
    (here < end && end - here <= RESERVED).then(|| (end.saturating_sub(most), end))
}

/// Returns the end of the stack of the process: the kernel puts the name of the program there first, below one word.
fn process_stack_end() -> Option<usize> {
    // SAFETY: it has no precondition.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) };
    if name == 0 {
        return None;
    }
    let name = std::ptr::with_exposed_provenance::<libc::c_char>(usize::try_from(name).ok()?);
    // SAFETY: not null, and so the string that the kernel has put there for as long as the process runs.
    let length = unsafe { CStr::from_ptr(name) }.count_bytes();
    let end = name.addr().checked_add(length + 1 + size_of::<usize>())?;
    // Where something else than a kernel has started the program, an emulator say, this is not so.
    (end % 4096 == 0).then_some(end)
}

/// Returns how large the stack of the process may grow now.
fn stack_limit() -> usize {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: the function writes one rlimit if it returns 0.
    if unsafe { libc::getrlimit(libc::RLIMIT_STACK, limit.as_mut_ptr()) } != 0 {
        return 0;
    }
    // SAFETY: it was written, as the call succeeded.
    let limit = unsafe { limit.assume_init() };
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// Returns the lowest address and the end of what the C library takes for the stack of this thread.
fn thread_stack() -> Option<(usize, usize)> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
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

    const KIB: usize = 1 << 10;

    fn on<T: Send + 'static>(size: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::Builder::new().stack_size(size).spawn(work).unwrap().join().unwrap()
    }

    #[test]
    fn a_thread_knows_what_it_has_left() {
        // The C library may take a larger stack from its cache, but none like that.
        const HUGE: usize = 64 << 20;
        assert!(on(256 * KIB, || StackLeft::<{ 128 * KIB }>::ask().is_ok()));
        assert!(on(256 * KIB, || StackLeft::<HUGE>::ask().is_err()));
        assert!(on(HUGE + 1024 * KIB, || StackLeft::<HUGE>::ask().is_ok()));
    }

    #[test]
    fn what_was_asked_and_not_used_is_asked_again() {
        assert!(on(256 * KIB, || {
            let asked = StackLeft::<{ 16 * KIB }>::ask();
            asked.is_ok() && StackLeft::<{ 16 * KIB }>::known().is_none()
        }));
    }

    #[test]
    fn a_stack_is_known_as_deep_as_it_was_used_and_no_deeper() {
        #[inline(never)]
        fn deeper() -> bool {
            let page = std::hint::black_box([0_u8; 4096]);
            let known = StackLeft::<1>::known().is_some();
            std::hint::black_box(page);
            known
        }
        #[inline(never)]
        fn used() {
            StackLeft::<1>::ask().unwrap().used();
        }
        assert!(on(256 * KIB, || {
            used();
            StackLeft::<1>::known().is_some() && !deeper()
        }));
    }

    #[test]
    fn the_end_of_the_stack_of_the_process_is_found_without_proc() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
        let (_, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        assert_eq!(process_stack_end(), usize::from_str_radix(end, 16).ok());
    }

    #[test]
    fn a_thread_is_not_on_the_stack_of_the_process() {
        assert_eq!(process_stack(stack_pointer()), None);
        let end = process_stack_end().unwrap();
        let (low, found) = process_stack(end - 4096).unwrap();
        assert!(found == end && end - low == stack_limit().min(RESERVED));
    }
}
