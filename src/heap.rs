//! The page heap: one per copy of the library, under one lock, shared by all parent pools.
//!
//! It hands out slabs (page runs of chunks) and magazine blocks, takes them back, and looks after
//! slabs in limbo.
//!
//! Free memory stays for a while ([`crate::decay`]). Then chunks that are wholly free are released but for
//! one, and the dirty runs of the others are purged. The system is never called with the lock held: runs
//! to be purged are taken out as if they were in use, and put back as clean.
//!
//! **Limbo.** A parent may be destroyed, or created anew, while objects of it are out. Its slabs then
//! change their owner word to LIMBO: no parent pool, old or new, at this or another address, is their
//! owner, and their objects are freed here, under the heap's lock. The last object that goes takes the
//! slab with it.
//!
//! **Fork.** The lock is held across fork(), so that the child process finds the heap in order.

use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use crate::buddy::{Buddy, Run};
use crate::chunk::{self, Chunk, LIMBO, MAGAZINES, chunk_of, owner_of, slab_of};
use crate::chunk_lists::{ChunkLists, RELEASED};
use crate::decay::{Decay, excess};
use crate::geometry::{Geometry, HEADER_PAGES, LARGE, MAGAZINE_WORDS, PAGE, PAGE_SHIFT};
use crate::magazine::Magazine;
use crate::os;
use crate::report::Misuse;
use crate::slab::{Slab, SlabList};
use crate::surplus::Surplus;
use crate::sync::{Guard, Mutex, rank};

/// The heap of this copy of the library.
pub static HEAP: Heap = Heap::new();

/// A lock and what it protects.
pub struct Heap {
    mutex: Mutex,
    state: UnsafeCell<State>,
    /// The second in which it was last looked for what is due.
    last_tick: AtomicU32,
}

// SAFETY: the state is only reached with the mutex locked.
unsafe impl Sync for Heap {}

/// What the heap's lock protects, besides the metadata in chunks.
pub struct State {
    chunks: ChunkLists,
    /// Slabs of magazine blocks with a block free, by class. The last one is kept when it is empty.
    magazines: [SlabList; MAGAZINE_WORDS.len()],
    /// Slabs of parents and in limbo: if there is none, nothing needs to be searched.
    object_slabs: usize,
    decay: Decay,
    /// Address space of all chunks, in bytes.
    mapped: usize,
    /// Free pages of all chunks, and how many of them are dirty.
    free_pages: usize,
    dirty_pages: usize,
}

/// How many runs are purged at a time.
const BATCH: usize = 16;

/// Runs that are taken out to be purged.
struct Batch {
    runs: [(*mut Chunk, Run); BATCH],
    count: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.count == BATCH
    }

    fn add(&mut self, chunk: *mut Chunk, run: Run) {
        self.runs[self.count] = (chunk, run);
        self.count += 1;
    }

    fn runs(&self) -> &[(*mut Chunk, Run)] {
        &self.runs[..self.count]
    }
}

/// What is to be given back to the system.
struct Demand {
    /// Memory that is dirty since then or longer; all of it, whatever its age, if this is `u32::MAX`.
    until: Option<u32>,
    /// So many pages, whatever their age.
    excess: usize,
    /// How many chunks that are wholly free are kept.
    whole: usize,
}

impl Heap {
    const fn new() -> Heap {
        Heap {
            mutex: Mutex::unlocked(),
            state: UnsafeCell::new(State {
                chunks: ChunkLists::EMPTY,
                magazines: [const { SlabList::EMPTY }; MAGAZINE_WORDS.len()],
                object_slabs: 0,
                decay: Decay::DEFAULT,
                mapped: 0,
                free_pages: 0,
                dirty_pages: 0,
            }),
            last_tick: AtomicU32::new(0),
        }
    }

