//! The heap's lock is held across fork(), so that the child process finds the heap in order.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::HEAP;
use crate::os;
use crate::sync::rank;

static HELD_ACROSS_FORK: AtomicBool = AtomicBool::new(false);

/// Arranges, before the first chunk is reserved, that the heap's lock is held across fork(). If there is
/// no memory for it, the next chunk tries again.
pub(super) fn hold_across_fork() {
    // Relaxed: the flag only keeps a second thread from doing the same.
    if HELD_ACROSS_FORK.load(Relaxed) || HELD_ACROSS_FORK.swap(true, Relaxed) {
        return;
    }
    if !os::around_fork(before_fork, after_fork) {
        HELD_ACROSS_FORK.store(false, Relaxed);
    }
}

unsafe extern "C" fn before_fork() {
    // SAFETY: fork() is not called from within the library, so this thread does not hold the lock.
    unsafe { HEAP.mutex.lock() };
    rank::heap_locked();
}

unsafe extern "C" fn after_fork() {
    rank::heap_unlocking();
    // SAFETY: `before_fork` locked it, in this thread or in the one that this process was forked from.
    unsafe { HEAP.mutex.unlock() };
}
