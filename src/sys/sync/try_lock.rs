// SPDX-License-Identifier: MIT
//! A lock that nobody waits for: who finds it taken goes elsewhere.
//!
//! It is one word, the number of the thread that has it, and so is given back by a store, which
//! takes half the time of a mutex. Tools that know threads by their mutexes have one here beside it.

use core::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use super::Mutex;
use crate::sys::os;

/// See the head of this file.
#[repr(C)]
pub(crate) struct TryLock {
    // Acquire and Release where there is no mutex: what the lock protects was written by another.
    holder: AtomicUsize,
    mutex: Mutex,
}

impl TryLock {
    /// Makes a lock in memory of any content.
    ///
    /// # Safety
    /// `this` is writable, and no thread uses it.
    pub(crate) unsafe fn init(this: *mut TryLock) {
        // SAFETY: the caller's promise.
        unsafe {
            (&raw mut (*this).holder).write(AtomicUsize::new(0));
            Mutex::init(&raw mut (*this).mutex);
        }
    }

    /// Ends the lock.
    ///
    /// # Safety
    /// No thread uses it from now on.
    pub(crate) unsafe fn destroy(&self) {
        // SAFETY: the caller's promise; a thread that has it, which is not there any more or will
        // not come back, does not use it.
        unsafe {
            if self.holder.load(Relaxed) == 0 {
                self.mutex.destroy();
            }
        }
    }

    /// Takes the lock for the thread of this number if nobody has it, and returns whether it did.
    #[inline(always)]
    pub(crate) fn try_lock(&self, thread: usize) -> bool {
        if os::is_watched() {
            return self.try_lock_watched(thread);
        }
        self.holder.compare_exchange(0, thread, Acquire, Relaxed).is_ok()
    }

    #[cold]
    #[inline(never)]
    fn try_lock_watched(&self, thread: usize) -> bool {
        // SAFETY: the mutex is initialised.
        let locked = unsafe { self.mutex.try_lock() };
        if locked {
            self.holder.store(thread, Relaxed);
        }
        locked
    }

    /// Gives it back.
    ///
    /// # Safety
    /// This thread has it.
    #[inline(always)]
    pub(crate) unsafe fn unlock(&self) {
        self.holder.store(0, Release);
        if os::is_watched() {
            // SAFETY: the caller's promise.
            unsafe { self.mutex.unlock() }
        }
    }

    /// The number of the thread that has it, or 0.
    pub(crate) fn holder(&self) -> usize {
        // Relaxed: a thread compares it with its own number, which only that thread stores.
        self.holder.load(Relaxed)
    }
}
