// SPDX-License-Identifier: MIT
//! What is made of ordinary parents and children, and lies in the library's memory.
//!
//! | file | what it is |
//! |---|---|
//! | [`sizes`] | objects of any size, from a parent for each class of sizes |
//! | [`shared`] | objects of one size for any thread, from a child for each processor |
//! | `classes` | which sizes share a class |
//! | `making` | the lock under which parents of groups are made, held across fork |
//! | [`options`] | what callers choose |

#[cfg(unix)]
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[cfg(feature = "debug")]
use crate::sys::per_processor;

mod classes;
mod making;
pub(crate) mod options;
pub(crate) mod shared;
pub(crate) mod sizes;

/// Forks in signal handlers that interrupted another fork, or who makes a group. Relaxed: one thread
/// at a time forks with that lock.
#[cfg(unix)]
static WITHIN: AtomicUsize = AtomicUsize::new(0);

/// Locks before fork() what a thread that is not there any more would have locked in the new process;
/// but for the parents.
///
/// # Safety
/// This thread has none of the library's locks. [`lock_parents`] follows, when the process-wide locks
/// of an earlier rank are held.
#[cfg(unix)]
pub(crate) unsafe fn before_fork() {
    // SAFETY: the caller's promise.
    unsafe {
        if making::before_fork() {
            shared::take_slots();
        } else {
            WITHIN.fetch_add(1, Relaxed);
        }
    }
}

/// Locks the parents that are used without a child.
///
/// # Safety
/// [`before_fork`] was called, and no lock of a later rank is held than that of the round over pools.
#[cfg(unix)]
pub(crate) unsafe fn lock_parents() {
    if WITHIN.load(Relaxed) == 0 {
        // SAFETY: the caller's promise.
        unsafe { shared::lock_parents() }
    }
}

/// Unlocks them behind fork(), in the process that forked or in the new one.
///
/// # Safety
/// [`lock_parents`] was called, in this thread or in the one that this process was forked from.
#[cfg(unix)]
pub(crate) unsafe fn unlock_parents(in_new_process: bool) {
    if WITHIN.load(Relaxed) == 0 {
        // SAFETY: the caller's promise.
        unsafe { shared::unlock_parents(in_new_process) }
    }
}

/// Unlocks the rest behind fork().
///
/// # Safety
/// [`before_fork`] was called, in this thread or in the one that this process was forked from.
#[cfg(unix)]
pub(crate) unsafe fn after_fork(in_new_process: bool) {
    // SAFETY: the caller's promise.
    unsafe {
        if !making::after_fork(in_new_process, |_| shared::give_slots()) {
            WITHIN.fetch_sub(1, Relaxed);
        }
    }
}

/// Takes from a fork what it has, which does not come back.
///
/// # Safety
/// As for [`crate::sys::sync::masked::MaskedMutex::take_from_fork`].
#[cfg(unix)]
pub(crate) unsafe fn take_from_fork() {
    // SAFETY: the caller's promise.
    unsafe {
        if making::take_from_fork() {
            unlock_parents(false);
            shared::give_slots();
        }
    }
}

/// The words that are not under a lock: address and bytes of each row of them.
#[cfg(feature = "debug")]
pub(crate) fn atomics() -> [(usize, usize); 3] {
    [making::atomics(), shared::atomics(), per_processor::atomics()]
}
