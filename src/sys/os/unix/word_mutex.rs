// SPDX-License-Identifier: MIT
//! A mutex of one word, for systems whose pthread_mutex_t is a pointer to memory that the C library
//! takes when the mutex is made, or first locked: there, a pool whose memory goes unannounced
//! would leak it, and a lock could fail.
//!
//! The word is [`FREE`], [`LOCKED`], or [`CONTENDED`]: locked, and a thread may sleep until it is
//! not. Who takes the mutex after having slept cannot know whether others still do, and so leaves
//! CONTENDED. This is the third mutex of U. Drepper's "Futexes Are Tricky" (2011).

use core::ptr;
use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use super::system::{wait, wake_one};

const FREE: u32 = 0;
const LOCKED: u32 = 1;
const CONTENDED: u32 = 2;

/// The mutex.
pub(crate) struct RawMutex(AtomicU32);

/// A mutex that needs no initialisation at run time.
#[expect(clippy::declare_interior_mutable_const, reason = "the initial value of many")]
pub(crate) const RAW_MUTEX: RawMutex = RawMutex(AtomicU32::new(FREE));

/// Makes a mutex in uninitialised memory.
///
/// # Safety
/// `mutex` is writable, and no thread uses it.
pub(crate) unsafe fn init_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    unsafe { ptr::write(mutex, RAW_MUTEX) }
}

/// Ends a mutex.
///
/// # Safety
/// None is needed: it holds nothing.
pub(crate) unsafe fn destroy_mutex(_mutex: *mut RawMutex) {}

/// Locks.
///
/// # Safety
/// `mutex` is initialised, and this thread does not hold it.
#[inline]
pub(crate) unsafe fn lock_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    let word = unsafe { &(*mutex).0 };
    if word.compare_exchange(FREE, LOCKED, Acquire, Relaxed).is_err() {
        lock_contended(word);
    }
}

#[cold]
fn lock_contended(word: &AtomicU32) {
    while word.swap(CONTENDED, Acquire) != FREE {
        wait(word, CONTENDED);
    }
}

/// Locks if nobody holds the mutex, and returns whether it did.
///
/// # Safety
/// As for [`lock_mutex`].
pub(crate) unsafe fn try_lock_mutex(mutex: *mut RawMutex) -> bool {
    // SAFETY: the caller's promise.
    let word = unsafe { &(*mutex).0 };
    word.compare_exchange(FREE, LOCKED, Acquire, Relaxed).is_ok()
}

/// Unlocks.
///
/// # Safety
/// This thread holds `mutex`.
#[inline]
pub(crate) unsafe fn unlock_mutex(mutex: *mut RawMutex) {
    // SAFETY: the caller's promise.
    let word = unsafe { &(*mutex).0 };
    // Behind the swap the mutex may be gone: its next holder may end it. The kernel only compares
    // the address.
    if word.swap(FREE, Release) == CONTENDED {
        wake_one(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::UnsafeCell;
    use std::mem::MaybeUninit;

    struct Counter {
        mutex: UnsafeCell<RawMutex>,
        value: UnsafeCell<u64>,
    }
    // SAFETY: `value` is only used with `mutex` locked.
    unsafe impl Sync for Counter {}

    #[test]
    fn a_word_mutex_excludes_and_wakes_who_waits() {
        const THREADS: u64 = 4;
        const TURNS: u64 = 50_000;
        let counter = Counter { mutex: UnsafeCell::new(RAW_MUTEX), value: UnsafeCell::new(0) };
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let counter = &counter;
                scope.spawn(move || {
                    for turn in 0..TURNS {
                        // SAFETY: the mutex exists, and is not held by this thread.
                        unsafe {
                            if turn % 8 != thread || !try_lock_mutex(counter.mutex.get()) {
                                lock_mutex(counter.mutex.get());
                            }
                            *counter.value.get() += 1;
                            if turn % 1024 == 0 {
                                std::thread::yield_now();
                            }
                            unlock_mutex(counter.mutex.get());
                        }
                    }
                });
            }
        });
        assert_eq!(counter.value.into_inner(), THREADS * TURNS);
        assert_eq!(counter.mutex.into_inner().0.into_inner(), FREE);
    }

    #[test]
    fn a_word_mutex_is_taken_once() {
        let mut mutex = MaybeUninit::uninit();
        let mutex = mutex.as_mut_ptr();
        // SAFETY: the mutex is initialised, locked and unlocked in turn, and ended.
        unsafe {
            init_mutex(mutex);
            assert!(try_lock_mutex(mutex));
            assert!(!try_lock_mutex(mutex));
            unlock_mutex(mutex);
            lock_mutex(mutex);
            assert!(!try_lock_mutex(mutex));
            unlock_mutex(mutex);
            destroy_mutex(mutex);
        }
    }
}
