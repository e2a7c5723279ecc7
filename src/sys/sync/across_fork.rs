// SPDX-License-Identifier: MIT
//! A mutex that is locked across fork(), also by a fork in a signal handler that interrupted who
//! has it.
//!
//! The thread that forks waits until nobody else is inside, so that the new process finds in order
//! what the mutex protects. But a handler may have interrupted this very thread inside: then there
//! is nobody to wait for, and nothing to lock. What is protected is as the thread left it, in both
//! processes, and the thread goes on with it when the handler returns. Meanwhile neither process
//! may use it.
//!
//! There is one such mutex, the heap's. Two threads that were interrupted with one each, and fork,
//! would wait for each other. Who has another mutex that is locked across fork() is not interrupted:
//! [`super::masked`]. But there may be two copies of the library in the process, which do not know
//! of each other. So no wait for a thread that forks itself has no end:
//!
//! | who has the mutex | the fork waits | the new process |
//! |---|---|---|
//! | this thread | not at all | goes on with it behind the handler |
//! | another fork | [`FEW`] looks | finds all in order, as a fork changes nothing, and unlocks |
//! | a thread that was interrupted, and forks | [`MOST`] looks | may not use this heap, which is in the middle of something: it ends if it does |
//! | any other thread | until it is through | finds all in order |
//! | nobody that is noted | [`FEW`] looks | unlocks, see below |
//!
//! The mutex knows its holder. Between the lock and the note of who has it, and between the end of
//! the note and the unlock, lie a few instructions. Who finds a locked mutex without a holder there
//! is that holder, if no other thread has ever used the mutex. If one has, it waits for that one to
//! get through, and in the end takes it that there is none. Should that be wrong, a thread has the
//! mutex that is not there in the new process; but it had not begun, or was through.
//!
//! | word | meaning | written by |
//! |---|---|---|
//! | `holder` | the number of the thread that has the mutex, or 0 | that thread |
//! | `only_user` | the number of the first thread that used the mutex, or 0 | that thread |
//! | `is_shared` | another one has used it | any, before it locks |
//! | `forker` | the fork that has the mutex | see [`super::forker`] |
//! | `interrupted` | forks that are going on in signal handlers which interrupted the holder | the holder |
//! | `is_lost` | this process was forked while another thread had the mutex | the thread that forked |

// The model checker is not told of these words: they order nothing.
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, fence,
};

use super::forker::{Ended, Forker};
#[cfg(unix)]
use super::look_again;
use super::{Lock, Mutex};
use crate::sys::os;

/// How many times a fork looks, a millisecond apart, whether a thread gets on that waits for nothing
/// but a processor: longer than that takes on a machine with many threads for each.
#[cfg(unix)]
pub(super) const FEW: u32 = if cfg!(test) { 5 } else { 500 };
/// The same for a thread that may have waited so itself, and then forks.
#[cfg(unix)]
const MOST: u32 = 10 * FEW;

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
    forker: Forker,
    // Relaxed: it only ends a wait.
    interrupted: AtomicU32,
    // Relaxed: it is set while the process has one thread.
    is_lost: AtomicBool,
}

