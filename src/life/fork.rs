// SPDX-License-Identifier: MIT
//! The locks of the heap, of groups, of the round over sleeping pools, of the guards and of the
//! statistics are held across fork(), so that the child process finds what they protect in order.
//!
//! Those of groups and of the round come first, as who has them may wait for the heap's; then that; then those whose
//! holders wait for nothing. Who forks in a signal handler that interrupted the library may have the
//! heap's, and then leaves it as it is ([`crate::sys::sync::across_fork`]). Who has one of the others
//! is never interrupted ([`crate::sys::sync::masked`]). A recording is over in the child process,
//! whatever happened to it, and needs no lock.
//!
//! The hooks are set when the library is loaded: at its first use it would be too late for a thread
//! that forks just then. Should there be no memory for them, a few words when the program starts,
//! forking is as unsafe as without. When the library is unloaded the C library drops them, before
//! the library's own destructor runs. A thread that forks just then may be inside of a hook, or
//! have the locks and not come back to unlock them; [`at_unload`] sees to both.

use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

#[cfg(not(loom))]
use crate::groups;
use crate::heap::HEAP;
use crate::hooks;
use crate::pool::sleepers;
use crate::sys::os;

/// So many pauses, of a millisecond, the library waits for threads that are inside of a hook.
const MOST: u32 = 1000;

/// How many threads are inside of a hook.
// SeqCst: who unloads sees a thread, or the thread has not yet begun. The model checker is not told
// of it: it orders nothing.
static INSIDE: AtomicU32 = AtomicU32::new(0);

/// To be called when the library is loaded.
pub(super) fn at_load() {
    os::around_fork(before_fork, after_fork, after_fork_in_child);
}

/// Calls `work`, and keeps the library from being unloaded meanwhile.
///
/// # Safety
/// As for `work`.
#[inline(never)]
unsafe fn inside(work: unsafe fn()) {
    INSIDE.fetch_add(1, SeqCst);
    // SAFETY: the caller's promise.
    unsafe { work() };
    INSIDE.fetch_sub(1, SeqCst);
}

unsafe extern "C" fn before_fork() {
    unsafe fn lock() {
        // SAFETY: the C library calls one of the two functions below, or none if it drops the hooks.
        unsafe {
            #[cfg(not(loom))]
            groups::before_fork();
            sleepers::before_fork();
            #[cfg(not(loom))]
            groups::lock_parents();
            HEAP.before_fork();
            hooks::before_fork();
        }
    }
    // SAFETY: as above.
    unsafe { inside(lock) }
}

unsafe extern "C" fn after_fork() {
    // SAFETY: `before_fork` was called in this thread.
    unsafe { inside(|| unlock(false)) }
}

unsafe extern "C" fn after_fork_in_child() {
    // No other thread came along.
    INSIDE.store(0, SeqCst);
    // SAFETY: `before_fork` was called in the thread that this process was forked from.
    unsafe { inside(|| unlock(true)) }
}

/// # Safety
/// `before_fork` was called, in this thread or in the one that this process was forked from.
#[inline(never)]
unsafe fn unlock(in_new_process: bool) {
    // SAFETY: the caller's promise.
    unsafe {
        hooks::after_fork(in_new_process);
        HEAP.after_fork(in_new_process);
        #[cfg(not(loom))]
        groups::unlock_parents(in_new_process);
        sleepers::after_fork(in_new_process);
        #[cfg(not(loom))]
        groups::after_fork(in_new_process);
    }
}

/// To be called when the library is unloaded, before it gives up what it has, and in the end. Waits
/// for threads that are inside of a hook, and takes the locks from forks that do not come back.
///
/// The process may also end in a signal handler that has interrupted this thread inside of a hook.
/// So the wait has an end.
#[cold]
#[inline(never)]
pub(super) fn at_unload() {
    for _ in 0..MOST {
        let is_last = INSIDE.load(SeqCst) == 0;
        // SAFETY: the hooks are dropped, or the process ends; no thread calls a library that is
        // unloaded.
        unsafe {
            HEAP.take_from_fork();
            hooks::take_from_forks();
            sleepers::take_from_fork();
            #[cfg(not(loom))]
            groups::take_from_fork();
        }
        if is_last {
            break;
        }
        os::pause();
    }
}

/// What fork() does, for the model checker: runs `forked` between the handlers.
#[cfg(loom)]
pub(crate) fn around_fork(forked: impl FnOnce(&crate::heap::State)) {
    // SAFETY: as the C library calls them.
    unsafe {
        before_fork();
        crate::heap::model::while_forking(forked);
        after_fork();
    }
}
