// SPDX-License-Identifier: MIT
//! The one door to locks and atomics.
//!
//! There are four ranks of locks. A thread takes them in this order and holds at most one of each:
//!
//! 1. the mutex of the round over pools that sleep (`pool::sleepers`), or that under which the
//!    parents of groups are made (`groups::making`),
//! 2. the mutex of a pool,
//! 3. the mutex of what is kept of a pool with modes (`debug::ledger`),
//! 4. the heap's mutex.
//!
//! Debug builds assert it: whoever holds the heap's mutex takes no lock at all. Nor does who holds
//! that of the guarded objects ([`crate::watch::guard`]), which is taken in the place of the
//! heap's.
//!
//! All order between threads that ordinary calls lean on comes from these mutexes, but for the
//! leaves of `heap::registry`, and for what the heap keeps for the next pool (`heap::kit`,
//! `heap::spares`); modes and guards have lists and gates of their own (docs/concurrency.md). The
//! other atomics are words that are written under a mutex and read without; each of their users says
//! why any value that it may see will do.
//!
//! With `--cfg loom` the model checker stands behind this door (see `model`). [`reads`] and
//! [`writes`] tell it which memory is used with a lock held, or handed from one thread to another;
//! otherwise they are nothing.

use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::ops::{Deref, DerefMut};

use crate::sys::{os, probe};

#[cfg(loom)]
pub(crate) mod model;

pub(crate) mod across_fork;
#[cfg_attr(not(unix), allow(dead_code, reason = "there is no fork"))]
mod forker;
pub(crate) mod masked;
#[cfg(not(loom))]
pub(crate) mod try_lock;

/// The atomics of everything that is shared.
pub(crate) mod atomic {
    #[cfg(loom)]
    pub(crate) use super::model::{AtomicBool, AtomicPtr, AtomicU16, AtomicU32, AtomicUsize};
    pub(crate) use core::sync::atomic::Ordering;
    #[cfg(not(loom))]
    pub(crate) use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU16, AtomicU32, AtomicUsize};
}

/// Notes that what is at this address is read, and so must not be written at the same time.
#[inline(always)]
#[cfg_attr(loom, track_caller)]
pub(crate) fn reads<T>(_at: *const T) {
    #[cfg(loom)]
    model::reads(_at.addr());
}

/// Notes that what is at this address is written, and so must not be used at the same time.
#[inline(always)]
#[cfg_attr(loom, track_caller)]
pub(crate) fn writes<T>(_at: *const T) {
    #[cfg(loom)]
    model::writes(_at.addr());
}

/// Notes that memory is new, or goes: nothing that was in it is anything any more.
#[inline(always)]
pub(crate) fn renew<T>(_start: *const T, _bytes: usize) {
    #[cfg(loom)]
    model::renew(_start.addr(), _bytes);
}

/// Calls `look`, which only reads what locks protect that are held: a model takes it for one step.
#[inline(always)]
pub(crate) fn at_once<T>(look: impl FnOnce() -> T) -> T {
    #[cfg(loom)]
    return model::quietly(look);
    #[cfg(not(loom))]
    look()
}

/// The operations on the platform's mutex, or on the model's.
mod raw {
    #[cfg(loom)]
    pub(crate) use super::model::{
        destroy_mutex, init_mutex, lock_mutex, try_lock_mutex, unlock_mutex,
    };
    #[cfg(not(loom))]
    pub(crate) use crate::sys::os::{
        destroy_mutex, init_mutex, lock_mutex, try_lock_mutex, unlock_mutex,
    };
}

/// How many times a thread looks whether a mutex has become free before it sleeps, and how many
/// pauses of the processor's it makes between: five microseconds where a pause takes 40 cycles. Who
/// has the mutex needs it for a fraction of a microsecond, or for several where a magazine is drained;
/// to put a thread to sleep and to wake it takes more, and it may be woken on the core of who woke it.
const LOOKS: u32 = 100;
const PAUSES: u32 = 4;

/// The platform's mutex.
#[repr(transparent)]
pub(crate) struct Mutex {
    raw: UnsafeCell<os::RawMutex>,
}

