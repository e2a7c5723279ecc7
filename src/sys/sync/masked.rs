// SPDX-License-Identifier: MIT
//! A mutex that is locked across fork(), and whose holder no signal handler interrupts.
//!
//! Signals are held back while it is locked, so that its holder gets on, if it waits for nothing:
//! a fork may wait for it, also in a handler that has interrupted its thread with the heap's lock.
//! Holding signals back takes two calls of the system; it is for locks that are taken rarely, or
//! beside such calls.
//!
//! There are two of them whose holder waits for nothing: of the guards and of the statistics. Forks
//! lock them last. Those of groups and of the round over sleeping pools they lock first, as who has
//! them may wait for the heap's: so a fork that has interrupted who has that does not wait for another
//! fork that has one of these, and for any other thread [`MOST`] looks, as everybody does. No fork
//! waits for another one for more than [`FEW`] looks, see [`super::across_fork`]. What was left
//! locked the new process unlocks.
//!
//! A fork has the mutex without signals being held back, as the C library may not call its handlers
//! behind fork() (see [`super::forker`]).

use core::cell::UnsafeCell;

#[cfg(unix)]
use super::across_fork::FEW;
use super::forker::{Ended, Forker};
#[cfg(unix)]
use super::look_again;
use super::{Lock, Mutex};
use crate::sys::os;

/// How many times a fork looks whether a thread gets on, which may wait for the heap's lock.
#[cfg(unix)]
const MOST: u32 = 10 * FEW;

/// See the head of this file.
#[repr(C)]
pub(crate) struct MaskedMutex {
    mutex: Mutex,
    /// What was held back before, for the holder to put back.
    before: UnsafeCell<os::SignalMask>,
    forker: Forker,
}

// SAFETY: the mask is only reached with the mutex locked.
unsafe impl Sync for MaskedMutex {}

impl MaskedMutex {
    /// A mutex for a static.
    pub(crate) const fn unlocked() -> MaskedMutex {
        MaskedMutex {
            mutex: Mutex::unlocked(),
            before: UnsafeCell::new(os::SignalMask::none()),
            forker: Forker::none(),
        }
    }

    /// The words that are used without the mutex: address and bytes.
    #[cfg(feature = "debug")]
    pub(crate) fn atomics(&self) -> (usize, usize) {
        ((&raw const self.forker).addr(), size_of::<Forker>())
    }

    /// Locks before fork(), and returns whether it has locked. `has_heap` says whether the fork interrupted who has the heap's lock.
    ///
    /// # Safety
    /// [`MaskedMutex::after_fork`] follows, or nothing of the library.
    #[cfg(unix)]
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn before_fork(&self, has_heap: fn() -> bool) -> bool {
        if self.forker.is_interrupted() {
            return false;
        }
        let mut looks = 0;
        // SAFETY: the mutex is initialised. As in a fork mutex, it is not waited for in the kernel.
        while !unsafe { self.mutex.try_lock() } {
            let most = match self.forker.is_some() {
                true if has_heap() => 0,
                true => FEW,
                false => MOST,
            };
            if looks >= most {
                return false;
            }
            look_again(&mut looks);
        }
        self.forker.begin();
        true
    }

    /// Unlocks behind fork(), in the process that forked or in the new one. Calls `held` before that,
    /// with which of the two it is, if it had locked, and returns whether it had.
    ///
    /// # Safety
    /// `before_fork` was called, in this thread or in the one that this process was forked from.
    #[cfg(unix)]
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn after_fork(&self, in_new_process: bool, held: fn(bool)) -> bool {
        // SAFETY: `before_fork` locked it; or the new process has one thread, which does not have
        // it, as that would not have been interrupted.
        unsafe {
            match self.forker.end() {
                Ended::With => {
                    held(in_new_process);
                    self.mutex.unlock_behind_fork(in_new_process);
                    return true;
                }
                Ended::Without if in_new_process => {
                    self.forker.is_given_up();
                    self.mutex.renew();
                }
                _ => {}
            }
        }
        false
    }

    /// Unlocks if a fork has the mutex, whose thread will not: the library is unloaded. Returns whether
    /// one had.
    ///
    /// # Safety
    /// No handler of fork() is called any more, and no other call uses what the mutex protects.
    #[cfg(unix)]
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn take_from_fork(&self) -> bool {
        let had = self.forker.is_given_up();
        if had {
            // SAFETY: that thread does not use it any more, and none waits for it in the kernel.
            unsafe { self.mutex.renew() }
        }
        had
    }
}

impl Lock for MaskedMutex {
    #[inline(never)]
    unsafe fn lock(&self) {
        let before = os::SignalMask::hold_back();
        // SAFETY: the caller's promise; the mask belongs to the mutex.
        unsafe {
            self.mutex.lock();
            self.before.get().write(before);
        }
    }

    #[inline(never)]
    unsafe fn try_lock(&self) -> bool {
        let before = os::SignalMask::hold_back();
        // SAFETY: as above.
        unsafe {
            let locked = self.mutex.try_lock();
            if locked {
                self.before.get().write(before);
            } else {
                before.put_back();
            }
            locked
        }
    }

    #[inline(never)]
    unsafe fn unlock(&self) {
        // SAFETY: the caller's promise; the mask is that of this thread.
        unsafe {
            let before = self.before.get().read();
            self.mutex.unlock();
            before.put_back();
        }
    }
}

#[cfg(all(test, unix, not(loom)))]
mod tests {
    use super::*;

    fn is_held_back(signal: core::ffi::c_int) -> bool {
        let mut set = core::mem::MaybeUninit::uninit();
        // SAFETY: the set is writable, and written before it is read.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_BLOCK, core::ptr::null(), set.as_mut_ptr());
            libc::sigismember(set.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn signals_wait_while_it_is_locked_but_faults_do_not() {
        static MUTEX: MaskedMutex = MaskedMutex::unlocked();
        // SAFETY: locked and unlocked in turn, by this thread.
        unsafe {
            for round in 0..2 {
                if round == 0 {
                    MUTEX.lock();
                } else {
                    assert!(MUTEX.try_lock());
                }
                assert!(is_held_back(libc::SIGUSR1) && is_held_back(libc::SIGALRM));
                assert!(!is_held_back(libc::SIGSEGV) && !is_held_back(libc::SIGABRT));
                assert!(!MUTEX.try_lock());
                assert!(is_held_back(libc::SIGUSR1));
                MUTEX.unlock();
                assert!(!is_held_back(libc::SIGUSR1));
            }
        }
    }

    #[test]
    fn a_fork_has_it_and_one_within_leaves_it() {
        static MUTEX: MaskedMutex = MaskedMutex::unlocked();
        // SAFETY: as the C library calls them.
        unsafe {
            MUTEX.before_fork(|| false);
            assert!(!is_held_back(libc::SIGUSR1));
            assert!(!MUTEX.try_lock());
            MUTEX.before_fork(|| false);
            MUTEX.after_fork(true, |_| ());
            assert!(!MUTEX.try_lock());
            MUTEX.after_fork(true, |_| ());
            assert!(MUTEX.try_lock());
            MUTEX.unlock();
            MUTEX.before_fork(|| false);
            MUTEX.take_from_fork();
            MUTEX.after_fork(false, |_| ());
            assert!(MUTEX.try_lock());
            MUTEX.unlock();
        }
    }
}
