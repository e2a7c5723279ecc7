// SPDX-License-Identifier: MIT
//! The lock under which the parents and children of groups are made, which is when they are first
//! used. One for all groups: nobody needs it twice for the same.
//!
//! It is of the first rank of locks, as a parent that is made is named, and held across fork. Who has
//! it is not interrupted by signal handlers.

use crate::heap::HEAP;
use crate::sys::sync::Lock;
use crate::sys::sync::masked::MaskedMutex;

static MUTEX: MaskedMutex = MaskedMutex::unlocked();

/// That the lock is held.
pub(super) struct Making(());

impl Making {
    /// Waits for the lock. No lock is held.
    pub(super) fn begin() -> Making {
        // SAFETY: this thread holds no lock, as no function of the library calls the program with one.
        unsafe { MUTEX.lock() }
        Making(())
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        // SAFETY: this exists only while its thread holds the lock.
        unsafe { MUTEX.unlock() }
    }
}

/// Returns whether the lock is held, and not left as a fork found it that could not wait.
///
/// # Safety
/// This thread holds no lock of a later rank.
#[cfg(unix)]
pub(super) unsafe fn before_fork() -> bool {
    // SAFETY: the caller's promise.
    unsafe { MUTEX.before_fork(|| HEAP.is_interrupted()) }
}

/// Calls `held` before it unlocks, if the lock is held, and returns whether it is.
///
/// # Safety
/// `before_fork` was called, in this thread or in the one that this process was forked from.
#[cfg(unix)]
pub(super) unsafe fn after_fork(in_new_process: bool, held: fn(bool)) -> bool {
    // SAFETY: the caller's promise.
    unsafe { MUTEX.after_fork(in_new_process, held) }
}

/// Takes the lock from a fork that does not come back, and returns whether one had it.
///
/// # Safety
/// As for [`MaskedMutex::take_from_fork`].
#[cfg(unix)]
pub(super) unsafe fn take_from_fork() -> bool {
    // SAFETY: the caller's promise.
    unsafe { MUTEX.take_from_fork() }
}

/// The words that are used without the lock: address and bytes.
#[cfg(feature = "debug")]
pub(super) fn atomics() -> (usize, usize) {
    MUTEX.atomics()
}