// SAFETY: a mutex is made to be used by many threads.
unsafe impl Sync for Mutex {}

impl Mutex {
    /// A mutex for a static.
    pub(crate) const fn unlocked() -> Mutex {
        Mutex { raw: UnsafeCell::new(os::RAW_MUTEX) }
    }

    /// Makes a mutex in memory of any content.
    ///
    /// # Safety
    /// `this` is writable, and no thread uses it.
    pub(crate) unsafe fn init(this: *mut Mutex) {
        // SAFETY: the caller's promise.
        unsafe { raw::init_mutex(UnsafeCell::raw_get(&raw const (*this).raw)) }
    }

    /// Ends the mutex.
    ///
    /// # Safety
    /// It is not locked, and no thread uses it from now on.
    pub(crate) unsafe fn destroy(&self) {
        // SAFETY: the caller's promise.
        unsafe { raw::destroy_mutex(self.raw.get()) }
    }

    /// Locks, for code that cannot hold a [`Locked`].
    ///
    /// # Safety
    /// The mutex is initialised, and this thread holds neither it nor a lock of a later rank.
    pub(crate) unsafe fn lock(&self) {
        rank::assert_may_lock();
        // SAFETY: the caller's promise.
        unsafe {
            if cfg!(loom) {
                // A model need not see both ways.
                raw::lock_mutex(self.raw.get());
            } else if !raw::try_lock_mutex(self.raw.get()) {
                self.wait_and_lock();
            }
        }
    }

    /// Locks when another thread has the mutex: looks again for a while before it sleeps.
    ///
    /// # Safety
    /// As for [`Mutex::lock`].
    #[cold]
    #[inline(never)]
    unsafe fn wait_and_lock(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            let address = (&raw const *self).addr();
            probe::lock_wait(address);
            let looked = (0..LOOKS).any(|_| {
                (0..PAUSES).for_each(|_| spin_loop());
                raw::try_lock_mutex(self.raw.get())
            });
            if !looked {
                raw::lock_mutex(self.raw.get());
            }
            probe::lock_got(address);
        }
    }

    /// Locks if nobody holds the mutex, and returns whether it did.
    ///
    /// # Safety
    /// The mutex is initialised.
    pub(crate) unsafe fn try_lock(&self) -> bool {
        // SAFETY: the caller's promise.
        unsafe { raw::try_lock_mutex(self.raw.get()) }
    }

    /// Unlocks.
    ///
    /// # Safety
    /// This thread holds the mutex.
    pub(crate) unsafe fn unlock(&self) {
        // SAFETY: the caller's promise.
        unsafe { raw::unlock_mutex(self.raw.get()) }
    }

    /// Unlocks behind fork(), in the process that forked or in the new one.
    ///
    /// # Safety
    /// This thread locked the mutex before fork(), or is the only one of the new process.
    #[cfg(unix)]
    pub(crate) unsafe fn unlock_behind_fork(&self, in_new_process: bool) {
        // SAFETY: the caller's promise.
        unsafe {
            if in_new_process && cfg!(target_vendor = "apple") {
                // There a lock knows its holder by a number that the thread does not have any more.
                raw::init_mutex(self.raw.get());
            } else {
                self.unlock();
            }
        }
    }
}

/// Counts a look, and pauses before the next one: the first time for a few microseconds, and from
/// then on for a millisecond.
#[cfg(unix)]
#[cold]
#[inline(never)]
fn look_again(looks: &mut u32) {
    if *looks == 0 {
        (0..LOOKS * PAUSES).for_each(|_| spin_loop());
    } else {
        os::pause();
    }
    *looks += 1;
}

#[cfg(unix)]
impl Mutex {
    /// Unlocks what a thread has that is not there, or does not use it any more.
    ///
    /// # Safety
    /// No thread uses the mutex, or waits for it in the kernel.
    #[cold]
    #[inline(never)]
    unsafe fn renew(&self) {
        // SAFETY: the caller's promise.
        unsafe { raw::init_mutex(self.raw.get()) }
    }
}