    fn lock(&self) -> HeapGuard<'_> {
        // SAFETY: no thread locks the heap twice (asserted in debug builds), and the state is reached
        // through this lock only.
        let guard = unsafe { Guard::lock(&self.mutex, self.state.get()) };
        rank::heap_locked();
        HeapGuard(guard)
    }

    /// Makes an empty slab, on no list. Null if there is no memory.
    pub fn make_slab(&self, owner: usize, geometry: &Geometry) -> *mut Slab {
        if geometry.is_large() {
            return self.make_large(owner, geometry);
        }
        self.with_memory(|state| {
            let slab = state.carve(geometry, owner)?;
            state.object_slabs += 1;
            Some(slab)
        })
        .unwrap_or(ptr::null_mut())
    }

    /// Makes an empty magazine whose quota is not set. None if there is no memory.
    pub fn make_magazine(&self, class: u8) -> Magazine {
        let block = self.with_memory(|state| state.take_block(class));
        // SAFETY: the block is new, of the class's size and naturally aligned.
        block.map_or(Magazine::NONE, |block| unsafe { Magazine::new(block) })
    }

    /// Takes back what a parent has no use for, and looks for what is due if time has passed.
    #[inline]
    pub fn take_back(&self, surplus: Surplus) {
        if !surplus.is_empty() {
            self.take_back_all(surplus);
        } else if let Some(now) = surplus.known_now() {
            self.tick(now);
        }
    }

    #[inline(never)]
    fn take_back_all(&self, mut surplus: Surplus) {
        let now = surplus.now();
        let mut unused = Unused::NONE;
        let mut state = self.lock();
        // SAFETY: what is in the surplus is nobody else's.
        unsafe { state.absorb(surplus, now, &mut unused) };
        self.decay(state, now, unused);
    }

    /// Gives back to the system what is due.
    fn tick(&self, now: u32) {
        // Relaxed: it only decides whether to look closer.
        if self.last_tick.load(Relaxed) != now {
            self.last_tick.store(now, Relaxed);
            self.decay(self.lock(), now, Unused::NONE);
        }
    }

    /// Gives back to the system what is due, and what is above the limit: one batch at most.
    fn decay<'a>(&'a self, mut state: HeapGuard<'a>, now: u32, mut unused: Unused) {
        let in_use = state.mapped / PAGE - state.free_pages;
        let excess = excess(state.dirty_pages, in_use);
        let due = state.decay.is_due(now);
        if excess != 0 || due {
            let until = if due { state.decay.until(now) } else { None };
            let demand = Demand { until, excess, whole: 1 };
            (state, _) = self.give_back(state, &demand, &mut unused);
        }
        drop(state);
        unused.release();
    }

    /// Purges one batch, for which the lock is dropped and taken again, and adds chunks that are to be
    /// released to `unused`. Returns whether there may be more to do.
    fn give_back<'a>(
        &'a self,
        mut state: HeapGuard<'a>,
        demand: &Demand,
        unused: &mut Unused,
    ) -> (HeapGuard<'a>, bool) {
        let mut batch =
            Batch { runs: [(ptr::null_mut(), Run { page: 0, order: 0 }); BATCH], count: 0 };
        state.collect(demand, &mut batch, unused);
        if batch.count != 0 {
            drop(state);
            for &(chunk, run) in batch.runs() {
                // SAFETY: the run is taken out, so that nobody uses it.
                unsafe { os::purge(chunk.cast::<u8>().add(run.page * PAGE), PAGE << run.order) }
            }
            state = self.lock();
            for &(chunk, run) in batch.runs() {
                // SAFETY: the chunk has had a run taken out, so that it was not released.
                unsafe {
                    state.change(chunk, |buddy| buddy.free_clean(run));
                    state.release_if_whole(chunk, demand.whole, unused);
                }
            }
        }
        (state, batch.is_full())
    }

    /// Gives back to the system everything that is free, and returns how many bytes of it may have had memory
    /// behind them.
    pub fn trim(&self) -> usize {
        let demand = Demand { until: Some(u32::MAX), excess: 0, whole: 0 };
        let mut state = self.lock();
        let mut unused = Unused::NONE;
        state.drop_spare_magazines(&mut unused);
        let before = state.resident();
        loop {
            let more;
            (state, more) = self.give_back(state, &demand, &mut unused);
            if !more {
                break;
            }
        }
        let after = state.resident();
        drop(state);
        unused.release();
        before.saturating_sub(after)
    }

    /// Sets for how many seconds free memory is kept for reuse, and returns what it was.
    pub fn set_decay(&self, seconds: u32) -> u32 {
        self.last_tick.store(0, Relaxed);
        self.lock().decay.set_seconds(seconds)
    }

    /// Leaves the slabs of a parent pool that goes, or went without a word, in limbo. The empty ones are
    /// freed.
    ///
    /// Takes time in proportion to all slabs of the heap.
    ///
    /// # Safety
    /// No other call uses this parent or its objects.
    pub unsafe fn disown(&self, parent: usize) {
        let now = os::coarse_seconds();
        let mut unused = Unused::NONE;
        let mut state = self.lock();
        if state.object_slabs != 0 {
            let mut empty = Surplus::new(0);
            let mut disown = |slab: *mut Slab| {
                // SAFETY: the heap's lock is held; the caller's promise stands for the parent's.
                unsafe {
                    if owner_of((*slab).base()) != parent {
                        // Another parent's.
                    } else if (*slab).is_empty() {
                        empty.add_slab(slab);
                    } else {
                        Chunk::set_owner(slab, LIMBO);
                    }
                }
            };
            // SAFETY: the heap's lock is held. What is in the surplus is nobody else's.
            unsafe {
                state.chunks.for_each(|chunk| Chunk::for_each_slab(chunk, &mut disown));
                state.absorb(empty, now, &mut unused);
            }
        }
        drop(state);
        unused.release();
    }

    /// Frees an object whose slab is in limbo.
    ///
    /// # Safety
    /// The address is in a chunk.
    pub unsafe fn free_in_limbo(&self, object: *mut u8) -> Result<(), Misuse> {
        let now = os::coarse_seconds();
        let mut unused = Unused::NONE;
        let mut state = self.lock();
        // SAFETY: the caller's promise; the slab of a limbo page belongs to the lock that is held.
        let result = unsafe {
            if owner_of(object) == LIMBO {
                let slab = slab_of(object);
                let (_, result) = (*slab).put(&[object]);
                if result.is_ok() && (*slab).is_empty() {
                    state.free_object_slab(slab, now, &mut unused);
                }
                result
            } else {
                // Between the caller's look at the word and the lock, another call freed the slab.
                Err(Misuse::DoubleFree)
            }
        };
        drop(state);
        unused.release();
        result
    }

    /// Gives back to the system whatever is free, unless a thread is just at it. Called when the library
    /// is unloaded, which may be the end of a process that was interrupted anywhere.
    pub fn release_free_memory(&self) {
        let mut unused = Unused::NONE;
        // SAFETY: as in `lock`.
        let Some(guard) = (unsafe { Guard::try_lock(&self.mutex, self.state.get()) }) else {
            return;
        };
        rank::heap_locked();
        let mut guard = HeapGuard(guard);
        let state = &mut *guard;
        state.drop_spare_magazines(&mut unused);
        while !state.chunks.whole().is_null() {
            let chunk = state.chunks.whole();
            // SAFETY: the chunk is on that list, and nothing of it is handed out.
            unsafe { state.release(chunk, &mut unused) }
        }
        drop(guard);
        unused.release();
    }

    /// Runs `request`, and again with a further chunk if it finds no memory.
    fn with_memory<T>(&self, mut request: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(answer) = request(&mut state) {
                return Some(answer);
            }
            drop(state);
            hold_across_fork();
            let chunk = Chunk::reserve();
            if chunk.is_null() {
                return None;
            }
            state = self.lock();
            // SAFETY: the chunk is new and whole, and on no list.
            unsafe { state.adopt(chunk) }
        }
    }

    fn make_large(&self, owner: usize, geometry: &Geometry) -> *mut Slab {
        hold_across_fork();
        let chunk = Chunk::reserve_large(geometry.stride as usize);
        if chunk.is_null() {
            return ptr::null_mut();
        }
        let mut state = self.lock();
        state.object_slabs += 1;
        // SAFETY: the chunk is new and was reserved for this object.
        unsafe {
            state.adopt(chunk);
            Chunk::open(chunk, HEADER_PAGES, geometry, owner)
        }
    }
}

