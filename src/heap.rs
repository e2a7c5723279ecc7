//! The page heap: one per copy of the library, under one lock, shared by all parent pools.
//!
//! It hands out slabs (page runs of chunks) and magazine blocks, takes them back, and looks after
//! slabs in limbo.
//!
//! Lists of chunks:
//! - `chunks[0]`: no run is free; `chunks[k + 1]`: the largest free run is of order `k`;
//!   `chunks[WHOLE]`: everything is free. A request takes from the first list that can serve it, so that
//!   chunks in use fill up before others are begun.
//! - `large`: reservations with one large object each.
//!
//! A chunk that becomes whole while another one is whole already is released. The system is never called
//! with the lock held.
//!
//! **Limbo.** A parent may be destroyed, or created anew, while objects of it are out. Its slabs then
//! change their owner word to LIMBO: no parent pool, old or new, at this or another address, is their
//! owner, and their objects are freed here, under the heap's lock. The last object that goes takes the
//! slab with it.
//!
//! **Fork.** The lock is held across fork(), so that the child process finds the heap in order.

use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::chunk::{self, Chunk, LIMBO, MAGAZINES, chunk_of, owner_of, slab_of};
use crate::geometry::{Geometry, HEADER_PAGES, LARGE, MAGAZINE_WORDS, MAX_ORDER};
use crate::magazine::{Magazine, MagazineList};
use crate::os;
use crate::report::Misuse;
use crate::slab::{Slab, SlabList};
use crate::sync::{Guard, Mutex, rank};

/// The list of whole chunks.
const WHOLE: usize = MAX_ORDER as usize + 2;
const LISTS: usize = WHOLE + 1;

/// The heap of this copy of the library.
pub static HEAP: Heap = Heap::new();

/// A lock and what it protects.
pub struct Heap {
    mutex: Mutex,
    state: UnsafeCell<State>,
}

// SAFETY: the state is only reached with the mutex locked.
unsafe impl Sync for Heap {}

/// What the heap's lock protects, besides the metadata in chunks.
pub struct State {
    chunks: [*mut Chunk; LISTS],
    /// Bit `n` is set if list `n` has chunks.
    lists: u32,
    large: *mut Chunk,
    /// Slabs of magazine blocks with a block free, by class. The last one is kept when it is empty.
    magazines: [SlabList; MAGAZINE_WORDS.len()],
    /// Slabs of parents and in limbo: if there is none, nothing needs to be searched.
    object_slabs: usize,
}

/// Slabs and magazine blocks that a parent pool has no use for any more, on their way to the heap. They
/// are gathered under the parent's lock and taken back without it.
pub struct Surplus {
    /// Empty slabs, linked by `next`.
    slabs: *mut Slab,
    /// Magazine blocks; their content is of no meaning.
    magazines: MagazineList,
    mask: usize,
}

impl Surplus {
    /// Nothing, for a parent whose magazines have this mask.
    pub fn new(mask: usize) -> Surplus {
        Surplus { slabs: ptr::null_mut(), magazines: MagazineList::EMPTY, mask }
    }

    /// Adds an empty slab.
    ///
    /// # Safety
    /// It is on no list, and its owner's lock is held.
    pub unsafe fn add_slab(&mut self, slab: *mut Slab) {
        // SAFETY: the caller's promise.
        unsafe { (*slab).next = self.slabs }
        self.slabs = slab;
    }

    /// Adds a magazine whose rounds, if any, are of no meaning.
    ///
    /// # Safety
    /// It is not none, of the mask given to `new`, and nobody else uses it.
    pub unsafe fn add_magazine(&mut self, magazine: Magazine) {
        // SAFETY: the caller's promise.
        unsafe { self.magazines.push(magazine, self.mask) }
    }
}

