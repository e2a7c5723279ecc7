// SPDX-License-Identifier: MIT
//! Who did something to an object, where the handler of faults may read it while it is written.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::base::layout::{Field, layout};
use crate::sys::os;
use crate::watch::debug::stacks::Stack;
use crate::watch::debug::table::User;

/// A thread and its stack at some moment; nothing if the thread is 0.
#[repr(C)]
pub(crate) struct Record {
    thread: AtomicUsize,
    stack: AtomicUsize,
}

/// For a walker outside of the process.
pub(super) const LAYOUT: &[Field] = layout!("guard user", Record: thread, stack);

// Relaxed in all of this file: records are written under the lock of the guards; whoever reads them
// without takes what there is.
impl Record {
    /// Notes who it was.
    pub(crate) fn note(&self, user: User) {
        self.stack.store(user.stack.number(), Relaxed);
        self.thread.store(user.thread, Relaxed);
    }

    /// What was noted.
    pub(crate) fn user(&self) -> User {
        let stack = Stack::numbered(self.stack.load(Relaxed));
        User { thread: self.thread.load(Relaxed), stack }
    }
}

/// This thread and its stack. No lock is held.
pub(crate) fn here() -> User {
    User { thread: os::thread_id(), stack: Stack::here() }
}
