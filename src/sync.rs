//! The one door to locks.
//!
//! There are three ranks of locks. A thread takes them in this order and holds at most one of each:
//!
//! 1. the mutex of a parent pool,
//! 2. the mutex of what is kept of a pool with modes (`debug::ledger`),
//! 3. the heap's mutex.
//!
//! Debug builds assert it: whoever holds the heap's mutex takes no lock at all.

use core::cell::UnsafeCell;
use core::mem::size_of;
use core::ops::{Deref, DerefMut};

use crate::os;

/// Bytes a mutex takes, on every platform (it is part of a public struct).
pub const MUTEX_BYTES: usize = 48;

/// A mutex in a place of fixed size.
#[repr(C)]
pub struct Mutex {
    raw: UnsafeCell<os::RawMutex>,
    room: [u8; MUTEX_BYTES - size_of::<os::RawMutex>()],
}

const _: () = assert!(size_of::<Mutex>() == MUTEX_BYTES);

// SAFETY: a mutex is made to be used by many threads.
unsafe impl Sync for Mutex {}

impl Mutex {
    /// A mutex for a static.
    pub const fn unlocked() -> Mutex {
        Mutex {
            raw: UnsafeCell::new(os::RAW_MUTEX),
            room: [0; MUTEX_BYTES - size_of::<os::RawMutex>()],
        }
    }

    /// Makes a mutex in memory of any content.
    ///
    /// # Safety
    /// `this` is writable, and no thread uses it.
    pub unsafe fn init(this: *mut Mutex) {
        // SAFETY: the caller's promise.
        unsafe { os::init_mutex(UnsafeCell::raw_get(&raw const (*this).raw)) }
    }

    /// Ends the mutex.
    ///
    /// # Safety
    /// It is not locked, and no thread uses it from now on.
    pub unsafe fn destroy(&self) {
        // SAFETY: the caller's promise.
        unsafe { os::destroy_mutex(self.raw.get()) }
    }

    /// Locks, for code that cannot hold a [`Guard`].
    ///
    /// # Safety
    /// The mutex is initialised, and this thread holds neither it nor a lock of a later rank.
    pub unsafe fn lock(&self) {
        rank::assert_may_lock();
        // SAFETY: the caller's promise.
        unsafe { os::lock_mutex(self.raw.get()) }
    }

    /// Locks if nobody holds the mutex, and returns whether it did.
    ///
    /// # Safety
    /// The mutex is initialised.
    pub unsafe fn try_lock(&self) -> bool {
        // SAFETY: the caller's promise.
        unsafe { os::try_lock_mutex(self.raw.get()) }
    }

    /// Unlocks.
    ///
    /// # Safety
    /// This thread holds the mutex.
    pub unsafe fn unlock(&self) {
        // SAFETY: the caller's promise.
        unsafe { os::unlock_mutex(self.raw.get()) }
    }
}

/// A locked mutex together with what it protects.
pub struct Guard<'a, T> {
    mutex: &'a Mutex,
    data: &'a mut T,
}

impl<'a, T> Guard<'a, T> {
    /// Locks `mutex` and gives access to `data` until the guard is dropped.
    ///
    /// # Safety
    /// As for [`Mutex::lock`]; `data` is valid for `'a` and only reached through this mutex.
    pub unsafe fn lock(mutex: &'a Mutex, data: *mut T) -> Guard<'a, T> {
        // SAFETY: the caller's promise; exclusive access to `data` is what the mutex gives.
        unsafe {
            mutex.lock();
            Guard { mutex, data: &mut *data }
        }
    }

    /// The same, if nobody holds the mutex.
    ///
    /// # Safety
    /// As for [`Guard::lock`].
    pub unsafe fn try_lock(mutex: &'a Mutex, data: *mut T) -> Option<Guard<'a, T>> {
        // SAFETY: the caller's promise; exclusive access to `data` is what the mutex gives.
        unsafe { mutex.try_lock().then(|| Guard { mutex, data: &mut *data }) }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.data
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.data
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: a guard exists only while its thread holds the mutex.
        unsafe { self.mutex.unlock() }
    }
}

/// The assertion of the lock order.
///
/// The heap's mutex is the last rank and there is one of it: noting which thread holds it is enough
/// to see both a parent's mutex taken too late and the heap's taken twice.
pub mod rank {
    #[cfg(debug_assertions)]
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    // Relaxed: a thread compares the word with its own number, and only that thread ever stores it.
    #[cfg(debug_assertions)]
    static HEAP_HOLDER: AtomicUsize = AtomicUsize::new(0);

    /// Asserts that this thread does not hold the heap's mutex.
    #[inline]
    pub fn assert_may_lock() {
        #[cfg(debug_assertions)]
        assert!(
            HEAP_HOLDER.load(Relaxed) != crate::os::thread_id(),
            "a lock is taken under the heap's"
        );
    }

    /// Notes that this thread has just locked the heap's mutex.
    #[inline]
    pub fn heap_locked() {
        #[cfg(debug_assertions)]
        HEAP_HOLDER.store(crate::os::thread_id(), Relaxed);
    }

    /// Notes that this thread is about to unlock the heap's mutex.
    #[inline]
    pub fn heap_unlocking() {
        #[cfg(debug_assertions)]
        HEAP_HOLDER.store(0, Relaxed);
    }
}
