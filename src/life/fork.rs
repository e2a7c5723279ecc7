// SPDX-License-Identifier: MIT
//! The locks of the heap, of the guards and of the recording are held across fork(), so that the
//! child process finds what they protect in order. A fork in a signal handler that interrupted the
//! library leaves them as they are: [`crate::sys::sync::across_fork::ForkMutex`].
//!
//! The hooks are set when the library is loaded: at its first use it would be too late for a thread
//! that forks just then. Should there be no memory for them, a few words when the program starts,
//! forking is as unsafe as without. When the library is unloaded the C library drops them.

use crate::heap::HEAP;
use crate::hooks;
use crate::sys::os;

/// To be called when the library is loaded.
pub(super) fn at_load() {
    os::around_fork(before_fork, after_fork, after_fork_in_child);
}

unsafe extern "C" fn before_fork() {
    // SAFETY: the C library calls one of the two functions below.
    unsafe {
        hooks::before_fork();
        HEAP.before_fork();
    }
}

unsafe extern "C" fn after_fork() {
    // SAFETY: `before_fork` was called in this thread.
    unsafe { unlock(false) }
}

unsafe extern "C" fn after_fork_in_child() {
    // SAFETY: `before_fork` was called in the thread that this process was forked from.
    unsafe { unlock(true) }
}

/// # Safety
/// `before_fork` was called, in this thread or in the one that this process was forked from.
unsafe fn unlock(in_new_process: bool) {
    // SAFETY: the caller's promise.
    unsafe {
        HEAP.after_fork(in_new_process);
        hooks::after_fork(in_new_process);
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
