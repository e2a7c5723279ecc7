//! The heap's lock, that of the guards and that of the recording are held across fork(), so that the child process finds them in order.
//!
//! The hooks are set when the library is loaded: at its first use it would be too late for a thread that
//! forks just then. Should there be no memory for them, a few words when the program starts, forking is
//! as unsafe as without. When the library is unloaded the C library drops them.

use super::HEAP;
use crate::guard;
use crate::os;
use crate::report;
use crate::sync::rank;
use crate::trace;

#[used]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
static AT_LOAD: extern "C" fn() = at_load;

extern "C" fn at_load() {
    os::around_fork(before_fork, after_fork, after_fork_in_child);
}

pub(super) unsafe extern "C" fn before_fork() {
    // SAFETY: fork() is not called from within the library, so this thread does not hold the locks.
    unsafe {
        trace::before_fork();
        guard::before_fork();
        HEAP.mutex.lock();
    }
    rank::heap_locked();
}

pub(super) unsafe extern "C" fn after_fork() {
    rank::heap_unlocking();
    // SAFETY: `before_fork` locked them, in this thread or in the one that this process was forked from.
    unsafe {
        HEAP.mutex.unlock();
        guard::after_fork();
        trace::after_fork();
    }
    // For a child that changes its environment.
    report::look_again();
}

#[cfg(not(target_vendor = "apple"))]
use after_fork as after_fork_in_child;

#[cfg(target_vendor = "apple")]
unsafe extern "C" fn after_fork_in_child() {
    rank::heap_unlocking();
    // SAFETY: `before_fork` locked it in the thread that this process was forked from.
    unsafe { HEAP.mutex.unlock_in_forked_child() };
    report::look_again();
}