impl ForkMutex {
    /// A mutex for a static.
    pub(crate) const fn unlocked() -> ForkMutex {
        ForkMutex {
            mutex: Mutex::unlocked(),
            holder: AtomicUsize::new(0),
            only_user: AtomicUsize::new(0),
            is_shared: AtomicBool::new(false),
            forker: Forker::none(),
            interrupted: AtomicU32::new(0),
            is_lost: AtomicBool::new(false),
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
    /// [`ForkMutex::after_fork`] follows, or nothing of the library.
    #[cfg(unix)]
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn before_fork(&self) -> bool {
        if self.forker.is_interrupted() {
            return false;
        }
        let mut looks = 0;
        // SAFETY: the mutex is locked only if another thread has it, or none.
        while !unsafe { self.try_lock() } {
            fence(SeqCst);
            let most = match self.holder.load(Relaxed) {
                holder if holder == os::thread_id() => {
                    self.interrupted.fetch_add(1, Relaxed);
                    return false;
                }
                _ if self.forker.is_some() => FEW,
                0 if self.is_shared.load(Relaxed) => FEW,
                0 => 0,
                _ if self.interrupted.load(Relaxed) != 0 => MOST,
                _ => u32::MAX,
            };
            if looks >= most {
                return false;
            }
            // Not in the kernel: who unloads the library may take it from the thread that has it.
            look_again(&mut looks);
            if most == u32::MAX {
                looks = looks.min(1);
            }
        }
        self.forker.begin();
        true
    }

    /// Whether this thread was interrupted while it has the mutex.
    #[cfg(unix)]
    pub(crate) fn is_interrupted(&self) -> bool {
        self.holder.load(Relaxed) == os::thread_id() && !self.forker.is_some()
    }

    /// Unlocks behind fork(), in the process that forked or in the new one, unless `before_fork`
    /// left the mutex alone. Calls `held` before it unlocks.
    ///
    /// # Safety
    /// `before_fork` was called, in this thread or in the one that this process was forked from.
    #[cfg(unix)]
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn after_fork(&self, in_new_process: bool, held: fn()) {
        match self.forker.end() {
            Ended::With => {
                held();
                self.holder.store(0, Relaxed);
                // SAFETY: `before_fork` locked it.
                unsafe { self.mutex.unlock_behind_fork(in_new_process) }
            }
            Ended::Within => {}
            Ended::Without => match self.holder.load(Relaxed) {
                holder if holder == os::thread_id() => {
                    self.interrupted.fetch_sub(1, Relaxed);
                }
                _ if !in_new_process => {}
                // Whoever had the mutex has not used what it protects. Should it be this thread,
                // there is nobody to keep out.
                holder if holder == 0 || self.forker.is_some() => {
                    self.forker.is_given_up();
                    self.holder.store(0, Relaxed);
                    // SAFETY: the new process has one thread.
                    unsafe { self.mutex.renew() }
                }
                _ => self.is_lost.store(true, Relaxed),
            },
        }
    }

    /// In a new process, of a mutex that is not locked for it: calls `free` with the mutex locked if
    /// nobody had it, and unlocks it if another thread had. Returns whether it was free.
    ///
    /// # Safety
    /// The process was forked from this thread, and has no other one.
    #[cfg(all(unix, feature = "debug"))]
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn in_new_process(&self, free: impl FnOnce()) -> bool {
        // SAFETY: the caller's promise. Should this thread have the mutex and not have noted it yet,
        // there is nobody to keep out.
        unsafe {
            let was_free = self.try_lock();
            if was_free {
                free();
                self.unlock();
            } else if self.holder.load(Relaxed) != os::thread_id() {
                self.holder.store(0, Relaxed);
                self.mutex.renew();
            }
            was_free
        }
    }

    /// Unlocks if a fork has the mutex, whose thread will not: the library is unloaded.
    ///
    /// # Safety
    /// No handler of fork() is called any more, and no other call uses what the mutex protects.
    #[cfg(unix)]
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn take_from_fork(&self) {
        if self.forker.is_given_up() {
            self.holder.store(0, Relaxed);
            // SAFETY: that thread does not use it any more, and none waits for it in the kernel.
            unsafe { self.mutex.renew() }
        }
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

    /// Waits for the mutex.
    #[cold]
    #[inline(never)]
    unsafe fn wait_and_lock(&self) {
        if self.is_lost.load(Relaxed) {
            os::say(b"mesa-slab: the heap is lost to this process, which was forked beside a signal handler in it\n");
            os::abort();
        }
        // SAFETY: the caller's promise.
        unsafe { self.mutex.lock() }
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
        unsafe {
            // A model need not see both ways.
            if cfg!(loom) || !self.mutex.try_lock() {
                self.wait_and_lock();
            }
        }
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

    /// What a fork in a signal handler does to a mutex that its thread has.
    unsafe fn fork_within(mutex: &ForkMutex) {
        // SAFETY: as the C library calls them.
        unsafe {
            assert!(!mutex.before_fork());
            mutex.after_fork(false, || unreachable!());
            assert!(!mutex.mutex.try_lock(), "it is still locked");
        }
    }

    #[test]
    fn a_fork_within_leaves_the_mutex_as_it_is() {
        static MUTEX: ForkMutex = ForkMutex::unlocked();
        // SAFETY: locked and unlocked in turn, by this thread.
        unsafe {
            MUTEX.lock();
            fork_within(&MUTEX);
            MUTEX.unlock();
            // A handler that interrupts the fork, and forks itself; also in what that forks.
            assert!(MUTEX.before_fork());
            fork_within(&MUTEX);
            fork_within(&MUTEX);
            static UNLOCKS: AtomicU32 = AtomicU32::new(0);
            fn note() {
                UNLOCKS.fetch_add(1, Relaxed);
            }
            MUTEX.after_fork(false, note);
            assert_eq!(UNLOCKS.load(Relaxed), 1);
            assert!(MUTEX.try_lock());
            MUTEX.unlock();
        }
    }

    #[test]
    fn who_is_about_to_note_the_lock_is_not_waited_for_forever() {
        static MUTEX: ForkMutex = ForkMutex::unlocked();
        // SAFETY: as above.
        unsafe {
            MUTEX.announce(os::thread_id());
            assert!(MUTEX.mutex.try_lock());
            fork_within(&MUTEX);
            assert!(!MUTEX.is_shared.load(Relaxed));
            std::thread::scope(|scope| scope.spawn(|| assert!(!MUTEX.try_lock())).join()).unwrap();
            assert!(MUTEX.is_shared.load(Relaxed));
            fork_within(&MUTEX);
            MUTEX.unlock();
        }
    }

    #[test]
    fn forks_of_two_threads_do_not_take_each_others_locks_for_their_own() {
        static MUTEX: ForkMutex = ForkMutex::unlocked();
        // SAFETY: locked and unlocked in turn.
        unsafe {
            // One that has left the mutex alone, as if it had waited long enough; then another one.
            MUTEX.announce(os::thread_id());
            std::thread::scope(|scope| scope.spawn(|| MUTEX.announce(os::thread_id())).join())
                .unwrap();
            assert!(MUTEX.mutex.try_lock());
            assert!(!MUTEX.before_fork());
            MUTEX.mutex.unlock();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    assert!(MUTEX.before_fork());
                    MUTEX.after_fork(false, || ());
                });
            });
            MUTEX.after_fork(false, || unreachable!());
            assert!(MUTEX.try_lock());
            MUTEX.unlock();
        }
    }

