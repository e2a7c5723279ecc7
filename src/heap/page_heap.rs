// SPDX-License-Identifier: MIT
//! The page heap: one per copy of the library, under one lock, shared by all parent pools.
//!
//! It hands out slabs (page runs of chunks) and magazine blocks, takes them back, and looks after
//! slabs in limbo.
//!
//! Free memory stays for a while ([`crate::heap::decay`]). Then chunks that are wholly free are
//! released but for one, and the dirty runs of the others are purged. The system is never called
//! with the lock held: runs to be purged are taken out as if they were in use, and put back as
//! clean.
//!
//! **Limbo.** A parent may be destroyed, or created anew, while objects of it are out. Its slabs
//! then change their owner word to LIMBO: no parent pool, old or new, at this or another address,
//! is their owner, and their objects are freed here, under the heap's lock. The last object that
//! goes takes the slab with it.
//!
//! **Fork.** See `life::fork`.

use core::cell::UnsafeCell;
use core::ptr;

use super::chunk::{
    self, Chunk, GUARDED, LIMBO, MAGAZINES, PARKED, owner_if_any, owner_of, slab_of,
};
use super::decay::SMALL_HEAP;
use super::kit::Kit;
use super::known::KNOWN;
use super::magazine::Magazine;
use super::names::{self, Name};
use super::numbers::HeapNumbers;
use super::slab::Slab;
use super::state::{State, Unused};
use super::surplus::Surplus;

use crate::base::geometry::{Geometry, HEADER_PAGES, NAME_CLASS, PAGES, class_of};
use crate::base::misuse::Misuse;
use crate::base::redzone;
use crate::hooks;
use crate::sys::os;
use crate::sys::sync::across_fork::ForkMutex;
use crate::sys::sync::atomic::AtomicU32;
use crate::sys::sync::{Lock, rank, writes};

/// The heap of this copy of the library.
pub(crate) static HEAP: Heap = Heap::new();

/// A lock and what it protects.
pub(crate) struct Heap {
    mutex: ForkMutex,
    pub(super) state: UnsafeCell<State>,
    /// The second in which it was last looked for what is due.
    pub(super) last_tick: AtomicU32,
}

// SAFETY: the state is only reached with the mutex locked.
unsafe impl Sync for Heap {}

impl Heap {
    const fn new() -> Heap {
        Heap {
            mutex: ForkMutex::unlocked(),
            state: UnsafeCell::new(State::EMPTY),
            last_tick: AtomicU32::new(0),
        }
    }

    /// The words that are not under the lock: address and bytes of each row of them.
    #[cfg(feature = "debug")]
    pub(crate) fn atomics(&self) -> [(usize, usize); 2] {
        [((&raw const self.last_tick).addr(), size_of::<AtomicU32>()), self.mutex.atomics()]
    }