/// The locked heap.
struct HeapGuard<'a>(Guard<'a, State>);

impl core::ops::Deref for HeapGuard<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        &self.0
    }
}

impl core::ops::DerefMut for HeapGuard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.0
    }
}

impl Drop for HeapGuard<'_> {
    fn drop(&mut self) {
        rank::heap_unlocking();
    }
}

impl State {
    /// Makes a slab of a run of the first chunk that has one.
    fn carve(&mut self, geometry: &Geometry, owner: usize) -> Option<*mut Slab> {
        let chunk = self.chunks.with_run(geometry.order);
        if chunk.is_null() {
            return None;
        }
        // SAFETY: the heap's lock is held, as `self` is its state.
        unsafe {
            let page = self.change(chunk, |buddy| buddy.alloc(geometry.order))?;
            Some(Chunk::open(chunk, page, geometry, owner))
        }
    }

    /// # Safety
    /// What is in the surplus is nobody else's.
    unsafe fn absorb(&mut self, mut surplus: Surplus, now: u32, unused: &mut Unused) {
        // SAFETY: the caller's promise.
        unsafe {
            while let Some(slab) = surplus.take_slab() {
                self.free_object_slab(slab, now, unused);
            }
            while let Some(block) = surplus.take_block() {
                self.put_block(block, now, unused);
            }
        }
    }

