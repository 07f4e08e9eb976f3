//! Slices made from C's pointers and lengths.

/// Makes a slice of C's pointer and length. Null is allowed if the length is zero. All slices from C are made here.
///
/// # Safety
/// The `len` values at `start` must be initialised, and nothing may write them for `'a`.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) unsafe fn slice<'a, T>(start: *const T, len: usize) -> &'a [T] {
    if len == 0 || start.is_null() {
        return &[];
    }
    // SAFETY: not null, and the rest is the caller's promise.
    unsafe { std::slice::from_raw_parts(start, len) }
}

/// Makes a mutable slice, as [`slice()`] does.
///
/// # Safety
/// The contract of [`slice()`]. In addition, nothing else may use the values for `'a`.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) unsafe fn slice_mut<'a, T>(start: *mut T, len: usize) -> &'a mut [T] {
    if len == 0 || start.is_null() {
        return &mut [];
    }
    // SAFETY: not null, and the rest is the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(start, len) }
}
