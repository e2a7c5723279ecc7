// SPDX-License-Identifier: MIT
//! Zeroing an object that was just allocated.
//!
//! Most objects that drivers want zeroed have about a hundred bytes. For those a call of `memset`
//! takes longer than the stores do: it has to find out how many bytes there are, in another
//! library.

/// Zeroes `bytes` bytes.
///
/// # Safety
/// The bytes are the caller's.
#[inline(always)]
pub(crate) unsafe fn zero(object: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise; the two halves overlap, and lie within the object.
    unsafe {
        match bytes {
            33..=64 => both_ends::<32>(object, bytes),
            65..=128 => both_ends::<64>(object, bytes),
            _ => object.write_bytes(0, bytes),
        }
    }
}

/// Zeroes the first and the last `N` bytes.
///
/// # Safety
/// There are at least `N` bytes, and they are the caller's.
#[inline(always)]
unsafe fn both_ends<const N: usize>(object: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        object.write_bytes(0, N);
        object.add(bytes - N).write_bytes(0, N);
    }
}
