// SPDX-License-Identifier: MIT
//! A pool that any thread calls, without a child to carry: one parent, and children that belong to
//! processors.
//!
//! A thread uses the child of the processor that it is on, as restartable sequences of the kernel's
//! ([`crate::sys::per_processor`]): without an atomic operation. What takes more than a magazine's
//! words it does with the child *taken*. Where there are no such sequences, or the child is taken by
//! another thread, it looks for a child of those that are for all, beginning at one that follows
//! from the number of the thread, and takes the first that nobody has. If others have all of them it
//! goes to the parent with a child of its own for just that. So it waits for no lock but the
//! parent's. (The C library's number of the processor would take longer than the lock does.)
//!
//! A thread leaves nothing behind when it ends, as nothing is a thread's: no thread-local storage,
//! of which a driver that is loaded late may find none left, and no destructors, which a driver that
//! is unloaded must not leave behind.
//!
//! | field | written | read |
//! |---|---|---|
//! | `slots` | once each, by the thread that first needs it | by all |
//! | `child` of a slot | in a sequence on its processor, or by who has taken it | the same |
//! | `next` | under the lock of [`super::making`] | the same |
//! | `by_fork`, `is_interrupted`, `locked_by_fork` | by a thread that forks, with that lock and what they tell of | the same |
//! | `parent` | when the pool is made | by all |
//!
//! **Fork.** Slots and the parent's lock are taken before fork(), so that the new process finds them
//! free; but not those that this very thread had when the signal came in whose handler it forks. So
//! the parent has its body, in which the lock is, from the beginning. A slot that another thread makes
//! meanwhile may stay taken in the new process, which then uses the others. (What a sequence has begun need not be waited for: see there.)
//!
//! **Reports.** A handler that is called while a slot is taken finds it taken, and goes elsewhere. If
//! it never comes back, the slot stays taken until the pool is destroyed.

use core::ffi::c_void;
use core::mem::{self, MaybeUninit, offset_of};
use core::ptr;

