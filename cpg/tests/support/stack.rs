//! The end of a stack.

use std::ptr;
use std::thread;

pub const KIB: usize = 1 << 10;

/// Returns the end of the stack of this thread.
pub fn stack_end() -> usize {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut low, mut size) = (ptr::null_mut(), 0);
    // SAFETY: it always succeeds.
    let thread = unsafe { libc::pthread_self() };
    // SAFETY: the thread runs, as it is this one, and the attributes are written.
    assert_eq!(unsafe { libc::pthread_getattr_np(thread, attributes.as_mut_ptr()) }, 0);
    // SAFETY: the attributes have been written.
    assert_eq!(unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut low, &raw mut size) }, 0);
    // SAFETY: the attributes have been written, and are not used again.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    low.addr()
}

/// Calls `work` so deep in the stack that at most `left` bytes are left.
pub fn descend<T>(end: usize, left: usize, work: impl FnOnce() -> T) -> T {
    let here = std::hint::black_box([0_u8; 1024]);
    let result = if ptr::from_ref(&here).addr() - end <= left { work() } else { descend(end, left, work) };
    std::hint::black_box(here);
    result
}

/// Runs `work` on a thread that has a little less than `left` bytes of stack.
///
/// A stack of that size is not enough, because glibc may take a larger one from its cache.
pub fn on_stack<T: Send>(left: usize, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let run = move || descend(stack_end(), left, work);
        let thread = thread::Builder::new().stack_size(left + 64 * KIB).spawn_scoped(scope, run);
        thread.unwrap().join().unwrap()
    })
}

/// Runs `work` with a little less than `left` bytes of stack. Below the stack is one guard page, and then memory that
/// must not be written. Returns the number of bytes of that memory that were written.
///
/// The thread is made as in C, because std puts a signal stack below.
pub fn on_guarded_stack<T>(left: usize, work: impl FnOnce() -> T) -> (T, usize) {
    const BELOW: usize = 128 * KIB;
    const GUARD: usize = 4 * KIB;
    const STACK: usize = 256 * KIB;
    const MARK: u8 = 0xa5;
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: the kernel chooses an address that nothing is mapped at.
    let all = unsafe { libc::mmap(ptr::null_mut(), BELOW + GUARD + STACK, access, flags, -1, 0) };
    assert_ne!(all, libc::MAP_FAILED);
    // SAFETY: it was mapped above, and there is no reference to it.
    unsafe { all.cast::<u8>().write_bytes(MARK, BELOW) };
    // SAFETY: within what was mapped.
    let guard = unsafe { all.byte_add(BELOW) };
    // SAFETY: it was mapped above, and there is no reference to it.
    assert_eq!(unsafe { libc::mprotect(guard, GUARD, libc::PROT_NONE) }, 0);
    // SAFETY: within what was mapped.
    let stack = unsafe { guard.byte_add(GUARD) };

    let (mut result, mut work) = (None, Some(work));
    let mut run = || result = work.take().map(|work| descend(stack.addr(), left, work));
    let mut run: &mut dyn FnMut() = &mut run;
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    let mut thread = 0;
    // SAFETY: the attributes are written.
    assert_eq!(unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) }, 0);
    // SAFETY: the attributes have been written, and the stack is mapped.
    assert_eq!(unsafe { libc::pthread_attr_setstack(attributes.as_mut_ptr(), stack, STACK) }, 0);
    // SAFETY: the attributes have been written, and the closure lives until the thread has been joined.
    let code =
        unsafe { libc::pthread_create(&raw mut thread, attributes.as_ptr(), start, (&raw mut run).cast()) };
    assert_eq!(code, 0);
    // SAFETY: the thread was made, and is joined once.
    assert_eq!(unsafe { libc::pthread_join(thread, ptr::null_mut()) }, 0);
    // SAFETY: mapped and initialised, aligned, and no thread has it any more.
    let below = unsafe { all.cast::<[u8; BELOW]>().as_ref() }.expect("it was mapped");
    let written = below.iter().filter(|byte| **byte != MARK).count();
    // SAFETY: it was mapped above, and it is not used any more.
    unsafe { libc::munmap(all, BELOW + GUARD + STACK) };
    (result.expect("it was run"), written)
}

extern "C" fn start(run: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: the closure lives until the thread has been joined, and no other thread uses it meanwhile.
    let run = unsafe { &mut *run.cast::<&mut dyn FnMut()>() };
    run();
    ptr::null_mut()
}