    /// # Safety
    /// `slab` is empty, on no list, and nobody else uses it.
    unsafe fn free_object_slab(&mut self, slab: *mut Slab, now: u32, unused: &mut Unused) {
        self.object_slabs -= 1;
        // SAFETY: the caller's promise.
        unsafe { self.free_slab(slab, now, unused) }
    }

    /// # Safety
    /// `slab` is empty, on no list, and nobody else uses it.
    unsafe fn free_slab(&mut self, slab: *mut Slab, now: u32, unused: &mut Unused) {
        // SAFETY: the caller's promise, and the heap's lock is held, as `self` is its state.
        unsafe {
            let (chunk, page, order) =
                (chunk_of(slab.cast()), (*slab).first_page(), (*slab).order());
            Chunk::close(slab);
            if order == LARGE {
                self.release(chunk, unused);
            } else {
                self.change(chunk, |buddy| buddy.free(page, order, now));
            }
        }
    }

    /// Changes the free runs of a chunk, and all that is noted of them.
    ///
    /// # Safety
    /// The chunk is on a list.
    unsafe fn change<T>(&mut self, chunk: *mut Chunk, change: impl FnOnce(&mut Buddy) -> T) -> T {
        // SAFETY: the caller's promise, and the heap's lock is held, as `self` is its state.
        unsafe {
            let buddy = &mut (*chunk).buddy;
            self.free_pages -= buddy.free_pages();
            self.dirty_pages -= buddy.dirty_pages();
            let result = change(buddy);
            self.free_pages += buddy.free_pages();
            self.dirty_pages += buddy.dirty_pages();
            self.chunks.update(chunk);
            result
        }
    }

    /// Takes in a new chunk.
    ///
    /// # Safety
    /// Nobody else knows it.
    unsafe fn adopt(&mut self, chunk: *mut Chunk) {
        // SAFETY: the caller's promise.
        unsafe {
            self.mapped += Chunk::bytes(chunk);
            self.free_pages += (*chunk).buddy.free_pages();
            self.chunks.insert(chunk);
        }
    }

    /// Takes a chunk off its list, to be released.
    ///
    /// # Safety
    /// It is on a list, and nothing of it is handed out.
    unsafe fn release(&mut self, chunk: *mut Chunk, unused: &mut Unused) {
        // SAFETY: the caller's promise.
        unsafe {
            self.chunks.remove(chunk);
            self.mapped -= Chunk::bytes(chunk);
            self.free_pages -= (*chunk).buddy.free_pages();
            self.dirty_pages -= (*chunk).buddy.dirty_pages();
            unused.add(chunk);
        }
    }

