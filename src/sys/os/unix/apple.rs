// SPDX-License-Identifier: MIT
//! macOS and its kin.
//!
//! A pthread_mutex_t takes 64 bytes there, which is more than the public structs have room for. The
//! mutex is an os_unfair_lock, one word.

use core::ptr;

use super::errno::Errno;

/// There is no coarser one that clock_gettime() takes on every version.
pub(crate) const COARSE_CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;

/// Takes the memory away from behind a range of address space, which stays reserved: its next use
/// finds zeroes.
///
/// By a new mapping in the place of the old one. MADV_DONTNEED takes nothing away on this system,
/// and what MADV_FREE_REUSABLE took has to be announced before it is used again, or it is
/// miscounted. Returns whether its next use finds zeroes.
///
/// # Safety
/// `start` and `bytes` are whole pages of the system's in a reservation, and nobody uses them.
pub(crate) unsafe fn purge(start: *mut u8, bytes: usize) -> bool {
    let _errno = Errno::keep();
    // SAFETY: the caller's promise. If it fails, the old mapping stays.
    unsafe {
        libc::mmap(
            start.cast(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED,
            -1,
            0,
        ) != libc::MAP_FAILED
    }
}

/// Huge pages are only given to who asks for them.
///
/// # Safety
/// None is needed.
pub(crate) unsafe fn without_huge_pages(_start: *mut u8, _bytes: usize) {}

/// Whether the program has more rights than its user.
pub(crate) fn is_privileged() -> bool {
    // SAFETY: always callable.
    unsafe { libc::issetugid() != 0 }
}

/// The platform's mutex.
pub(crate) type RawMutex = libc::os_unfair_lock;

/// A mutex that needs no initialisation at run time.
pub(crate) const RAW_MUTEX: RawMutex = libc::OS_UNFAIR_LOCK_INIT;

/// Makes a mutex in uninitialised memory.
///
/// # Safety
/// `mutex` is writable, and no thread uses it.
pub(crate) unsafe fn init_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    unsafe { ptr::write(mutex, RAW_MUTEX) }
}

/// Ends a mutex.
///
/// # Safety
/// None is needed: it holds nothing.
pub(crate) unsafe fn destroy_mutex(_mutex: *mut RawMutex) {}

/// Locks.
///
/// # Safety
/// `mutex` is initialised, and this thread does not hold it.
#[inline]
pub(crate) unsafe fn lock_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    unsafe { libc::os_unfair_lock_lock(mutex) }
}

/// Locks if nobody holds the mutex, and returns whether it did.
///
/// # Safety
/// As for [`lock_mutex`].
pub(crate) unsafe fn try_lock_mutex(mutex: *mut RawMutex) -> bool {
    // SAFETY: the caller's promise.
    unsafe { libc::os_unfair_lock_trylock(mutex) }
}

/// Unlocks.
///
/// # Safety
/// This thread holds `mutex`.
#[inline]
pub(crate) unsafe fn unlock_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    unsafe { libc::os_unfair_lock_unlock(mutex) }
}
