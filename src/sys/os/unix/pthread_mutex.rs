// SPDX-License-Identifier: MIT
//! The mutex of systems whose pthread_mutex_t is plain bytes.

use core::ptr;

/// The platform's mutex.
pub(crate) type RawMutex = libc::pthread_mutex_t;

/// A mutex that needs no initialisation at run time.
pub(crate) const RAW_MUTEX: RawMutex = libc::PTHREAD_MUTEX_INITIALIZER;

/// Makes a mutex in uninitialised memory.
///
/// # Safety
/// `mutex` is writable, and no thread uses it.
#[inline(never)]
pub(crate) unsafe fn init_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise. A system that needs memory for it may not have it; the mutex is
    // then one that gets ready when it is first locked.
    unsafe {
        if libc::pthread_mutex_init(mutex, ptr::null()) != 0 {
            mutex.write(RAW_MUTEX);
        }
    }
}

/// Ends a mutex.
///
/// # Safety
/// `mutex` is initialised, unlocked, and no thread uses it.
#[inline(never)]
pub(crate) unsafe fn destroy_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    unsafe { libc::pthread_mutex_destroy(mutex) };
}

/// Locks.
///
/// # Safety
/// `mutex` is initialised, and this thread does not hold it.
#[inline(never)]
pub(crate) unsafe fn lock_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise; a normal mutex that is not held by this thread cannot fail.
    unsafe { libc::pthread_mutex_lock(mutex) };
}

/// Locks if nobody else holds the mutex, and returns whether it did.
///
/// # Safety
/// As for [`lock_mutex`].
#[inline(never)]
pub(crate) unsafe fn try_lock_mutex(mutex: *mut RawMutex) -> bool {
    // SAFETY: the caller's promise.
    unsafe { libc::pthread_mutex_trylock(mutex) == 0 }
}

/// Unlocks.
///
/// # Safety
/// This thread holds `mutex`.
#[inline(never)]
pub(crate) unsafe fn unlock_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    unsafe { libc::pthread_mutex_unlock(mutex) };
}