    /// Releases a chunk if nothing of it is handed out and `keep` others are like that.
    ///
    /// # Safety
    /// It is on a list.
    unsafe fn release_if_whole(&mut self, chunk: *mut Chunk, keep: usize, unused: &mut Unused) {
        // SAFETY: the caller's promise, and the heap's lock is held, as `self` is its state.
        unsafe {
            if (*chunk).buddy.is_whole() && self.chunks.count_whole(keep + 1) > keep {
                self.release(chunk, unused);
            }
        }
    }

    /// Finds what is to be given back: chunks, and then runs until the batch is full.
    fn collect(&mut self, demand: &Demand, batch: &mut Batch, unused: &mut Unused) {
        let mut excess = demand.excess;
        let least = os::page_size().trailing_zeros().saturating_sub(PAGE_SHIFT) as u8;
        for mut chunk in self.chunks.emptiest_first() {
            while !chunk.is_null() && !batch.is_full() {
                // SAFETY: chunks on the lists exist, and the heap's lock is held. The next one is noted
                // before this one moves to another list.
                unsafe {
                    let next = (*chunk).next;
                    let dirty = (*chunk).buddy.dirty_pages();
                    let all_due = |until| (*chunk).buddy.dirty_until() <= until;
                    if excess != 0 || demand.until.is_some_and(all_due) {
                        self.release_if_whole(chunk, demand.whole, unused);
                    }
                    if (*chunk).list == RELEASED {
                        excess = excess.saturating_sub(dirty);
                    } else {
                        self.collect_runs(chunk, demand.until, &mut excess, least, batch);
                    }
                    chunk = next;
                }
            }
        }
    }

    /// # Safety
    /// The chunk is on a list.
    unsafe fn collect_runs(
        &mut self,
        chunk: *mut Chunk,
        until: Option<u32>,
        excess: &mut usize,
        least: u8,
        batch: &mut Batch,
    ) {
        while !batch.is_full() {
            let Some(until) = (if *excess != 0 { Some(u32::MAX) } else { until }) else { return };
            // SAFETY: the caller's promise.
            let run = unsafe { self.change(chunk, |buddy| buddy.take_dirty(until, least)) };
            let Some(run) = run else { return };
            *excess = excess.saturating_sub(1 << run.order);
            batch.add(chunk, run);
        }
    }

    /// Frees the slabs of magazine blocks that are kept although they are empty.
    fn drop_spare_magazines(&mut self, unused: &mut Unused) {
        for class in 0..MAGAZINE_WORDS.len() {
            let slab = self.magazines[class].first();
            // SAFETY: slabs of magazine blocks belong to the heap's lock.
            unsafe {
                if !slab.is_null() && (*slab).is_empty() {
                    self.magazines[class].remove(slab);
                    self.free_slab(slab, os::coarse_seconds(), unused);
                }
            }
        }
    }

    /// Bytes that may have memory behind them.
    fn resident(&self) -> usize {
        self.mapped - (self.free_pages - self.dirty_pages) * PAGE
    }

    fn take_block(&mut self, class: u8) -> Option<*mut u8> {
        let list = class as usize;
        let mut slab = self.magazines[list].first();
        let mut block = [ptr::null_mut()];
        // SAFETY: slabs of magazine blocks belong to the heap's lock.
        unsafe {
            if slab.is_null() {
                slab = self.carve(&Geometry::magazines(class), MAGAZINES)?;
                (*slab).list = class;
                self.magazines[list].insert(slab);
            }
            (*slab).take(&mut block);
            if (*slab).is_full() {
                self.magazines[list].remove(slab);
            }
        }
        Some(block[0])
    }