use super::making::Making;
use super::options::Options;
use crate::base::alignment::Alignment;
use crate::base::config::HARDENED;
use crate::base::zero::zero;
use crate::pool::blocks;
use crate::pool::child::{self, ChildPool};
use crate::pool::options::PoolOptions;
use crate::pool::parent::ParentPool;
use crate::sys::os;
use crate::sys::per_processor::{Outcome, Processor, Stack};
use crate::sys::sync::atomic::{
    AtomicBool, AtomicPtr,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use crate::sys::sync::try_lock::TryLock;

/// Processors that have a child each. A thread on another one uses those for all.
const PROCESSORS: usize = 192;
/// Children that are for all.
const FOR_ALL: usize = 16;
const SLOTS: usize = PROCESSORS + FOR_ALL;

/// A child, and who has taken it.
#[repr(C)]
struct Slot {
    child: ChildPool,
    lock: TryLock,
    /// Whether that is a fork. Touched by the thread that forks.
    by_fork: bool,
}

// A slot is a stack of a processor's.
const _: () = {
    assert!(offset_of!(Slot, child.cache.loaded) == offset_of!(Stack, top));
    assert!(offset_of!(Slot, child.cache.mask) == offset_of!(Stack, mask));
    assert!(offset_of!(Slot, lock) == offset_of!(Stack, holder));
};

/// See the head of this file.
#[repr(C)]
pub(crate) struct Shared {
    parent: ParentPool,
    next: *mut Shared,
    /// Whether the thread that forks has a slot, as a signal handler forks.
    is_interrupted: bool,
    locked_by_fork: bool,
    /// Null: nobody has needed it.
    slots: [AtomicPtr<Slot>; SLOTS],
}

/// All pools of this kind, linked by `next`.
static FIRST: AtomicPtr<Shared> = AtomicPtr::new(ptr::null_mut());

impl Shared {
    /// Makes a pool. Null if there is no memory.
    pub(crate) fn create(options: &Options<'_>) -> *mut Shared {
        let this = blocks::take_in::<Shared>(options.home);
        if this.is_null() {
            return this;
        }
        // SAFETY: the block is new.
        unsafe {
            // Zeroes are no slots.
            ptr::write_bytes(&raw mut (*this).slots, 0, 1);
            (&raw mut (*this).is_interrupted).write(false);
            (&raw mut (*this).locked_by_fork).write(false);
            let parent = &raw mut (*this).parent;
            let pool = PoolOptions {
                item_size: options.item_size,
                num_items: options.num_items,
                alignment: Alignment::NATURAL,
                name: options.name,
                home: options.home,
            };
            if pool.create(parent).is_err() {
                blocks::give_back(this);
                return ptr::null_mut();
            }
            // Not with the first object: a thread may make one while another one forks.
            if (*parent).pool_or_new().is_none() {
                ParentPool::destroy(parent);
                blocks::give_back(this);
                return ptr::null_mut();
            }
            let _making = Making::begin();
            // Relaxed: the lock is held.
            (&raw mut (*this).next).write(FIRST.load(Relaxed));
            FIRST.store(this, Relaxed);
        }
        this
    }

    /// Destroys a pool. Objects that are out stay valid.
    ///
    /// # Safety
    /// `this` is one, and no other call uses it or its objects.
    pub(crate) unsafe fn destroy(this: *mut Shared) {
        // SAFETY: the caller's promise; who has a slot does not use it any more.
        unsafe {
            Shared::strike_out(this);
            for slot in &(*this).slots {
                let slot = slot.load(Acquire);
                if !slot.is_null() {
                    ChildPool::destroy(&raw mut (*slot).child);
                    (*slot).lock.destroy();
                    blocks::give_back(slot);
                }
            }
            ParentPool::destroy(&raw mut (*this).parent);
            blocks::give_back(this);
        }
    }

    /// Takes a pool out of the list.
    ///
    /// # Safety
    /// It is in there.
    unsafe fn strike_out(this: *mut Shared) {
        let _making = Making::begin();
        // Relaxed: the lock is held.
        let mut other = FIRST.load(Relaxed);
        // SAFETY: the caller's promise; the pools of the list exist while the lock is held.
        unsafe {
            if other == this {
                FIRST.store((*this).next, Relaxed);
                return;
            }
            while (*other).next != this {
                other = (*other).next;
            }
            (*other).next = (*this).next;
        }
    }

    /// Allocates an object, or returns null.
    ///
    /// # Safety
    /// `this` is a pool.
    #[inline(always)]
    pub(crate) unsafe fn alloc(this: *mut Shared) -> *mut c_void {
        // SAFETY: the caller's promise; a slot of a processor is used on that one.
        unsafe {
            if let Some((processor, slot)) = Shared::slot_here(this) {
                if let Outcome::Done(object) = processor.pop(slot.cast()) {
                    return object.cast();
                }
            }
            alloc_slow(this)
        }
    }

    /// The same, zeroed.
    ///
    /// # Safety
    /// As for [`Shared::alloc`].
    #[inline(always)]
    pub(crate) unsafe fn zalloc(this: *mut Shared) -> *mut c_void {
        // SAFETY: the caller's promise; an object has the parent's item_size bytes at least.
        unsafe {
            let object = Shared::alloc(this);
            if !object.is_null() {
                zero(object.cast(), (*this).parent.item_size.max(1) as usize);
            }
            object
        }
    }

    /// Frees an object, of this pool or of any other one.
    ///
    /// # Safety
    /// `this` is a pool, and `object` null or an object.
    #[inline(always)]
    pub(crate) unsafe fn free(this: *mut Shared, object: *mut c_void) {
        let object = object.cast::<u8>();
        // SAFETY: the caller's promise; an object lies in a chunk.
        unsafe {
            if !object.is_null() && child::owner_on_free(object) == (*this).parent.address() {
                if let Some((processor, slot)) = Shared::slot_here(this) {
                    if processor.push(slot.cast(), object) == Outcome::Done(()) {
                        return;
                    }
                }
            }
            free_slow(this, object);
        }
    }

    /// The processor that this thread is on, and its slot, if it has one.
    ///
    /// # Safety
    /// `this` is a pool.
    #[inline(always)]
    unsafe fn slot_here(this: *const Shared) -> Option<(Processor, *mut Slot)> {
        // What the hardened build has in magazines is sealed, which sequences do not know.
        let processor = if HARDENED { None } else { Processor::current() }?;
        if processor.number() >= PROCESSORS {
            return None;
        }
        // SAFETY: the caller's promise. Acquire: what it points at is used.
        let slot = unsafe { (&(*this).slots)[processor.number()].load(Acquire) };
        (!slot.is_null()).then_some((processor, slot))
    }

    /// The slot of this number, made if there is none. Null if there is no memory.
    ///
    /// # Safety
    /// `this` is a pool.
    unsafe fn slot_or_new(this: *mut Shared, number: usize) -> *mut Slot {
        // SAFETY: the caller's promise.
        unsafe {
            let place = &(&(*this).slots)[number];
            // Acquire: what it points at is used.
            let slot = place.load(Acquire);
            if !slot.is_null() {
                return slot;
            }
            let made = blocks::take_in::<Slot>((*this).parent.home());
            if made.is_null() {
                return made;
            }
            ChildPool::create(&raw mut (*made).child, &raw const (*this).parent);
            TryLock::init(&raw mut (*made).lock);
            (&raw mut (*made).by_fork).write(false);
            // AcqRel: whoever finds it uses it, and what another thread has made is used.
            match place.compare_exchange(ptr::null_mut(), made, AcqRel, Acquire) {
                Ok(_) => made,
                Err(others) => {
                    ChildPool::destroy(&raw mut (*made).child);
                    (*made).lock.destroy();
                    blocks::give_back(made);
                    others
                }
            }
        }
    }

    /// Takes a slot, or null if others have all.
    ///
    /// # Safety
    /// `this` is a pool.
    #[inline(never)]
    unsafe fn take(this: *mut Shared) -> *mut Slot {
        #[cfg(unix)]
        if FORKING.load(Relaxed) {
            stand_back();
        }
        let thread = os::thread_id();
        // SAFETY: the caller's promise.
        let taken =
            unsafe { Shared::take_here(this, thread).or_else(|| Shared::take_any(this, thread)) };
        taken.unwrap_or(ptr::null_mut())
    }

    /// Takes the slot of the processor that this thread is on, if nobody has it.
    ///
    /// # Safety
    /// `this` is a pool.
    unsafe fn take_here(this: *mut Shared, thread: usize) -> Option<*mut Slot> {
        /// So often may a thread be interrupted: a debugger that goes step by step interrupts always.
        const MOST: usize = 100;
        // SAFETY: the caller's promise.
        unsafe {
            for _ in 0..MOST {
                let processor = if HARDENED { None } else { Processor::find() }?;
                if processor.number() >= PROCESSORS {
                    return None;
                }
                let slot = Shared::slot_or_new(this, processor.number());
                if slot.is_null() {
                    return None;
                }
                match processor.take(slot.cast(), thread) {
                    Outcome::Done(()) => return Some(slot),
                    Outcome::Not => return None,
                    Outcome::Interrupted => (),
                }
            }
            None
        }
    }

    /// Takes a slot of those for all that nobody has.
    ///
    /// # Safety
    /// `this` is a pool.
    unsafe fn take_any(this: *mut Shared, thread: usize) -> Option<*mut Slot> {
        // The upper bits of the product depend on all bits of the number.
        let first = ((thread as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize;
        (0..FOR_ALL).find_map(|tried| {
            // SAFETY: the caller's promise.
            unsafe {
                let number = PROCESSORS + (first + tried) % FOR_ALL;
                let slot = Shared::slot_or_new(this, number).as_ref()?;
                slot.lock.try_lock(thread).then(|| ptr::from_ref(slot).cast_mut())
            }
        })
    }
}

/// Allocates what no sequence has given.
///
/// # Safety
/// As for [`Shared::alloc`].
#[cold]
#[inline(never)]
unsafe extern "C" fn alloc_slow(this: *mut Shared) -> *mut c_void {
    // SAFETY: the caller's promise; who has taken a slot uses its child alone.
    unsafe {
        let slot = Shared::take(this);
        if slot.is_null() {
            let child = &mut Passing::of(this).0;
            return ChildPool::alloc(child);
        }
        let object = ChildPool::alloc(&raw mut (*slot).child);
        (*slot).lock.unlock();
        object
    }
}

/// Frees what no sequence has taken.
///
/// # Safety
/// As for [`Shared::free`].
#[cold]
#[inline(never)]
unsafe extern "C" fn free_slow(this: *mut Shared, object: *mut u8) {
    if object.is_null() {
        return;
    }
    // SAFETY: the caller's promise; who has taken a slot uses its child alone.
    unsafe {
        let slot = Shared::take(this);
        if slot.is_null() {
            let child = &mut Passing::of(this).0;
            return ChildPool::free(child, object.cast());
        }
        ChildPool::free(&raw mut (*slot).child, object.cast());
        (*slot).lock.unlock();
    }
}

/// A child for one call.
struct Passing(ChildPool);

impl Passing {
    /// # Safety
    /// `pool` is one, for as long as this is there.
    #[cold]
    #[inline(never)]
    unsafe fn of(pool: *mut Shared) -> Passing {
        let mut child = MaybeUninit::uninit();
        // SAFETY: the caller's promise. The child moves before it is used.
        unsafe {
            ChildPool::create(child.as_mut_ptr(), &raw const (*pool).parent);
            Passing(child.assume_init())
        }
    }
}

impl Drop for Passing {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {
        // SAFETY: the child is this call's, and its pool is there.
        unsafe { ChildPool::destroy(&mut self.0) }
    }
}

/// How many times a fork looks for what another thread has, a millisecond apart, for all pools
/// together.
#[cfg(unix)]
const MOST: u32 = 500;
/// A fork waits for what others have. What many threads want is never free for long, so that they
/// stand back from it. Relaxed: it is only a hint.
#[cfg(unix)]
static FORKING: AtomicBool = AtomicBool::new(false);

/// Waits until the fork that is going on is over, or for too long.
#[cfg(unix)]
#[cold]
#[inline(never)]
fn stand_back() {
    let mut looks = 0;
    while FORKING.load(Relaxed) && looks < MOST {
        looks += 1;
        os::pause();
    }
}

/// Looks until something is done, at most so often.
#[cfg(unix)]
fn until(looks: &mut u32, mut is_done: impl FnMut() -> bool) -> bool {
    while !is_done() {
        if *looks == 0 {
            return false;
        }
        *looks -= 1;
        os::pause();
    }
    true
}

/// Calls `work` with each pool.
///
/// # Safety
/// The lock of [`super::making`] is held.
#[cfg(unix)]
unsafe fn for_each(mut work: impl FnMut(*mut Shared)) {
    let mut pool = FIRST.load(Relaxed);
    // SAFETY: the pools of the list exist while the lock is held.
    unsafe {
        while !pool.is_null() {
            work(pool);
            pool = (*pool).next;
        }
    }
}

/// Takes all slots before fork(). What another thread keeps for too long is left, and so is what
/// this one had when it was interrupted.
///
/// # Safety
/// The lock of [`super::making`] is held, and none of a later rank.
#[cfg(unix)]
pub(super) unsafe fn take_slots() {
    FORKING.store(true, Relaxed);
    let (thread, mut looks) = (os::thread_id(), MOST);
    // SAFETY: the caller's promise; slots stay for as long as their pool.
    unsafe {
        for_each(|pool| {
            (*pool).is_interrupted = false;
            for slot in &(*pool).slots {
                let slot = slot.load(Acquire);
                if slot.is_null() {
                    continue;
                }
                if (*slot).lock.holder() == thread {
                    (*pool).is_interrupted = true;
                } else {
                    (*slot).by_fork = until(&mut looks, || (*slot).lock.try_lock(thread));
                }
            }
        });
    }
}

/// Locks all parents before fork(), as far as others let them go.
///
/// # Safety
/// [`take_slots`] was called, and no lock of a later rank is held than that of the round over pools.
#[cfg(unix)]
pub(super) unsafe fn lock_parents() {
    let mut looks = MOST;
    // SAFETY: the caller's promise.
    unsafe {
        for_each(|pool| {
            let interrupted = (*pool).is_interrupted;
            if let Some(body) = (*pool).parent.pool().filter(|_| !interrupted) {
                let mutex = &body.entry().mutex;
                (*pool).locked_by_fork = until(&mut looks, || mutex.try_lock());
            }
        });
    }
}

/// Unlocks them behind fork(), in the process that forked or in the new one.
///
/// # Safety
/// [`lock_parents`] was called, in this thread or in the one that this process was forked from.
#[cfg(unix)]
pub(super) unsafe fn unlock_parents(in_new_process: bool) {
    // SAFETY: the caller's promise; what was locked is unlocked.
    unsafe {
        for_each(|pool| {
            if mem::take(&mut (*pool).locked_by_fork) {
                if let Some(body) = (*pool).parent.pool() {
                    body.entry().mutex.unlock_behind_fork(in_new_process);
                }
            }
        });
    }
}

/// Gives the slots back behind fork().
///
/// # Safety
/// [`take_slots`] was called, in this thread or in the one that this process was forked from.
#[cfg(unix)]
pub(super) unsafe fn give_slots() {
    FORKING.store(false, Relaxed);
    // SAFETY: the caller's promise; what was taken is given back.
    unsafe {
        for_each(|pool| {
            for slot in &(*pool).slots {
                let slot = slot.load(Acquire);
                if !slot.is_null() && mem::take(&mut (*slot).by_fork) {
                    (*slot).lock.unlock();
                }
            }
        });
    }
}

/// The words that are not under a lock: address and bytes.
#[cfg(feature = "debug")]
pub(super) fn atomics() -> (usize, usize) {
    #[cfg(unix)]
    return ((&raw const FORKING).addr(), size_of::<AtomicBool>());
    #[cfg(not(unix))]
    (0, 0)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::heap::Home;

    #[test]
    fn a_pool_without_objects_has_a_lock_for_forks() {
        let options = Options { item_size: 64, num_items: 16, name: b"", home: Home::PROCESS };
        let this = Shared::create(&options);
        assert!(!this.is_null());
        // SAFETY: the pool is this test's.
        unsafe {
            assert!((*this).parent.pool().is_some());
            Shared::destroy(this);
        }
    }
}
