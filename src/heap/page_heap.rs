// SPDX-License-Identifier: MIT
//! The page heap: one per copy of the library, under one lock, shared by all parent pools.
//!
//! It hands out slabs (page runs of chunks) and magazine blocks, takes them back, and looks after
//! slabs in limbo.
//!
//! Free memory stays for a while ([`crate::heap::decay`]). Then chunks that are wholly free are
//! released but for one, and the dirty runs of the others are purged. The system is never called
//! with the lock held: runs to be purged are taken out as if they were in use, and put back as
//! clean, or clean in part.
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
use super::decay::{ALL, LAST_SHARE, SMALL_HEAP};
use super::home::Home;
use super::kit::{Kit, Parking};
#[cfg(feature = "ext")]
use super::lent::Lent;
use super::magazine::Magazine;
use super::names::Name;
use super::numbers::HeapNumbers;
use super::pools::{Entry, Pools};
use super::slab::Slab;
use super::spares::Spares;
use super::state::{State, Unused};
use super::surplus::Surplus;

use crate::base::geometry::{Geometry, NAME_CLASS, PAGE, PAGES, class_of};
use crate::base::layout::{Field, layout};
use crate::base::misuse::Misuse;
use crate::hooks;
use crate::sys::os;
use crate::sys::sync::across_fork::ForkMutex;
use crate::sys::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use crate::sys::sync::{Lock, rank, writes};

/// The heap of this copy of the library.
pub(crate) static HEAP: Heap = Heap::new();

/// For a walker outside of the process.
pub(crate) const LAYOUT: &[Field] = layout!(
    "heap", Heap: mutex, state, pools, spares, parking
);
/// Where the heap is.
pub(crate) const PLACE: *const () = (&raw const HEAP).cast();

/// A lock and what it protects.
pub(crate) struct Heap {
    mutex: ForkMutex,
    pub(super) state: UnsafeCell<State>,
    /// The second in which it was last looked for what is due.
    pub(super) last_tick: AtomicU32,
    /// Whether the decay time is 0, for who has another lock.
    pub(super) keeps_nothing: AtomicBool,
    pub(super) pools: Pools,
    /// Entries that are no pool's.
    pub(super) spares: Spares,
    /// What a pool's last child has left.
    pub(super) parking: Parking,
}

// SAFETY: the state is only reached with the mutex locked.
unsafe impl Sync for Heap {}

/// Some thread, which may be this one, has the heap's lock.
pub(crate) struct IsLocked;

/// A pool that is held, and the place behind it; None if there is no further one.
pub(crate) type Held = Option<(*mut Entry, usize)>;

impl Heap {
    const fn new() -> Heap {
        Heap {
            mutex: ForkMutex::unlocked(),
            state: UnsafeCell::new(State::EMPTY),
            last_tick: AtomicU32::new(0),
            keeps_nothing: AtomicBool::new(false),
            pools: Pools::none(),
            spares: Spares::none(),
            parking: Parking::empty(),
        }
    }

    /// The words that are not under the lock: address and bytes of each row of them.
    #[cfg(feature = "debug")]
    pub(crate) fn atomics(&self) -> [(usize, usize); 6] {
        [
            ((&raw const self.last_tick).addr(), size_of::<AtomicU32>()),
            ((&raw const self.keeps_nothing).addr(), size_of::<AtomicBool>()),
            self.mutex.atomics(),
            ((&raw const self.pools).addr(), size_of::<Pools>()),
            ((&raw const self.spares).addr(), size_of::<Spares>()),
            ((&raw const self.parking).addr(), size_of::<Parking>()),
        ]
    }