    pub(super) fn lock(&self) -> HeapGuard<'_> {
        self.lock_mutex();
        writes(self.state.get());
        HeapGuard(self)
    }

    #[inline(never)]
    fn lock_mutex(&self) {
        // SAFETY: no thread locks the heap twice (asserted in debug builds).
        unsafe { self.mutex.lock() }
        rank::heap_locked();
    }

    /// # Safety
    /// This thread holds the lock, and does not use what it protects any more.
    #[inline(never)]
    unsafe fn unlock_mutex(&self) {
        rank::heap_unlocking();
        // SAFETY: the caller's promise.
        unsafe { self.mutex.unlock() }
    }

    /// Locks before fork(), unless this thread was interrupted while it has the lock.
    ///
    /// # Safety
    /// [`Heap::after_fork`] follows.
    #[cfg(unix)]
    pub(crate) unsafe fn before_fork(&self) {
        // SAFETY: the caller's promise; there is no lock of a later rank.
        if unsafe { self.mutex.before_fork() } {
            rank::heap_locked();
        }
    }

    /// Unlocks behind fork(), in the process that forked or in the new one.
    ///
    /// # Safety
    /// `before_fork` was called, in this thread or in the one that this process was forked from.
    #[cfg(unix)]
    pub(crate) unsafe fn after_fork(&self, in_new_process: bool) {
        // SAFETY: the caller's promise.
        unsafe { self.mutex.after_fork(in_new_process, rank::heap_unlocking) };
    }

    fn try_lock(&self) -> Option<HeapGuard<'_>> {
        // SAFETY: the mutex is initialised.
        if !unsafe { self.mutex.try_lock() } {
            return None;
        }
        rank::heap_locked();
        writes(self.state.get());
        Some(HeapGuard(self))
    }

    /// Whether a thread, which may be this one, is just at it.
    pub(crate) fn is_locked(&self) -> bool {
        self.try_lock().is_none()
    }

    /// Makes an empty slab, on no list. Null if there is no memory.
    pub(crate) fn make_slab(&self, owner: usize, geometry: &Geometry) -> *mut Slab {
        if geometry.is_large() {
            return self.make_large(owner, geometry);
        }
        self.with_memory(|state| {
            let slab = state.carve(geometry, owner)?;
            KNOWN.add(owner, state.locked());
            Some(slab)
        })
        .unwrap_or(ptr::null_mut())
    }

    /// What a child of a pool without slabs starts with: the kit that another one left, or an empty
    /// magazine of this size whose quota is not set, or nothing if there is no memory.
    pub(crate) fn equipment(&self, parent: usize, geometry: &Geometry, mask: usize) -> Kit {
        let kit = self.with_memory(|state| {
            if let Some(kit) = state.claim(parent, geometry) {
                return Some(kit);
            }
            let block = state.take_block(class_of(mask))?;
            // SAFETY: the block is new, of the class's size and naturally aligned.
            let magazine = unsafe { Magazine::new(block) };
            Some(Kit { magazine, mask, ..Kit::NONE })
        });
        kit.unwrap_or(Kit::NONE)
    }

    /// Makes an empty magazine whose quota is not set. None if there is no memory.
    pub(crate) fn make_magazine(&self, class: u8) -> Magazine {
        let block = self.with_memory(|state| state.take_block(class));
        // SAFETY: the block is new, of the class's size and naturally aligned.
        block.map_or(Magazine::NONE, |block| unsafe { Magazine::new(block) })
    }

    /// Takes back what a parent has no use for, and looks for what is due if time has passed.
    #[inline(never)]
    pub(crate) fn take_back(&self, surplus: &mut Surplus) {
        if surplus.is_empty() {
            if let Some(now) = surplus.known_now() {
                self.tick(now);
            }
            return;
        }
        let now = surplus.now();
        let mut unused = Unused::NONE;
        let mut state = self.lock();
        state.absorb(surplus, now, &mut unused);
        self.decay(state, now, unused);
    }

    /// Forgets the name of a parent pool that goes, or whose memory went unannounced, and leaves
    /// its slabs in limbo. The empty ones are freed.
    ///
    /// Takes no time if there is nothing of it, else time in proportion to all slabs of the heap.
    ///
    /// # Safety
    /// No other call uses this parent or its objects.
    pub(crate) unsafe fn disown(&self, parent: usize) {
        if KNOWN.nothing_of(parent) {
            return;
        }
        let now = os::coarse_seconds();
        let mut unused = Unused::NONE;
        let mut empty = Surplus::EMPTY;
        let mut state = self.lock();
        state.forget(parent, now, &mut unused);
        if !KNOWN.nothing_of(parent) {
            for slab in state.slabs() {
                // SAFETY: the caller's promise stands for the parent's lock.
                unsafe {
                    if owner_of((*slab).base()) != parent {
                        // Another parent's.
                    } else if (*slab).is_empty() {
                        empty.add_slab(slab);
                    } else {
                        KNOWN.remove(parent, state.locked());
                        Chunk::set_owner(slab, LIMBO, state.locked());
                    }
                }
            }
        }
        state.absorb(&mut empty, now, &mut unused);
        self.decay(state, now, unused);
    }

    /// Frees an object whose slab is in limbo.
    ///
    /// # Safety
    /// The address is in a chunk.
    pub(crate) unsafe fn free_in_limbo(&self, object: *mut u8) -> Result<(), Misuse> {
        // SAFETY: the caller's promise.
        unsafe { self.put_in_limbo(object, true) }
    }

    /// The same for what was no object of the program's any more, by the address of its slot.
    ///
    /// # Safety
    /// The address is in a chunk.
    #[cfg(feature = "debug")]
    pub(crate) unsafe fn free_slot_in_limbo(&self, slot: *mut u8) -> Result<(), Misuse> {
        // SAFETY: the caller's promise.
        unsafe { self.put_in_limbo(slot, false) }
    }

    /// # Safety
    /// The address is in a chunk.
    unsafe fn put_in_limbo(&self, address: *mut u8, is_object: bool) -> Result<(), Misuse> {
        let now = os::coarse_seconds();
        let mut unused = Unused::NONE;
        let mut state = self.lock();
        // SAFETY: the caller's promise; the slab of a limbo page belongs to the lock that is held.
        let result = unsafe {
            if owner_of(address) == LIMBO {
                let slab = slab_of(address);
                let lead = redzone::lead((*slab).item().0, (*slab).stride());
                let slot = if is_object { address.wrapping_sub(lead) } else { address };
                let (_, result) = (*slab).put(&[slot]);
                if result.is_ok() && is_object {
                    hooks::freed_in_limbo(address, (*slab).item().0);
                }
                if result.is_ok() && (*slab).is_empty() {
                    state.free_object_slab(slab, now, &mut unused);
                }
                result
            } else {
                // Between the caller's look at the word and the lock, another call freed the slab.
                Err(Misuse::DoubleFree)
            }
        };
        self.decay(state, now, unused);
        result
    }

    /// Gives back to the system whatever is free, unless a thread is just at it. Called when the
    /// library is unloaded, which may be the end of a process that was interrupted anywhere.
    pub(crate) fn release_free_memory(&self) {
        let mut unused = Unused::NONE;
        let Some(mut guard) = self.try_lock() else { return };
        let state = &mut *guard;
        state.unpark(os::coarse_seconds(), &mut unused);
        state.drop_spare_magazines(&mut unused);
        state.release_whole(0, &mut unused);
        drop(guard);
        unused.release();
    }

    /// Gives a parent pool a name, cut to [`crate::base::geometry::NAME_BYTES`]. Null if there is
    /// no memory.
    ///
    /// # Safety
    /// Nobody reads the pool's name at the same time: its lock is held.
    pub(crate) unsafe fn set_name(&self, parent: usize, text: &[u8]) -> *mut Name {
        let Some(name) = self.named(parent) else { return ptr::null_mut() };
        let state = self.lock();
        // SAFETY: the caller's promise.
        unsafe { names::set(name, text, state.locked()) };
        name
    }

    /// The name of a pool, an empty one if it has none yet. None if there is no memory.
    fn named(&self, parent: usize) -> Option<*mut Name> {
        self.with_memory(|state| {
            let name = state.names.find(parent);
            if !name.is_null() {
                return Some(name);
            }
            let block = state.take_block(NAME_CLASS)?;
            KNOWN.add(parent, state.locked());
            // SAFETY: the block is new.
            Some(unsafe { state.names.add(block, parent) })
        })
    }

    /// Counts a child of a pool that is used for the first time, or one that goes. Without memory
    /// it is not counted.
    #[cfg(feature = "debug")]
    pub(crate) fn count_child(&self, parent: usize, comes: bool) {
        if !comes || self.named(parent).is_some() {
            self.lock().names.count_child(parent, comes);
        }
    }

    /// How many children were counted of a pool and did not go.
    #[cfg(feature = "debug")]
    pub(crate) fn children(&self, parent: usize) -> usize {
        if KNOWN.nothing_of(parent) { 0 } else { self.lock().names.children(parent) }
    }

    /// Calls `look` with the name of a pool, unless a thread, which may be this one, is just at the
    /// heap.
    #[cfg(feature = "debug")]
    pub(crate) fn with_name(&self, parent: usize, look: impl FnOnce(&[u8])) {
        if let Some(state) = self.try_lock() {
            look(state.name(parent));
        }
    }

    /// Calls `look` with the heap locked.
    pub(crate) fn with_state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// The numbers of the heap. Takes time in proportion to all slabs.
    pub(crate) fn numbers(&self) -> HeapNumbers {
        self.with_state(State::numbers)
    }

    /// Runs `request`, and again for as long as it finds no memory and there is more to be had.
    fn with_memory<T>(&self, mut request: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(answer) = request(&mut state) {
                return Some(answer);
            }
            state = self.grow(state)?;
        }
    }

    /// Frees the kit, commits more of a chunk, or adds one, for which the lock is dropped and taken
    /// again. None if there is no memory.
    #[inline(never)]
    fn grow<'a>(&'a self, mut state: HeapGuard<'a>) -> Option<HeapGuard<'a>> {
        let mut unused = Unused::NONE;
        if state.unpark(os::coarse_seconds(), &mut unused) {
            // It was no large object, so that no chunk is to be released.
            return Some(state);
        }
        if let Some(step) = state.begin_step() {
            drop(state);
            let committed = step.commit();
            state = self.lock();
            // SAFETY: it was begun above.
            unsafe { state.end_step(step, committed) }
            return committed.map(|_| state);
        }
        let ([mut end, least], huge_pages) = (state.first_steps(), state.mapped >= SMALL_HEAP);
        drop(state);
        let mut chunk = Chunk::reserve(end, huge_pages);
        if chunk.is_null() && end != least {
            end = least;
            chunk = Chunk::reserve(end, huge_pages);
        }
        if chunk.is_null() {
            return None;
        }
        state = self.lock();
        // SAFETY: the chunk is new and whole, and on no list.
        unsafe {
            if end == PAGES || state.growing.is_null() {
                state.adopt(chunk);
            } else {
                // Another thread has added one meanwhile, of which more is to be committed first.
                drop(state);
                Chunk::release(chunk);
                state = self.lock();
            }
        }
        Some(state)
    }

    fn make_large(&self, owner: usize, geometry: &Geometry) -> *mut Slab {
        let huge_pages = self.with_state(|state| state.mapped >= SMALL_HEAP);
        let chunk = Chunk::reserve_large(geometry.stride as usize, huge_pages);
        if chunk.is_null() {
            return ptr::null_mut();
        }
        let mut state = self.lock();
        KNOWN.add(owner, state.locked());
        // SAFETY: the chunk is new and was reserved for this object.
        unsafe {
            state.adopt(chunk);
            Chunk::open(chunk, HEADER_PAGES, geometry, owner, state.locked())
        }
    }
}

