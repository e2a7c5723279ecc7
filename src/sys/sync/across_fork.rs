// SPDX-License-Identifier: MIT
//! A mutex that is locked across fork(), also by a fork in a signal handler.
//!
//! The thread that forks waits until nobody else is inside, so that the new process finds in order
//! what the mutex protects. But a handler may have interrupted this very thread inside: then there
//! is nobody to wait for, and nothing to lock. What is protected is as the thread left it, in both
//! processes, and the thread goes on with it when the handler returns. Meanwhile neither process
//! may use it.
//!
//! To tell the one from the other the mutex knows its holder. Between the lock and the note of who
//! has it, and between the end of the note and the unlock, lie a few instructions. Who finds a
//! locked mutex without a holder there is that holder, if no other thread has ever used the mutex.
//! If one has, it waits for that one to get through, and after [`MOST`] pauses takes it that there
//! is none.
//!
//! | word | meaning | written by |
//! |---|---|---|
//! | `holder` | the number of the thread that has the mutex, or 0 | that thread |
//! | `only_user` | the number of the first thread that used the mutex, or 0 | that thread |
//! | `is_shared` | another one has used it | any, before it locks |
//! | `passed` | forks that are going on in which `before_fork` left the mutex alone | the thread that has the mutex, whose handlers nest |

// The model checker is not told of these words: they order nothing.
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, fence,
};

use super::{Lock, Mutex};
use crate::sys::os;

/// How many times a thread looks for the holder, a millisecond apart.
#[cfg(unix)]
const MOST: u32 = 20;

/// See the head of this file.
#[repr(C)]
pub(crate) struct ForkMutex {
    mutex: Mutex,
    // Relaxed: a thread compares it with its own number, which only that thread stores. It sees the
    // 0 of the thread that had the mutex before, as that stands before the unlock.
    holder: AtomicUsize,
    // SeqCst where they change, which is once: a thread that finds the mutex locked by another one
    // sees what that one did before.
    only_user: AtomicUsize,
    is_shared: AtomicBool,
    // Relaxed: used by one thread.
    passed: AtomicU32,
}

impl ForkMutex {
    /// A mutex for a static.
    pub(crate) const fn unlocked() -> ForkMutex {
        ForkMutex {
            mutex: Mutex::unlocked(),
            holder: AtomicUsize::new(0),
            only_user: AtomicUsize::new(0),
            is_shared: AtomicBool::new(false),
            passed: AtomicU32::new(0),
        }
    }

    /// The words that are used without the mutex: address and bytes.
    #[cfg(feature = "debug")]
    pub(crate) fn atomics(&self) -> (usize, usize) {
        let start = (&raw const self.holder).addr();
        (start, (&raw const *self).addr() + size_of::<ForkMutex>() - start)
    }

    /// Locks before fork(), unless the fork interrupted this thread while it has the mutex. Returns
    /// whether it has locked it.
    ///
    /// # Safety
    /// This thread holds no lock of a later rank. [`ForkMutex::after_fork`] follows.
    #[cfg(unix)]
    pub(crate) unsafe fn before_fork(&self) -> bool {
        let mut pauses = 0;
        // SAFETY: the caller's promise; the mutex is locked only if another thread has it, or none.
        while !unsafe { self.try_lock() } {
            fence(SeqCst);
            let holder = self.holder.load(Relaxed);
            let is_mine = holder == os::thread_id() || holder == 0 && !self.is_shared.load(Relaxed);
            if is_mine || pauses == MOST {
                self.passed.fetch_add(1, Relaxed);
                return false;
            }
            if holder != 0 {
                // SAFETY: as above.
                unsafe { self.lock() };
                break;
            }
            pauses += 1;
            os::pause();
        }
        true
    }

    /// Unlocks behind fork(), in the process that forked or in the new one, unless `before_fork`
    /// left the mutex alone. Returns whether it had locked it, and calls `held` before it unlocks.
    ///
    /// # Safety
    /// `before_fork` was called, in this thread or in the one that this process was forked from.
    #[cfg(unix)]
    pub(crate) unsafe fn after_fork(&self, in_new_process: bool, held: impl FnOnce()) -> bool {
        if self.passed.load(Relaxed) != 0 {
            self.passed.fetch_sub(1, Relaxed);
            return false;
        }
        held();
        self.holder.store(0, Relaxed);
        // SAFETY: `before_fork` locked it.
        unsafe { self.mutex.unlock_behind_fork(in_new_process) }
        true
    }
}

impl ForkMutex {
    /// Notes who is about to lock.
    #[inline]
    fn announce(&self, own: usize) {
        if !self.is_shared.load(Relaxed) && self.only_user.load(Relaxed) != own {
            self.announce_other(own);
        }
    }

    #[cold]
    fn announce_other(&self, own: usize) {
        if self.only_user.compare_exchange(0, own, SeqCst, SeqCst).is_err() {
            self.is_shared.swap(true, SeqCst);
        }
    }
}

impl Lock for ForkMutex {
    unsafe fn lock(&self) {
        let own = os::thread_id();
        self.announce(own);
        // SAFETY: the caller's promise.
        unsafe { self.mutex.lock() }
        self.holder.store(own, Relaxed);
    }

    unsafe fn try_lock(&self) -> bool {
        let own = os::thread_id();
        self.announce(own);
        // SAFETY: the caller's promise.
        let locked = unsafe { self.mutex.try_lock() };
        if locked {
            self.holder.store(own, Relaxed);
        }
        locked
    }

    unsafe fn unlock(&self) {
        self.holder.store(0, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { self.mutex.unlock() }
    }
}

#[cfg(all(test, unix, not(loom)))]
mod tests {
    use super::*;

    static MUTEX: ForkMutex = ForkMutex::unlocked();

    #[test]
    fn a_fork_within_leaves_the_mutex_as_it_is() {
        // SAFETY: locked and unlocked in turn, by this thread.
        unsafe {
            MUTEX.lock();
            assert!(!MUTEX.before_fork());
            assert!(!MUTEX.before_fork());
            assert!(!MUTEX.after_fork(false, || unreachable!()));
            assert!(!MUTEX.after_fork(true, || unreachable!()));
            assert!(!MUTEX.mutex.try_lock(), "it is still locked");
            MUTEX.unlock();
            assert!(MUTEX.before_fork());
            // A handler that interrupts the fork, and forks itself.
            assert!(!MUTEX.before_fork());
            assert!(!MUTEX.after_fork(false, || ()));
            assert!(MUTEX.after_fork(false, || ()));
            // Between the lock and the note of who has it; then, as another thread may be there.
            assert!(MUTEX.mutex.try_lock());
            assert!(!MUTEX.before_fork());
            assert!(!MUTEX.after_fork(false, || ()));
            assert!(!MUTEX.is_shared.load(Relaxed));
            std::thread::scope(|scope| scope.spawn(|| assert!(!MUTEX.try_lock())).join()).unwrap();
            assert!(MUTEX.is_shared.load(Relaxed));
            assert!(!MUTEX.before_fork());
            assert!(!MUTEX.after_fork(false, || ()));
            MUTEX.unlock();
            assert!(MUTEX.try_lock());
            MUTEX.unlock();
        }
    }
}