    pub(super) fn lock(&self) -> HeapGuard<'_> {
        self.lock_mutex();
        writes(self.state.get());
        HeapGuard(self, Home::PROCESS)
    }

    /// Locks for a tool that knows what one thread hands to another by their mutexes alone, where the
    /// order comes from a word.
    pub(super) fn lock_if_watched(&self) -> Option<HeapGuard<'_>> {
        os::is_watched().then(|| self.lock())
    }

    #[inline(never)]
    fn lock_mutex(&self) {
        // SAFETY: no thread locks the heap twice (asserted in debug builds).
        unsafe { self.mutex.lock() }
        self.locked();
    }

    /// Notes that the lock was just taken.
    fn locked(&self) {
        rank::heap_locked();
        // SAFETY: the lock is held, and nobody has a reference to the state yet.
        unsafe { (*self.state.get()).begin() }
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
    /// As for [`ForkMutex::before_fork`].
    #[cfg(unix)]
    pub(crate) unsafe fn before_fork(&self) {
        // SAFETY: the caller's promise.
        if unsafe { self.mutex.before_fork() } {
            rank::heap_locked();
        }
    }

    /// Whether this thread was interrupted while it has the lock.
    #[cfg(unix)]
    pub(crate) fn is_interrupted(&self) -> bool {
        self.mutex.is_interrupted()
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

    /// Takes the lock from a fork that does not come back.
    ///
    /// # Safety
    /// As for [`ForkMutex::take_from_fork`].
    #[cfg(unix)]
    pub(crate) unsafe fn take_from_fork(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.mutex.take_from_fork() };
    }

    #[inline(never)]
    fn try_lock(&self) -> Option<HeapGuard<'_>> {
        // SAFETY: the mutex is initialised.
        if !unsafe { self.mutex.try_lock() } {
            return None;
        }
        self.locked();
        writes(self.state.get());
        Some(HeapGuard(self, Home::PROCESS))
    }

    /// Whether a thread, which may be this one, is just at it.
    pub(crate) fn is_locked(&self) -> bool {
        self.try_lock().is_none()
    }

    /// Makes `most` empty slabs, linked by `next`: one at least, unless there is no memory, for which
    /// null is returned. Further ones are made only if the heap need not grow for them.
    pub(crate) fn make_slabs(
        &self,
        home: Home,
        owner: usize,
        geometry: &Geometry,
        most: usize,
    ) -> *mut Slab {
        if geometry.is_large() {
            return self.make_large(home, owner, geometry);
        }
        let slabs = self.with_memory(home, |state| {
            let first = state.carve(geometry, owner)?;
            let mut last = first;
            for _ in 1..most {
                let Some(slab) = state.carve(geometry, owner) else { break };
                // SAFETY: the slab is new, and nobody else knows it.
                unsafe { (*last).next.set(slab) };
                last = slab;
            }
            Some(first)
        });
        slabs.unwrap_or(ptr::null_mut())
    }

    /// Makes an empty slab, on no list. Null if there is no memory.
    #[cfg(test)]
    pub(crate) fn make_slab(&self, owner: usize, geometry: &Geometry) -> *mut Slab {
        self.make_slabs(Home::PROCESS, owner, geometry, 1)
    }

    /// What a child of a pool without slabs starts with: the kit that another one left, or an empty
    /// magazine of this size whose quota is not set, or nothing if there is no memory.
    pub(crate) fn equipment(
        &self,
        home: Home,
        parent: usize,
        geometry: &Geometry,
        mask: usize,
    ) -> Kit {
        let kit = if home.is_process() { self.claim_kit(parent, geometry) } else { None };
        kit.unwrap_or_else(|| {
            let magazine = self.make_magazine(home, class_of(mask));
            Kit { magazine, mask, ..Kit::NONE }
        })
    }

    /// Makes an empty magazine whose quota is not set. None if there is no memory.
    #[inline(never)]
    pub(crate) fn make_magazine(&self, home: Home, class: u8) -> Magazine {
        let block = self.with_memory(home, |state| state.take_block(class));
        // SAFETY: the block is new, of the class's size and naturally aligned.
        block.map_or(Magazine::NONE, |block| unsafe { Magazine::new(block) })
    }

    /// The same where it is for speed alone, and not if the system has lately had no memory: objects
    /// that were freed are to have room again.
    pub(crate) fn make_magazine_if_plenty(&self, home: Home, class: u8) -> Magazine {
        let starved = self.lock().of(home).starved;
        if starved { Magazine::NONE } else { self.make_magazine(home, class) }
    }

    /// Takes back what a parent has no use for, and looks for what is due if time has passed. Returns
    /// whether the system was given anything.
    #[inline(never)]
    pub(crate) fn take_back(&self, surplus: &mut Surplus) -> bool {
        if surplus.is_empty() {
            return surplus.known_now().is_some_and(|now| self.tick(now));
        }
        let (now, since) = (surplus.now(), surplus.since());
        let mut unused = Unused::NONE;
        let mut state = self.lock();
        let free = state.free_pages;
        state.absorb(surplus, since, &mut unused);
        let brought = state.free_pages.saturating_sub(free);
        // There may be no further call for what is left over.
        let brought = if surplus.is_last() { LAST_SHARE.saturating_mul(brought) } else { brought };
        self.decay(state, now, brought, unused)
    }

    /// Whether there is surely no pool at this address.
    #[cfg_attr(feature = "ext", inline(never))]
    fn has_no_pool_at(&self, parent: usize) -> bool {
        self.pools.has_none_at(parent, |entry| self.spares.has(entry))
    }

    /// The entry of the pool at this address, or null: of one that is there, or was there and never
    /// ended. It stays for as long as no other call uses the pool.
    #[inline(never)]
    pub(crate) fn find_pool(&self, parent: usize) -> *mut Entry {
        if self.has_no_pool_at(parent) {
            return ptr::null_mut();
        }
        let state = self.lock();
        self.pools.find(parent, state.locked())
    }

    /// Holds the first pool from a place on, so that its block stays, and says which place is behind
    /// it; see [`Pools::first_from`]. One thread at a time does so. Does not wait for the lock.
    #[inline(never)]
    pub(crate) fn hold_pool_from(&self, place: usize) -> Result<Held, IsLocked> {
        let state = self.try_lock().ok_or(IsLocked)?;
        Ok(self.pools.first_from(place, state.locked()).map(|(entry, next)| {
            entry.hold(state.locked());
            (ptr::from_ref(entry).cast_mut(), next)
        }))
    }

    /// Holds the pool at this address, if there is one. One thread at a time does so, or the above.
    /// Does not wait for the lock.
    #[cfg(feature = "ext")]
    #[inline(never)]
    pub(crate) fn hold_pool_at(&self, parent: usize) -> Result<Option<*mut Entry>, IsLocked> {
        let state = self.try_lock().ok_or(IsLocked)?;
        let entry = self.pools.find(parent, state.locked());
        // SAFETY: an entry that is found belongs to the lock that is held.
        let Some(found) = (unsafe { entry.as_ref() }) else { return Ok(None) };
        found.hold(state.locked());
        Ok(Some(entry))
    }

    /// Lets a pool go that was held so. What is returned is to be released when nothing is locked.
    /// Does not wait for the lock either.
    ///
    /// # Safety
    /// It is held, and no thread uses it for that reason.
    #[inline(never)]
    pub(crate) unsafe fn let_pool_go(&self, entry: *mut Entry) -> Result<Unused, IsLocked> {
        let mut unused = Unused::NONE;
        let state = self.try_lock().ok_or(IsLocked)?;
        // SAFETY: the caller's promise; an entry is a block.
        unsafe {
            let mut state = state.of(Home::of(entry));
            if (*entry).let_go(state.locked()) {
                state.free_entry(entry, os::coarse_seconds(), &mut unused);
            }
        }
        Ok(unused)
    }

    /// Waits until a thread that has the lock does not.
    pub(crate) fn wait(&self) {
        drop(self.lock());
    }

    /// Makes the entry of a pool, and all that lies behind it, in a block of this class. Null if
    /// there is no memory.
    ///
    /// # Safety
    /// `make` makes an entry of the block that it is given.
    #[inline(never)]
    pub(crate) unsafe fn enrol(
        &self,
        home: Home,
        class: u8,
        mut make: impl FnMut(*mut u8) -> *mut Entry,
    ) -> *mut Entry {
        let entry = self.with_memory(home, |state| {
            let entry = make(state.take_block(class)?);
            // SAFETY: the caller's promise; an entry stays until it is struck out.
            unsafe { self.pools.add(entry, state.locked()) };
            Some(entry)
        });
        entry.unwrap_or(ptr::null_mut())
    }

    /// A spare entry, if there is one, in the place for a pool at this address; else null.
    #[inline(never)]
    pub(crate) fn take_spare(&self, parent: usize) -> *mut Entry {
        let spare = self.spares.take(parent);
        let mut locked = self.lock_if_watched();
        // SAFETY: it was a spare, and is this thread's now.
        unsafe {
            if !spare.is_null() && !self.pools.is_at_home(spare, parent) {
                let state = locked.get_or_insert_with(|| self.lock());
                self.pools.rehouse(spare, parent, state.locked());
            }
        }
        spare
    }

    /// Keeps the entry of a pool that has ended for the next one, perhaps instead of another one.
    ///
    /// # Safety
    /// The pool has no slab, magazine or name, and nobody uses it.
    #[inline(never)]
    pub(crate) unsafe fn leave_spare(&self, entry: *mut Entry, parent: usize) {
        let last = self.spares.leave(parent, entry);
        if !last.is_null() {
            let mut unused = Unused::NONE;
            let mut state = self.lock();
            // SAFETY: it was a spare, and is this thread's now.
            unsafe { self.free_spare(last, &mut state, &mut unused) }
            drop(state);
            unused.release();
        }
    }

    /// Frees the spare entries. The heap is locked.
    #[inline(never)]
    pub(super) fn drop_spares(&self, state: &mut State, unused: &mut Unused) {
        loop {
            let spare = self.spares.take_any();
            if spare.is_null() {
                return;
            }
            // SAFETY: it was a spare, and is this thread's now.
            unsafe { self.free_spare(spare, state, unused) }
        }
    }

    /// Frees a spare entry. The heap is locked.
    ///
    /// # Safety
    /// It was a spare, and is this thread's now.
    #[inline(never)]
    unsafe fn free_spare(&self, spare: *mut Entry, state: &mut State, unused: &mut Unused) {
        // SAFETY: the caller's promise.
        unsafe {
            self.pools.remove(spare, state.locked());
            state.free_entry(spare, os::coarse_seconds(), unused);
        }
    }

    /// Takes out the entry of a pool that has ended, with its name and its block. Takes back what
    /// it had no use for, and leaves its other slabs in limbo.
    ///
    /// # Safety
    /// Nobody uses the pool, and `slabs` calls what it is given with each
    /// slab of the pool that is not in the surplus; objects are out of all of these.
    #[inline(never)]
    pub(crate) unsafe fn strike_out(
        &self,
        entry: *mut Entry,
        surplus: &mut Surplus,
        slabs: impl FnOnce(&mut dyn FnMut(*mut Slab)),
    ) {
        let now = surplus.now();
        let mut unused = Unused::NONE;
        let mut state = self.lock();
        state.absorb(surplus, now, &mut unused);
        // SAFETY: the caller's promise.
        unsafe {
            slabs(&mut |slab| Chunk::set_owner(slab, LIMBO, state.locked()));
            self.pools.remove(entry, state.locked());
            (*entry).end();
            state.state_of(Home::of(entry)).free_entry(entry, now, &mut unused);
        }
        self.decay(state, now, ALL, unused);
    }

    /// The same for a pool whose mutex will never be free, as the thread that had it is gone: what
    /// it keeps is lost, but its slabs are found by their owner words. Takes time in proportion to
    /// all slabs of the heap.
    ///
    /// # Safety
    /// No other call uses the pool.
    #[cold]
    pub(crate) unsafe fn disown(&self, entry: *mut Entry, parent: usize) {
        // SAFETY: an entry is a block.
        let state = self.lock().of(unsafe { Home::of(entry) });
        for slab in state.slabs() {
            // SAFETY: the caller's promise stands for the pool's lock.
            unsafe {
                if owner_of((*slab).base()) == parent {
                    Chunk::set_owner(slab, LIMBO, state.locked());
                }
            }
        }
        // SAFETY: the caller's promise. The block is never used again.
        unsafe {
            self.pools.remove(entry, state.locked());
            (*entry).end();
        }
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
        let mut brought = 0;
        let mut state = self.lock();
        // SAFETY: the caller's promise; the slab of a limbo page belongs to the lock that is held.
        let result = unsafe {
            if owner_of(address) == LIMBO {
                let slab = slab_of(address);
                let lead = if is_object { (*slab).lead() } else { 0 };
                let slot = address.wrapping_sub(lead);
                let (_, result) = (*slab).put(&[slot]);
                if result.is_ok() && is_object {
                    hooks::freed_in_limbo(address, (*slab).item().0);
                }
                if result.is_ok() && (*slab).is_empty() {
                    brought = (*slab).bytes() / PAGE;
                    state.state_of(Home::of(slab)).free_slab(slab, now, &mut unused);
                }
                result
            } else {
                // Between the caller's look at the word and the lock, another call freed the slab.
                Err(Misuse::DoubleFree)
            }
        };
        self.decay(state, now, brought, unused);
        result
    }

    /// Gives back to the system whatever is free, unless a thread is just at it. Called when the
    /// library is unloaded, which may be the end of a process that was interrupted anywhere.
    pub(crate) fn release_free_memory(&self) {
        let mut unused = Unused::NONE;
        let Some(mut guard) = self.try_lock() else { return };
        self.unpark(&mut guard, os::coarse_seconds(), &mut unused);
        let state = &mut *guard;
        self.drop_spares(state, &mut unused);
        state.drop_spare_magazines(&mut unused);
        state.release_whole(0, &mut unused);
        state.give_up_kept(&mut unused);
        drop(guard);
        unused.release();
    }

    /// Gives a pool a name, cut to [`crate::base::geometry::NAME_BYTES`]. Returns false if there is
    /// no memory.
    ///
    /// # Safety
    /// The pool's mutex is held.
    pub(crate) unsafe fn set_name(&self, entry: &Entry, text: &[u8]) -> bool {
        // SAFETY: an entry is a block.
        let home = unsafe { Home::of(entry) };
        let set = self.with_memory(home, |state| {
            let mut name = entry.name_place();
            if name.is_null() {
                name = state.take_block(NAME_CLASS)?.cast();
            }
            // SAFETY: the caller's promise; it is a block for names, and the pool's.
            unsafe { Name::set(name, text, state.locked()) };
            entry.set_name(name, state.locked());
            Some(())
        });
        set.is_some()
    }

    /// How many children were counted of a pool and did not go.
    #[cfg(feature = "debug")]
    pub(crate) fn children(&self, parent: usize) -> usize {
        if self.has_no_pool_at(parent) {
            return 0;
        }
        let state = self.lock();
        let entry = self.pools.find(parent, state.locked());
        // SAFETY: an entry that is found belongs to the lock that is held. Relaxed: the pool is not
        // in use, or any recent value will do.
        if entry.is_null() { 0 } else { unsafe { (*entry).children.load(Relaxed) as usize } }
    }

    /// Calls `look` with the name of a pool, if it has one. Takes the heap's lock.
    pub(crate) fn with_name(&self, parent: usize, look: impl FnOnce(&[u8])) {
        if !self.has_no_pool_at(parent) {
            self.look_at_name(&self.lock(), parent, look);
        }
    }

    /// The same, unless a thread, which may be this one, is just at the heap.
    #[cfg(feature = "debug")]
    pub(crate) fn try_with_name(&self, parent: usize, look: impl FnOnce(&[u8])) {
        if let Some(state) = self.try_lock() {
            self.look_at_name(&state, parent, look);
        }
    }

    fn look_at_name(&self, state: &State, parent: usize, look: impl FnOnce(&[u8])) {
        // SAFETY: an entry that is found belongs to the lock that is held.
        if let Some(entry) = unsafe { self.pools.find(parent, state.locked()).as_ref() } {
            look(entry.name());
        }
    }

    /// Calls `look` with the heap locked.
    pub(crate) fn with_state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// The same with the state of any heap.
    pub(crate) fn with_state_of<T>(&self, home: Home, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock().of(home))
    }

    /// Calls `look` with the state of each heap, of which the first one is the process's.
    #[cfg(not(feature = "ext"))]
    #[inline(always)]
    pub(crate) fn with_each_state(&self, look: &mut dyn FnMut(&State)) {
        self.with_state(look);
    }

    /// Sees to what is left to be done when nothing is locked: nothing.
    #[cfg(not(feature = "ext"))]
    #[inline(always)]
    pub(crate) fn settle(&self) {}

    /// The numbers of the process's heap. Takes time in proportion to all slabs.
    pub(crate) fn numbers(&self) -> HeapNumbers {
        self.with_state(State::numbers)
    }

    /// Runs `request`, and again for as long as it finds no memory and there is more to be had.
    fn with_memory<T>(
        &self,
        home: Home,
        mut request: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.lock().of(home);
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
        if self.unpark(&mut state, os::coarse_seconds(), &mut unused) {
            // It was no large object, so that no chunk is to be released.
            return Some(state);
        }
        #[cfg(feature = "ext")]
        if let Some(lent) = Lent::of(state.home()) {
            state.owed.lack.chunk = true;
            // What a hook has comes when nothing is locked.
            let may_have_more = lent.memory.reserve.is_some() && !state.starved;
            return if may_have_more { None } else { self.scrape(state) };
        }
        if let Some(step) = state.begin_step() {
            drop(state);
            let committed = step.commit();
            state = self.lock();
            // SAFETY: it was begun above.
            unsafe { state.end_step(step, committed) }
            return if committed.is_some() { Some(state) } else { self.scrape(state) };
        }
        let ([mut end, least], huge_pages) = (state.first_steps(), state.mapped >= SMALL_HEAP);
        drop(state);
        let mut chunk = Chunk::reserve(end, huge_pages);
        if chunk.is_null() && end != least {
            end = least;
            chunk = Chunk::reserve(end, huge_pages);
        }
        if chunk.is_null() {
            return self.scrape(self.lock());
        }
        state = self.lock();
        // SAFETY: the chunk is new and whole, and on no list.
        unsafe {
            if end == PAGES || state.growing.is_null() {
                state.adopt(chunk);
            } else {
                // Another thread has added one meanwhile, of which more is to be committed first.
                Chunk::forget(chunk, state.locked());
                drop(state);
                Chunk::release(chunk);
                state = self.lock();
            }
        }
        Some(state)
    }

    /// When there is no memory to be had: frees what is kept although it is empty, and has the system
    /// take back what is kept for large objects, for which the lock is dropped and taken again. None
    /// if there is nothing.
    #[cold]
    fn scrape<'a>(&'a self, mut state: HeapGuard<'a>) -> Option<HeapGuard<'a>> {
        let mut unused = Unused::NONE;
        state.starved = true;
        let freed = state.drop_spare_magazines(&mut unused);
        state.give_up_kept(&mut unused);
        if unused.has_chunks() {
            let home = state.home();
            drop(state);
            unused.release();
            return Some(self.lock().of(home));
        }
        freed.then_some(state)
    }
}

