// SPDX-License-Identifier: MIT
//! What stands behind the door under the model checker.
//!
//! Loom's mutexes, atomics and cells are made within an execution and are larger than the real
//! ones. But a parent pool has a fixed size, a chunk is memory that the system has zeroed, and the
//! heap is a static. So the library's structures stay as they are, and each has a *shadow*, found
//! by its address: a loom mutex for a mutex, a loom atomic for an atomic, and a loom cell for
//! memory that [`super::reads`] and [`super::writes`] name. Shadows are made at their first use,
//! and go with the execution or with the memory ([`super::renew`]).
//!
//! Making a shadow counts as writing it. So loom demands of every atomic that its first use happens
//! before all others, which holds for what is made under a lock; [`begin`] touches the heap's.
//!
//! Loom runs all threads of a model in turns on one thread of the system, and gives control to
//! another only in an operation on a mutex or an atomic. The real memory is therefore in the state
//! that the operations so far have made; an atomic's memory has the last value stored, whatever a
//! load in the model may see.
//!
//! Outside of an execution, and in [`quietly`], mutexes do nothing and atomics are plain memory.

extern crate std;

use core::cell::{Cell, RefCell};
use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::{self, Ordering, Ordering::Relaxed};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::vec::Vec;

use loom::sync::atomic::AtomicUsize as LoomWord;
use loom::sync::{Mutex as LoomMutex, MutexGuard as LoomGuard};
use loom::thread::ThreadId;

use crate::sys::os;

/// What the clock says when an execution begins.
pub(crate) const START: u32 = 1000;

/// All shadows of one execution.
#[derive(Default)]
struct Shadows {
    words: RefCell<BTreeMap<usize, Rc<LoomWord>>>,
    cells: RefCell<BTreeMap<usize, Rc<loom::cell::UnsafeCell<()>>>>,
    mutexes: RefCell<BTreeMap<usize, Rc<Lock>>>,
    threads: RefCell<Vec<ThreadId>>,
    seconds: Cell<u32>,
    quiet: Cell<bool>,
}

/// The shadow of a mutex.
struct Lock {
    mutex: LoomMutex<()>,
    held: RefCell<Option<LoomGuard<'static, ()>>>,
    destroyed: Cell<bool>,
}

impl Lock {
    fn new() -> Rc<Lock> {
        Rc::new(Lock {
            mutex: LoomMutex::new(()),
            held: RefCell::new(None),
            destroyed: Cell::new(false),
        })
    }