/// The locked heap. The state is reached through this only.
pub(super) struct HeapGuard<'a>(&'a Heap);

impl core::ops::Deref for HeapGuard<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        // SAFETY: the lock is held for as long as this exists.
        unsafe { &*self.0.state.get() }
    }
}

impl core::ops::DerefMut for HeapGuard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        // SAFETY: as above.
        unsafe { &mut *self.0.state.get() }
    }
}

impl Drop for HeapGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: the lock is held for as long as this exists.
        unsafe { self.0.unlock_mutex() }
    }
}

/// What an owner word means.
pub(crate) enum Owner {
    /// A parent pool, at this address.
    Parent(usize),
    /// None any more.
    Limbo,
    /// The guards, whatever pool it is of.
    Guards,
    /// The page has no objects.
    None,
}

/// Who owns the slab that an address lies in, whatever it is an address of.
///
/// # Safety
/// If it is in a chunk, that is not released meanwhile, as while an object of it is out.
pub(crate) unsafe fn owner(object: *mut u8) -> Owner {
    // SAFETY: the caller's promise.
    match unsafe { owner_if_any(object) } {
        chunk::FREE | MAGAZINES | PARKED => Owner::None,
        LIMBO => Owner::Limbo,
        GUARDED => Owner::Guards,
        parent => Owner::Parent(parent),
    }
}

#[cfg(test)]
mod tests;