    /// # Safety
    /// `block` came from `take_block`, and nobody else uses it.
    unsafe fn put_block(&mut self, block: *mut u8, now: u32, unused: &mut Unused) {
        // SAFETY: the caller's promise; slabs of magazine blocks belong to the heap's lock.
        unsafe {
            let slab = slab_of(block);
            let list = (*slab).list as usize;
            let was_full = (*slab).is_full();
            let put = (*slab).put(&[block]);
            debug_assert!(put.0 == 0, "a magazine block is freed twice");
            if was_full {
                self.magazines[list].insert(slab);
            }
            let only = self.magazines[list].first() == slab && (*slab).next.is_null();
            if (*slab).is_empty() && !only {
                self.magazines[list].remove(slab);
                self.free_slab(slab, now, unused);
            }
        }
    }
}

/// Chunks taken off the heap's lists, to be released once the lock is not held.
struct Unused {
    first: *mut Chunk,
}

impl Unused {
    const NONE: Unused = Unused { first: ptr::null_mut() };

    /// # Safety
    /// The chunk is on no list, and nothing of it is handed out.
    unsafe fn add(&mut self, chunk: *mut Chunk) {
        // SAFETY: the caller's promise.
        unsafe {
            (*chunk).next = self.first;
            (*chunk).list = RELEASED;
        }
        self.first = chunk;
    }

    fn release(self) {
        let mut chunk = self.first;
        while !chunk.is_null() {
            // SAFETY: nobody else knows the chunk.
            unsafe {
                let next = (*chunk).next;
                Chunk::release(chunk);
                chunk = next;
            }
        }
    }
}

static HELD_ACROSS_FORK: AtomicBool = AtomicBool::new(false);

/// Arranges, before the first chunk is reserved, that the heap's lock is held across fork(). If there is
/// no memory for it, the next chunk tries again.
fn hold_across_fork() {
    // Relaxed: the flag only keeps a second thread from doing the same.
    if HELD_ACROSS_FORK.load(Relaxed) || HELD_ACROSS_FORK.swap(true, Relaxed) {
        return;
    }
    if !os::around_fork(before_fork, after_fork) {
        HELD_ACROSS_FORK.store(false, Relaxed);
    }
}

unsafe extern "C" fn before_fork() {
    // SAFETY: fork() is not called from within the library, so this thread does not hold the lock.
    unsafe { HEAP.mutex.lock() };
    rank::heap_locked();
}

unsafe extern "C" fn after_fork() {
    rank::heap_unlocking();
    // SAFETY: `before_fork` locked it, in this thread or in the one that this process was forked from.
    unsafe { HEAP.mutex.unlock() };
}

/// What an owner word means.
pub enum Owner {
    /// A parent pool, at this address.
    Parent(usize),
    /// None any more.
    Limbo,
    /// The page has no objects.
    None,
}

