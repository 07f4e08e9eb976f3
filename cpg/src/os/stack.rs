//! Proof that a thread has enough stack for a C function with a large frame.

use std::cell::Cell;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use crate::error::{Error, Result};
#[cfg(any(miri, cpg_model))]
use crate::os::miri as libc;

thread_local! {
    /// The lowest stack pointer at which [`StackLeft::used`] was called, and the end of that stack.
    static DEEPEST: Cell<(usize, usize)> = const { Cell::new((usize::MAX, 0)) };
}

/// The number of bytes below the end of the stack of a process into which the kernel maps nothing else, unless it is told to.
///
/// The kernel leaves a gap of 128 MiB or more. Random offsets and a guard take a part of the gap (`mmap_base` in the kernel's
/// `mm/util.c`).
const RESERVED: usize = 64 << 20;

/// The proof that the calling thread has `BYTES` of stack left, for one C call whose frame jumps over guard pages.
///
/// The function that makes the call, or its caller, asks for the proof.
#[derive(Debug)]
#[must_use = "the proof is for a call"]
pub(crate) struct StackLeft<const BYTES: usize> {
    /// Not for other threads, which have their own stacks.
    not_send: PhantomData<*const ()>,
}

impl<const BYTES: usize> StackLeft<BYTES> {
    const fn new() -> Self {
        Self { not_send: PhantomData }
    }

    /// Returns the proof without asking the system, if the stack was [used](Self::used) from here or from deeper.
    #[inline]
    pub(crate) fn known() -> Option<Self> {
        let here = stack_pointer();
        let (deepest, end) = DEEPEST.get();
        // The upper bound is for coroutines, which have other stacks.
        (deepest <= here && here < end).then_some(Self::new())
    }

    /// Returns the proof if it is [`known`](Self::known), and otherwise asks the system.
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

    /// Notes that the call was made from about here. Its frame was on the stack, so that much stack remains, even if limits
    /// change.
    ///
    /// This is called only for the largest of all frames, because the note holds for smaller frames too.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the stack pointer must be that of the call")]
    #[expect(clippy::unused_self, reason = "only a caller with the proof has made the call")]
    pub(crate) fn used(self) {
        let here = stack_pointer();
        if let Some((_, end)) = bounds(here) {
            DEEPEST.set((here, end));
        }
    }

    /// Returns the proof at the beginning of a thread that was started with a stack of `SIZE` bytes.
    pub(super) fn at_the_beginning<const SIZE: usize>() -> Self {
        // std, the C library and the thread-local storage of the whole program take a part of the stack.
        const { assert!(BYTES + (128 << 10) <= SIZE, "the stack is too small for this call") };
        Self::new()
    }
}

/// Returns the stack pointer of this thread.
///
/// The address of a local variable would not do: an address sanitizer by default keeps locals on a separate stack.
#[inline]
fn stack_pointer() -> usize {
    let here: usize;
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: the instruction only reads a register.
    unsafe {
        std::arch::asm!("mov {}, rsp", out(reg) here, options(nomem, nostack, preserves_flags));
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: the instruction only reads a register.
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

/// Returns the lowest address and the end of the stack that `here` is on, if that stack belongs to the calling thread.
fn bounds(here: usize) -> Option<(usize, usize)> {
    process_stack(here).or_else(|| thread_stack().filter(|&(_, end)| here < end))
}

/// Returns the bounds of the stack that the kernel gave the process, if `here` is on it.
///
/// The C library is not asked ([A18](crate::facts#a18)): glibc reads `/proc/self/maps`, and musl reports only the part that is
/// mapped so far. The kernel lets this stack grow up to the limit that holds at that moment.
fn process_stack(here: usize) -> Option<(usize, usize)> {
    let end = process_stack_end()?;
    let most = stack_limit().min(RESERVED);
    (here < end && end - here <= RESERVED).then(|| (end.saturating_sub(most), end))
}

/// Returns the end of the stack of the process. The kernel puts the name of the program there first, below one word.
fn process_stack_end() -> Option<usize> {
    // SAFETY: the call has no precondition.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) };
    if name == 0 {
        return None;
    }
    let name = std::ptr::with_exposed_provenance::<libc::c_char>(usize::try_from(name).ok()?);
    // SAFETY: the pointer is not null, so it is the string that the kernel put there for as long as the process runs.
    let length = unsafe { CStr::from_ptr(name) }.count_bytes();
    let end = name.addr().checked_add(length + 1 + size_of::<usize>())?;
    // This is not so if something other than a kernel has started the program, such as an emulator.
    (end % 4096 == 0).then_some(end)
}

/// Returns the size up to which the stack of the process may grow now.
fn stack_limit() -> usize {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: the function writes one rlimit if it returns 0.
    if unsafe { libc::getrlimit(libc::RLIMIT_STACK, limit.as_mut_ptr()) } != 0 {
        return 0;
    }
    // SAFETY: the call succeeded, so it has written the limit.
    let limit = unsafe { limit.assume_init() };
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// Returns the lowest address and the end of this thread's stack, according to the C library.
fn thread_stack() -> Option<(usize, usize)> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: the call always succeeds (pthread_self(3)).
    let thread = unsafe { libc::pthread_self() };
    // SAFETY: the thread is running. The function initialises the attributes if it returns 0.
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
    fn a_thread_knows_how_much_stack_it_has_left() {
        // The C library may take a larger stack from its cache, but none of that size.
        const HUGE: usize = 64 << 20;
        assert!(on(256 * KIB, || StackLeft::<{ 128 * KIB }>::ask().is_ok()));
        assert!(on(256 * KIB, || StackLeft::<HUGE>::ask().is_err()));
        assert!(on(HUGE + 1024 * KIB, || StackLeft::<HUGE>::ask().is_ok()));
    }

    #[test]
    fn a_stack_that_was_asked_about_and_not_used_is_asked_about_again() {
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