/// The locked heaps, of which one is looked at. Their states are reached through this only.
pub(super) struct HeapGuard<'a>(&'a Heap, Home);

impl HeapGuard<'_> {
    /// Looks at this heap from now on.
    pub(super) fn of(mut self, home: Home) -> Self {
        self.1 = home;
        self
    }

    /// The heap that is looked at.
    pub(super) fn home(&self) -> Home {
        self.1
    }

    /// Where the state of a heap is.
    fn place(&self, _home: Home) -> *mut State {
        #[cfg(feature = "ext")]
        if let Some(lent) = Lent::of(_home) {
            return lent.state();
        }
        self.0.state.get()
    }

    /// The state of any heap.
    pub(super) fn state_of(&mut self, home: Home) -> &mut State {
        // SAFETY: the lock is held for as long as this exists, and this is borrowed meanwhile.
        unsafe { &mut *self.place(home) }
    }

    /// Takes back what is in a surplus, of whatever heap it is; it is free since then.
    #[inline(never)]
    pub(super) fn absorb(&mut self, surplus: &mut Surplus, since: u32, unused: &mut Unused) {
        // SAFETY: what is in a surplus is nobody else's, as whoever added it promised, and in a
        // chunk; but a block that came back twice may not be.
        unsafe {
            while let Some(slab) = surplus.take_slab() {
                self.state_of(Home::of(slab)).free_slab(slab, since, unused);
            }
            while let Some(block) = surplus.take_block() {
                if owner_if_any(block) != MAGAZINES {
                    unused.note_twice(block);
                } else {
                    self.state_of(Home::of(block)).put_block_of_slab(block, since, unused);
                }
            }
        }
    }
}

impl core::ops::Deref for HeapGuard<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        // SAFETY: the lock is held for as long as this exists.
        unsafe { &*self.place(self.1) }
    }
}

impl core::ops::DerefMut for HeapGuard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        // SAFETY: as above.
        unsafe { &mut *self.place(self.1) }
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