impl Heap {
    const fn new() -> Heap {
        Heap {
            mutex: Mutex::unlocked(),
            state: UnsafeCell::new(State {
                chunks: [ptr::null_mut(); LISTS],
                lists: 0,
                large: ptr::null_mut(),
                magazines: [const { SlabList::EMPTY }; MAGAZINE_WORDS.len()],
                object_slabs: 0,
            }),
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

    /// Takes back what a parent has no use for.
    #[inline]
    pub fn take_back(&self, surplus: Surplus) {
        if !surplus.slabs.is_null() || surplus.magazines.count() != 0 {
            self.take_back_all(surplus);
        }
    }

    #[inline(never)]
    fn take_back_all(&self, mut surplus: Surplus) {
        let mut unused = Unused::NONE;
        let mut state = self.lock();
        while !surplus.slabs.is_null() {
            let slab = surplus.slabs;
            // SAFETY: the slab is empty and nobody else uses it, as the surplus has it.
            unsafe {
                surplus.slabs = (*slab).next;
                state.free_object_slab(slab, &mut unused);
            }
        }
        while let Some(magazine) = surplus.magazines.pop(surplus.mask) {
            // SAFETY: the block came from `make_magazine`, and nobody else uses it.
            unsafe { state.put_block(magazine.block(surplus.mask), &mut unused) }
        }
        drop(state);
        unused.release();
    }

    /// Leaves the slabs of a parent pool that goes, or went without a word, in limbo. The empty ones are
    /// freed.
    ///
    /// Takes time in proportion to all slabs of the heap.
    ///
    /// # Safety
    /// No other call uses this parent or its objects.
    pub unsafe fn disown(&self, parent: usize) {
        let mut unused = Unused::NONE;
        let mut state = self.lock();
        if state.object_slabs != 0 {
            let mut empty: *mut Slab = ptr::null_mut();
            let mut disown = |slab: *mut Slab| {
                // SAFETY: the heap's lock is held; the caller's promise stands for the parent's.
                unsafe {
                    if owner_of((*slab).base()) != parent {
                        return;
                    }
                    if (*slab).is_empty() {
                        (*slab).next = empty;
                        empty = slab;
                    } else {
                        Chunk::set_owner(slab, LIMBO);
                    }
                }
            };
            // SAFETY: the heap's lock is held.
            state.for_each_chunk(|chunk| unsafe { Chunk::for_each_slab(chunk, &mut disown) });
            while !empty.is_null() {
                // SAFETY: the slab is empty, and was just taken from its owner.
                unsafe {
                    let slab = empty;
                    empty = (*slab).next;
                    state.free_object_slab(slab, &mut unused);
                }
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
        let mut unused = Unused::NONE;
        let mut state = self.lock();
        // SAFETY: the caller's promise; the slab of a limbo page belongs to the lock that is held.
        let result = unsafe {
            if owner_of(object) == LIMBO {
                let slab = slab_of(object);
                let (_, result) = (*slab).put(&[object]);
                if result.is_ok() && (*slab).is_empty() {
                    state.free_object_slab(slab, &mut unused);
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
        for class in 0..MAGAZINE_WORDS.len() {
            let slab = state.magazines[class].first();
            // SAFETY: slabs of magazine blocks belong to the heap's lock.
            unsafe {
                if !slab.is_null() && (*slab).is_empty() {
                    state.magazines[class].remove(slab);
                    state.free_slab(slab, &mut unused);
                }
            }
        }
        while !state.chunks[WHOLE].is_null() {
            let chunk = state.chunks[WHOLE];
            // SAFETY: the chunk is on that list, and nothing of it is handed out.
            unsafe {
                state.unlist(chunk);
                unused.add(chunk);
            }
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
            unsafe { state.list(chunk) }
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
            push(&mut state.large, chunk);
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
        let lists = self.lists >> (geometry.order + 1);
        if lists == 0 {
            return None;
        }
        let chunk = self.chunks[(geometry.order + 1) as usize + lists.trailing_zeros() as usize];
        // SAFETY: the heap's lock is held, as `self` is its state.
        unsafe {
            let page = (*chunk).buddy.alloc(geometry.order)?;
            self.relist(chunk);
            Some(Chunk::open(chunk, page, geometry, owner))
        }
    }

    /// # Safety
    /// `slab` is empty, on no list, and nobody else uses it.
    unsafe fn free_object_slab(&mut self, slab: *mut Slab, unused: &mut Unused) {
        self.object_slabs -= 1;
        // SAFETY: the caller's promise.
        unsafe { self.free_slab(slab, unused) }
    }

    /// # Safety
    /// `slab` is empty, on no list, and nobody else uses it.
    unsafe fn free_slab(&mut self, slab: *mut Slab, unused: &mut Unused) {
        // SAFETY: the caller's promise, and the heap's lock is held, as `self` is its state.
        unsafe {
            let (chunk, page, order) =
                (chunk_of((*slab).base()), Chunk::first_page(slab), (*slab).order());
            Chunk::close(slab);
            if order == LARGE {
                remove(&mut self.large, chunk);
                unused.add(chunk);
                return;
            }
            (*chunk).buddy.free(page, order, os::coarse_seconds());
            if (*chunk).buddy.is_whole() && !self.chunks[WHOLE].is_null() {
                self.unlist(chunk);
                unused.add(chunk);
            } else {
                self.relist(chunk);
            }
        }
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
    unsafe fn put_block(&mut self, block: *mut u8, unused: &mut Unused) {
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
                self.free_slab(slab, unused);
            }
        }
    }

    fn for_each_chunk(&self, mut each: impl FnMut(*mut Chunk)) {
        for &first in self.chunks.iter().chain([&self.large]) {
            let mut chunk = first;
            while !chunk.is_null() {
                each(chunk);
                // SAFETY: chunks on the lists exist, and the heap's lock is held, as `self` is its state.
                chunk = unsafe { (*chunk).next };
            }
        }
    }

    /// # Safety
    /// The chunk is on the list that its number says.
    unsafe fn relist(&mut self, chunk: *mut Chunk) {
        // SAFETY: the caller's promise, and the heap's lock is held.
        unsafe {
            if (*chunk).list as usize != list_of(chunk) {
                self.unlist(chunk);
                self.list(chunk);
            }
        }
    }

    /// # Safety
    /// The chunk is on no list.
    unsafe fn list(&mut self, chunk: *mut Chunk) {
        // SAFETY: the caller's promise, and the heap's lock is held.
        unsafe {
            let list = list_of(chunk);
            (*chunk).list = list as u8;
            push(&mut self.chunks[list], chunk);
            self.lists |= 1 << list;
        }
    }

    /// # Safety
    /// The chunk is on the list that its number says.
    unsafe fn unlist(&mut self, chunk: *mut Chunk) {
        // SAFETY: the caller's promise, and the heap's lock is held.
        unsafe {
            let list = (*chunk).list as usize;
            remove(&mut self.chunks[list], chunk);
            if self.chunks[list].is_null() {
                self.lists &= !(1 << list);
            }
        }
    }
}

/// The list a chunk should be on.
///
/// # Safety
/// The heap's lock is held.
unsafe fn list_of(chunk: *mut Chunk) -> usize {
    // SAFETY: the caller's promise.
    let buddy = unsafe { &(*chunk).buddy };
    if buddy.is_whole() { WHOLE } else { buddy.largest().map_or(0, |order| order as usize + 1) }
}

/// # Safety
/// The heap's lock is held, and the chunk is on no list.
unsafe fn push(first: &mut *mut Chunk, chunk: *mut Chunk) {
    // SAFETY: the caller's promise.
    unsafe {
        (*chunk).previous = ptr::null_mut();
        (*chunk).next = *first;
        if !first.is_null() {
            (**first).previous = chunk;
        }
    }
    *first = chunk;
}

/// # Safety
/// The heap's lock is held, and the chunk is on the list that starts with `first`.
unsafe fn remove(first: &mut *mut Chunk, chunk: *mut Chunk) {
    // SAFETY: the caller's promise.
    unsafe {
        let (next, previous) = ((*chunk).next, (*chunk).previous);
        if !next.is_null() {
            (*next).previous = previous;
        }
        if previous.is_null() {
            *first = next;
        } else {
            (*previous).next = next;
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
        unsafe { (*chunk).next = self.first }
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
