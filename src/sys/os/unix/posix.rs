// SPDX-License-Identifier: MIT
//! Any other POSIX system.

use super::errno::Errno;
pub(crate) use super::pthread_mutex::*;

pub(crate) const COARSE_CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;

/// Lets the system take the memory away from behind a range of address space, which stays reserved:
/// its next use finds zeroes, or what was there. Returns whether it finds zeroes for certain.
///
/// # Safety
/// `start` and `bytes` are whole pages of the system's in a reservation, and nobody uses them.
pub(crate) unsafe fn purge(start: *mut u8, bytes: usize) -> bool {
    let _errno = Errno::keep();
    // SAFETY: the caller's promise. If it fails, the memory just stays.
    unsafe { libc::madvise(start.cast(), bytes, libc::MADV_DONTNEED) };
    false
}

/// No request for it is known.
///
/// # Safety
/// None is needed.
pub(crate) unsafe fn without_huge_pages(_start: *mut u8, _bytes: usize) {}

/// Whether the program has more rights than its user.
pub(crate) fn is_privileged() -> bool {
    // SAFETY: always callable.
    unsafe { libc::getuid() != libc::geteuid() || libc::getgid() != libc::getegid() }
}