    #[test]
    fn a_new_process_unlocks_what_a_thread_has_that_is_not_there() {
        static MUTEX: ForkMutex = ForkMutex::unlocked();
        // SAFETY: the other thread has ended with the mutex locked, as in a new process.
        unsafe {
            std::thread::scope(|scope| scope.spawn(|| MUTEX.lock()).join()).unwrap();
            assert!(!MUTEX.in_new_process(|| unreachable!()));
            let mut is_called = false;
            assert!(MUTEX.in_new_process(|| is_called = true) && is_called);
            // What this thread has, it keeps.
            MUTEX.lock();
            assert!(!MUTEX.in_new_process(|| unreachable!()));
            assert!(!MUTEX.before_fork());
            MUTEX.after_fork(true, || unreachable!());
            assert!(!MUTEX.mutex.try_lock());
            MUTEX.unlock();
            assert!(!MUTEX.is_lost.load(Relaxed));
        }
    }

    #[test]
    fn a_fork_waits_for_a_holder_that_forks_and_then_goes_on() {
        static MUTEX: ForkMutex = ForkMutex::unlocked();
        // SAFETY: as the C library calls them.
        unsafe {
            // It is interrupted, forks, and waits for something meanwhile.
            std::thread::scope(|scope| {
                scope
                    .spawn(|| {
                        MUTEX.lock();
                        assert!(!MUTEX.before_fork());
                    })
                    .join()
                    .unwrap();
            });
            assert!(!MUTEX.is_interrupted());
            assert!(!MUTEX.before_fork());
            MUTEX.after_fork(false, || unreachable!());
            assert!(!MUTEX.is_lost.load(Relaxed));
            assert!(!MUTEX.before_fork());
            MUTEX.after_fork(true, || unreachable!());
            assert!(MUTEX.is_lost.load(Relaxed));
        }
    }

    #[test]
    fn a_fork_waits_for_another_one_and_then_goes_on() {
        static MUTEX: ForkMutex = ForkMutex::unlocked();
        // SAFETY: as the C library calls them.
        unsafe {
            std::thread::scope(|scope| scope.spawn(|| assert!(MUTEX.before_fork())).join())
                .unwrap();
            assert!(!MUTEX.before_fork());
            MUTEX.after_fork(false, || unreachable!());
            assert!(!MUTEX.mutex.try_lock());
            // The new process finds it in order.
            MUTEX.after_fork(true, || unreachable!());
            assert!(!MUTEX.is_lost.load(Relaxed));
            assert!(MUTEX.try_lock());
            assert!(MUTEX.is_interrupted());
            MUTEX.unlock();
            assert!(!MUTEX.is_interrupted());
        }
    }

    #[test]
    fn what_a_fork_has_that_does_not_come_back_is_taken_from_it() {
        static MUTEX: ForkMutex = ForkMutex::unlocked();
        // SAFETY: locked and unlocked in turn.
        unsafe {
            MUTEX.take_from_fork();
            std::thread::scope(|scope| scope.spawn(|| assert!(MUTEX.before_fork())).join())
                .unwrap();
            assert!(!MUTEX.try_lock());
            MUTEX.take_from_fork();
            assert!(MUTEX.try_lock());
            MUTEX.take_from_fork();
            assert!(!MUTEX.mutex.try_lock(), "it is no fork's");
            MUTEX.unlock();
            // If it comes back all the same, it unlocks nothing.
            assert!(MUTEX.before_fork());
            MUTEX.take_from_fork();
            MUTEX.after_fork(false, || unreachable!());
        }
    }
}
