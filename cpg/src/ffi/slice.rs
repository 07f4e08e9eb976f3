//! C's pointers with a length, as slices.

/// The one way from C's pointer and length to a slice: null is fine where the length is zero.
///
/// # Safety
/// `len` values at `start` must be initialised and stay unwritten for `'a`.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) unsafe fn slice<'a, T>(start: *const T, len: usize) -> &'a [T] {
    if len == 0 || start.is_null() {
        return &[];
    }
    // SAFETY: not null, and the rest is the caller's promise.
    unsafe { std::slice::from_raw_parts(start, len) }
}

/// As [`slice()`], to be written.
///
/// # Safety
/// As [`slice()`], and nothing else may use the values for `'a`.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) unsafe fn slice_mut<'a, T>(start: *mut T, len: usize) -> &'a mut [T] {
    if len == 0 || start.is_null() {
        return &mut [];
    }
    // SAFETY: not null, and the rest is the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(start, len) }
}