/// What [`Locked`] holds.
pub(crate) trait Lock {
    /// Locks.
    ///
    /// # Safety
    /// As for [`Mutex::lock`].
    unsafe fn lock(&self);

    /// Locks if nobody holds the lock, and returns whether it did.
    ///
    /// # Safety
    /// It is initialised.
    unsafe fn try_lock(&self) -> bool;

    /// Unlocks.
    ///
    /// # Safety
    /// This thread holds the lock.
    unsafe fn unlock(&self);
}

impl Lock for Mutex {
    unsafe fn lock(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.lock() }
    }
    unsafe fn try_lock(&self) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.try_lock() }
    }
    unsafe fn unlock(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.unlock() }
    }
}

/// A locked mutex together with what it protects.
///
/// It holds a pointer, and makes a reference of it for each use: a reference that it held itself
/// would be there still when the mutex is unlocked, and another thread has its own.
pub(crate) struct Locked<'a, T, M: Lock = Mutex> {
    mutex: &'a M,
    data: *mut T,
}

impl<'a, T, M: Lock> Locked<'a, T, M> {
    /// Locks `mutex` and gives access to `data` until this is dropped.
    ///
    /// # Safety
    /// As for [`Mutex::lock`]; `data` is valid for `'a` and only reached through this mutex.
    pub(crate) unsafe fn lock(mutex: &'a M, data: *mut T) -> Locked<'a, T, M> {
        // SAFETY: the caller's promise.
        unsafe { mutex.lock() }
        writes(data);
        Locked { mutex, data }
    }

    /// The same, if nobody holds the mutex.
    ///
    /// # Safety
    /// As for [`Locked::lock`].
    pub(crate) unsafe fn try_lock(mutex: &'a M, data: *mut T) -> Option<Locked<'a, T, M>> {
        // SAFETY: the caller's promise.
        unsafe { mutex.try_lock() }.then(|| {
            writes(data);
            Locked { mutex, data }
        })
    }
}

impl<T, M: Lock> Deref for Locked<'_, T, M> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: `data` is valid, and the mutex is held for as long as this exists.
        unsafe { &*self.data }
    }
}

impl<T, M: Lock> DerefMut for Locked<'_, T, M> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above; exclusive access to `data` is what the mutex gives.
        unsafe { &mut *self.data }
    }
}

impl<T, M: Lock> Drop for Locked<'_, T, M> {
    fn drop(&mut self) {
        writes(self.data);
        // SAFETY: this exists only while its thread holds the mutex.
        unsafe { self.mutex.unlock() }
    }
}

/// The assertion of the lock order.
///
/// The heap's mutex is the last rank and there is one of it: noting which thread holds it is enough
/// to see both a parent's mutex taken too late and the heap's taken twice.
pub(crate) mod rank {
    #[cfg(debug_assertions)]
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    // Relaxed: a thread compares the word with its own number, and only that thread ever stores it.
    #[cfg(debug_assertions)]
    static HEAP_HOLDER: AtomicUsize = AtomicUsize::new(0);

    /// Where the holder is noted: address and bytes.
    #[cfg(feature = "debug")]
    pub(crate) fn atomics() -> (usize, usize) {
        #[cfg(debug_assertions)]
        return ((&raw const HEAP_HOLDER).addr(), size_of::<AtomicUsize>());
        #[cfg(not(debug_assertions))]
        (0, 0)
    }

    /// Asserts that this thread does not hold the heap's mutex.
    #[inline]
    pub(crate) fn assert_may_lock() {
        #[cfg(debug_assertions)]
        assert!(
            HEAP_HOLDER.load(Relaxed) != crate::sys::os::thread_id(),
            "a lock is taken under the heap's"
        );
    }

    /// Notes that this thread has just locked the heap's mutex.
    #[inline]
    pub(crate) fn heap_locked() {
        #[cfg(debug_assertions)]
        HEAP_HOLDER.store(crate::sys::os::thread_id(), Relaxed);
    }

    /// Notes that this thread is about to unlock the heap's mutex.
    #[inline]
    pub(crate) fn heap_unlocking() {
        #[cfg(debug_assertions)]
        HEAP_HOLDER.store(0, Relaxed);
    }
}