    fn keep(&self, guard: LoomGuard<'_, ()>) {
        type Kept = LoomGuard<'static, ()>;
        // SAFETY: the guard refers to `mutex`, which the execution's shadows keep until its end,
        // when no mutex is held.
        let guard = unsafe { core::mem::transmute::<LoomGuard<'_, ()>, Kept>(guard) };
        self.held.replace(Some(guard));
    }
}

std::thread_local! {
    /// Of the execution that runs on this thread of the system.
    static SHADOWS: RefCell<Option<Rc<Shadows>>> = const { RefCell::new(None) };
}

fn shadows() -> Option<Rc<Shadows>> {
    // At the end of the process the thread's own data may be gone.
    SHADOWS
        .try_with(|shadows| shadows.borrow().clone())
        .ok()?
        .filter(|shadows| !shadows.quiet.get())
}

/// Begins an execution: to be called by its first thread before all else.
pub(crate) fn begin() {
    let shadows = Shadows { seconds: Cell::new(START), ..Shadows::default() };
    let old = SHADOWS.with(|place| place.replace(Some(Rc::new(shadows))));
    // Of an execution that failed: what it holds can be dropped within it only.
    core::mem::forget(old);
    thread_id();
}

/// Ends it, once all its other threads are joined.
pub(crate) fn end() {
    let shadows = SHADOWS.with(RefCell::take).expect("the execution was begun");
    let held = |lock: &Rc<Lock>| lock.held.borrow().is_some();
    assert!(!shadows.mutexes.borrow().values().any(held), "a mutex is still locked");
}

/// Runs `look` without the model, as one step of this thread.
pub(crate) fn quietly<T>(look: impl FnOnce() -> T) -> T {
    let Some(shadows) = shadows() else { return look() };
    shadows.quiet.set(true);
    let result = look();
    shadows.quiet.set(false);
    result
}

/// Sets the clock.
pub(crate) fn set_seconds(seconds: u32) {
    if let Some(shadows) = shadows() {
        shadows.seconds.set(seconds);
    }
}

/// In the place of [`os::coarse_seconds`].
pub(crate) fn coarse_seconds() -> u32 {
    SHADOWS.with(|shadows| shadows.borrow().as_ref().map_or(START, |shadows| shadows.seconds.get()))
}

/// In the place of the system's: lets the other threads of the model go on.
pub(crate) fn pause() {
    loom::thread::yield_now();
}

/// In the place of the system's: the threads of a model are one thread of the system.
pub(crate) fn thread_id() -> usize {
    let Some(shadows) = shadows() else { return usize::MAX };
    let this = loom::thread::current().id();
    let mut threads = shadows.threads.borrow_mut();
    let known = threads.iter().position(|thread| *thread == this);
    1 + known.unwrap_or_else(|| {
        threads.push(this);
        threads.len() - 1
    })
}

#[track_caller]
fn cell(at: usize) -> Option<Rc<loom::cell::UnsafeCell<()>>> {
    let shadows = shadows()?;
    let mut cells = shadows.cells.borrow_mut();
    Some(cells.entry(at).or_insert_with(|| Rc::new(loom::cell::UnsafeCell::new(()))).clone())
}

/// See [`super::reads`].
#[track_caller]
pub(crate) fn reads(at: usize) {
    if let Some(cell) = cell(at) {
        cell.with(|_| ());
    }
}

/// See [`super::writes`].
#[track_caller]
pub(crate) fn writes(at: usize) {
    if let Some(cell) = cell(at) {
        cell.with_mut(|_| ());
    }
}

/// See [`super::renew`].
pub(crate) fn renew(start: usize, bytes: usize) {
    let Some(shadows) = shadows() else { return };
    let gone = |at: &usize| (start..start + bytes).contains(at);
    shadows.words.borrow_mut().retain(|at, _| !gone(at));
    shadows.cells.borrow_mut().retain(|at, _| !gone(at));
    shadows.mutexes.borrow_mut().retain(|at, _| !gone(at));
}

fn lock_at(mutex: *mut os::RawMutex) -> Option<Rc<Lock>> {
    let shadows = shadows()?;
    let mut mutexes = shadows.mutexes.borrow_mut();
    let lock = mutexes.entry(mutex.addr()).or_insert_with(Lock::new).clone();
    assert!(!lock.destroyed.get(), "a mutex is used that was destroyed");
    Some(lock)
}

/// # Safety
/// As for [`os::init_mutex`].
pub(crate) unsafe fn init_mutex(mutex: *mut os::RawMutex) {
    if let Some(shadows) = shadows() {
        shadows.mutexes.borrow_mut().insert(mutex.addr(), Lock::new());
        writes(mutex.addr());
    }
}

/// # Safety
/// As for [`os::destroy_mutex`].
pub(crate) unsafe fn destroy_mutex(mutex: *mut os::RawMutex) {
    if let Some(lock) = lock_at(mutex) {
        assert!(lock.held.borrow().is_none(), "a mutex is destroyed that is locked");
        lock.destroyed.set(true);
        writes(mutex.addr());
    }
}

/// # Safety
/// As for [`os::lock_mutex`].
pub(crate) unsafe fn lock_mutex(mutex: *mut os::RawMutex) {
    if let Some(lock) = lock_at(mutex) {
        reads(mutex.addr());
        let guard = lock.mutex.lock().expect("loom's mutexes are not poisoned");
        lock.keep(guard);
    }
}

/// # Safety
/// As for [`os::try_lock_mutex`].
pub(crate) unsafe fn try_lock_mutex(mutex: *mut os::RawMutex) -> bool {
    let Some(lock) = lock_at(mutex) else { return true };
    reads(mutex.addr());
    let guard = lock.mutex.try_lock();
    guard.map(|guard| lock.keep(guard)).is_ok()
}

/// # Safety
/// As for [`os::unlock_mutex`].
pub(crate) unsafe fn unlock_mutex(mutex: *mut os::RawMutex) {
    if let Some(lock) = lock_at(mutex) {
        reads(mutex.addr());
        let guard = lock.held.take().expect("a mutex is unlocked that is not locked");
        drop(guard);
    }
}

/// The shadow of an atomic, which is made with the value in its memory.
fn word_at(at: usize, value: impl FnOnce() -> usize) -> Option<Rc<LoomWord>> {
    let shadows = shadows()?;
    let mut words = shadows.words.borrow_mut();
    Some(words.entry(at).or_insert_with(|| Rc::new(LoomWord::new(value()))).clone())
}

macro_rules! shadowed {
    ($name:ident$(<$of:ident>)?, $value:ty, $to_word:expr, $from_word:expr) => {
        /// As in [`core::sync::atomic`].
        #[repr(transparent)]
        pub(crate) struct $name$(<$of>)?(atomic::$name$(<$of>)?);

        impl$(<$of>)? $name$(<$of>)? {
            /// An atomic with this value.
            pub(crate) const fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            fn shadow(&self) -> Option<Rc<LoomWord>> {
                word_at((&raw const self.0).addr(), || $to_word(self.0.load(Relaxed)))
            }

            /// Any value that the thread may see.
            pub(crate) fn load(&self, order: Ordering) -> $value {
                match self.shadow() {
                    Some(word) => $from_word(word.load(order)),
                    None => self.0.load(Relaxed),
                }
            }

            /// Stores a value.
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                if let Some(word) = self.shadow() {
                    word.store($to_word(value), order);
                }
                self.0.store(value, Relaxed);
            }

            /// Stores a value, and returns the one before.
            #[allow(dead_code, reason = "not every type is used so")]
            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                if let Some(word) = self.shadow() {
                    word.swap($to_word(value), order);
                }
                self.0.swap(value, Relaxed)
            }

            /// Stores `new` if the value is `current`.
            #[allow(dead_code, reason = "not every type is used so")]
            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                if let Some(word) = self.shadow() {
                    let (current, new) = ($to_word(current), $to_word(new));
                    word.compare_exchange(current, new, success, failure)
                        .map_err(|other| $from_word(other))?;
                }
                self.0.compare_exchange(current, new, Relaxed, Relaxed)
            }
        }
    };
}

/// Read-modify-write operations, which have the newest value in the model as well.
macro_rules! modified {
    ($($operation:ident),*) => {
        impl AtomicUsize {
            $(
                /// As in [`core::sync::atomic`].
                pub(crate) fn $operation(&self, value: usize, order: Ordering) -> usize {
                    if let Some(word) = self.shadow() {
                        word.$operation(value, order);
                    }
                    self.0.$operation(value, Relaxed)
                }
            )*
        }
    };
}

modified!(fetch_add, fetch_sub, fetch_or, fetch_and);
shadowed!(AtomicBool, bool, usize::from, |word| word != 0);
shadowed!(AtomicU16, u16, usize::from, |word| word as u16);
shadowed!(AtomicU32, u32, |value| value as usize, |word| word as u32);
shadowed!(AtomicUsize, usize, |value| value, |word| word);
shadowed!(
    AtomicPtr<T>,
    *mut T,
    |value: *mut T| value.expose_provenance(),
    with_exposed_provenance_mut
);