/// Who owns the slab that an address lies in.
///
/// # Safety
/// The address is in a chunk.
pub unsafe fn owner(object: *mut u8) -> Owner {
    // SAFETY: the caller's promise.
    match unsafe { owner_of(object) } {
        chunk::FREE | MAGAZINES => Owner::None,
        LIMBO => Owner::Limbo,
        parent => Owner::Parent(parent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decay::DECAY_SECONDS;
    use crate::geometry::{CHUNK, PAGES};

    const PARENT: usize = 0x1000;
    const PAGES_OF_ONE_CHUNK: usize = PAGES - HEADER_PAGES;

    impl Heap {
        fn chunks(&self) -> usize {
            let mut count = 0;
            self.lock().chunks.for_each(|_| count += 1);
            count
        }

        fn dirty(&self) -> usize {
            self.lock().dirty_pages * PAGE
        }

        fn take_slab_back(&self, slab: *mut Slab) {
            let mut surplus = Surplus::new(0);
            // SAFETY: the slab is the test's, and empty.
            unsafe { surplus.add_slab(slab) };
            self.take_back(surplus);
        }
    }

    fn take_one(slab: *mut Slab) -> *mut u8 {
        let mut object = [ptr::null_mut()];
        // SAFETY: the slab is the test's.
        assert_eq!(unsafe { (*slab).take(&mut object) }, 1);
        object[0]
    }

    #[test]
    fn every_page_of_a_slab_leads_to_its_owner_and_descriptor() {
        let heap = Heap::new();
        for (item_size, num_items) in [(96, 64), (4096, 16), (66_632, 4)] {
            let geometry = Geometry::new(item_size, num_items);
            let slab = heap.make_slab(PARENT, &geometry);
            // SAFETY: the slab is the test's.
            unsafe {
                for page in 0..1 << geometry.order {
                    let address = (*slab).base().add(page * PAGE);
                    assert_eq!(owner_of(address), PARENT);
                    assert_eq!(slab_of(address), slab);
                }
                let base = (*slab).base();
                heap.take_slab_back(slab);
                assert_eq!(owner_of(base), chunk::FREE);
            }
        }
        heap.release_free_memory();
        assert_eq!(heap.chunks(), 0);
    }

    #[test]
    fn free_memory_goes_back_once_the_decay_time_is_over() {
        let heap = Heap::new();
        let geometry = Geometry::new(CHUNK as u32 / 4, 1);
        let page = Geometry::new(4096, 1);
        let used = heap.make_slab(PARENT, &page);
        let slabs: Vec<_> = (0..6).map(|_| heap.make_slab(PARENT, &geometry)).collect();
        let chunks = heap.chunks();
        for slab in slabs {
            heap.take_slab_back(slab);
        }
        assert_eq!(heap.chunks(), chunks, "it is about to be used again");
        assert_eq!(heap.dirty(), 6 * CHUNK / 4);

        let now = os::coarse_seconds();
        heap.tick(now + DECAY_SECONDS - 1);
        assert_eq!(heap.dirty(), 6 * CHUNK / 4);
        heap.tick(now + DECAY_SECONDS + 1);
        assert_eq!(heap.dirty(), 0);
        assert_eq!(heap.chunks(), 2, "the one in use, and one that is wholly free");

        heap.trim();
        assert_eq!(heap.chunks(), 1);
        heap.take_slab_back(used);
        assert_eq!(heap.trim(), CHUNK - PAGES_OF_ONE_CHUNK * PAGE + PAGE);
        assert_eq!(heap.chunks(), 0);
    }

    #[test]
    fn what_is_above_the_limit_goes_back_at_once() {
        let heap = Heap::new();
        let geometry = Geometry::new(CHUNK as u32 / 2, 1);
        let slabs: Vec<_> = (0..20).map(|_| heap.make_slab(PARENT, &geometry)).collect();
        for slab in slabs {
            heap.take_slab_back(slab);
            assert!(heap.dirty() <= (8 << 20) + 10 * CHUNK / 16);
        }
        assert!(heap.dirty() <= (8 << 20) + CHUNK / 8);
        heap.trim();
    }

    #[test]
    fn purged_memory_is_zero_and_can_be_used_again() {
        let heap = Heap::new();
        let geometry = Geometry::new(CHUNK as u32 / 8, 1);
        let keep = heap.make_slab(PARENT, &geometry);
        let slab = heap.make_slab(PARENT, &geometry);
        // SAFETY: the slabs are the test's.
        unsafe {
            let bytes = CHUNK / 8;
            (*slab).base().write_bytes(0xab, bytes);
            (*keep).base().write_bytes(0xcd, bytes);
            let base = (*slab).base();
            heap.take_slab_back(slab);
            assert_eq!(heap.trim(), bytes);
            let again = heap.make_slab(PARENT, &geometry);
            assert_eq!((*again).base(), base);
            assert!(core::slice::from_raw_parts(base, bytes).iter().all(|byte| *byte == 0));
            let kept = core::slice::from_raw_parts((*keep).base(), bytes);
            assert!(kept.iter().all(|byte| *byte == 0xcd));
            heap.take_slab_back(again);
        }
        heap.take_slab_back(keep);
        heap.trim();
        assert_eq!(heap.chunks(), 0);
    }

    #[test]
    fn a_large_object_has_a_chunk_of_its_own_while_it_lives() {
        let heap = Heap::new();
        let geometry = Geometry::new(3 * CHUNK as u32, 1);
        assert!(geometry.is_large());
        let slab = heap.make_slab(PARENT, &geometry);
        let object = take_one(slab);
        // SAFETY: the object has these bytes, and is the test's.
        unsafe {
            object.write_bytes(0xab, 3 * CHUNK);
            assert_eq!(owner_of(object), PARENT);
            assert_eq!((*slab).put(&[object]), (0, Ok(())));
        }
        assert_eq!(heap.chunks(), 1);
        heap.take_slab_back(slab);
        assert_eq!(heap.chunks(), 0);
    }

    #[test]
    fn a_slab_in_limbo_goes_with_its_last_object() {
        let heap = Heap::new();
        let geometry = Geometry::new(96, 64);
        let (kept, empty) = (heap.make_slab(PARENT, &geometry), heap.make_slab(PARENT, &geometry));
        let other = heap.make_slab(2 * PARENT, &geometry);
        let (a, b) = (take_one(kept), take_one(kept));
        // SAFETY: the slabs are the test's, and no parent pool exists.
        unsafe {
            let empty_base = (*empty).base();
            heap.disown(PARENT);
            assert_eq!(owner_of(a), LIMBO);
            assert_eq!(owner_of(empty_base), chunk::FREE);
            assert_eq!(owner_of((*other).base()), 2 * PARENT);
            assert_eq!(heap.free_in_limbo(a), Ok(()));
            assert_eq!(heap.free_in_limbo(a), Err(Misuse::DoubleFree));
            assert_eq!(heap.free_in_limbo(b.add(8)), Err(Misuse::NotAnObject));
            assert_eq!(owner_of(b), LIMBO);
            assert_eq!(heap.free_in_limbo(b), Ok(()));
            assert_eq!(owner_of(b), chunk::FREE);
            assert_eq!(heap.free_in_limbo(b), Err(Misuse::DoubleFree));
        }
        heap.take_slab_back(other);
        heap.release_free_memory();
        assert_eq!(heap.chunks(), 0);
    }

    #[test]
    fn magazine_blocks_are_aligned_to_their_size_and_reused() {
        let heap = Heap::new();
        for class in 0..MAGAZINE_WORDS.len() as u8 {
            let bytes = crate::geometry::magazine_bytes(class);
            let mask = bytes - 1;
            let mut surplus = Surplus::new(mask);
            let mut seen = std::collections::BTreeSet::new();
            for _ in 0..3 * PAGE / bytes {
                let magazine = heap.make_magazine(class);
                assert!(magazine.is_empty(mask) && !magazine.is_none());
                assert!(seen.insert(magazine.block(mask).addr()));
                // SAFETY: the magazine is the test's.
                unsafe { surplus.add_magazine(magazine) };
            }
            heap.take_back(surplus);
            let again = heap.make_magazine(class);
            assert!(seen.contains(&again.block(mask).addr()));
            let mut surplus = Surplus::new(mask);
            // SAFETY: the magazine is the test's.
            unsafe { surplus.add_magazine(again) };
            heap.take_back(surplus);
        }
        assert_eq!(heap.chunks(), 1);
        heap.release_free_memory();
        assert_eq!(heap.chunks(), 0, "the last slab of each class goes as well");
    }

    #[test]
    fn requests_fill_chunks_in_use_before_others() {
        let heap = Heap::new();
        let half = Geometry::new(CHUNK as u32 / 2, 1);
        let page = Geometry::new(4096, 1);
        let halves: Vec<_> = (0..3).map(|_| heap.make_slab(PARENT, &half)).collect();
        let pages: Vec<_> = (0..100).map(|_| heap.make_slab(PARENT, &page)).collect();
        assert_eq!(heap.chunks(), 3);
        heap.take_slab_back(halves[0]);
        let more: Vec<_> = (0..100).map(|_| heap.make_slab(PARENT, &page)).collect();
        let chunk = |slab: &*mut Slab| chunk_of(slab.cast());
        assert!(more.iter().all(|slab| chunk(slab) == chunk(&pages[0])));
        for slab in halves.into_iter().skip(1).chain(pages).chain(more) {
            heap.take_slab_back(slab);
        }
        heap.trim();
        assert_eq!(heap.chunks(), 0);
    }
}
