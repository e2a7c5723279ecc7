// SPDX-License-Identifier: MIT
//! Large objects: each has a chunk of its own, which the heap keeps for a while once it is free.
//!
//! | a chunk for a large object | `idle.pages` | on the list of | until |
//! |---|---|---|---|
//! | has one, or its pool keeps the empty slab | 0 | large objects | the pool gives the slab back |
//! | is kept | all behind the header | kept chunks | the next object of so many pages takes it (`take_kept`); or its memory is wanted, and it goes as it is (`give_up_kept`); or its time is up, or there is too much: then it is purged, a slice at a time (`begin_purge`) |
//! | is being purged | the same, and `purging` is not 0 | kept chunks | the system has what the slice took; if no page is dirty then, the chunk goes (`end_purge`) |
//!
//! A kept chunk is nobody's: it has no slab, and no page of it has an owner. Its pages count as free,
//! those that were not purged as dirty, and what may be dirty limits how much is kept
//! ([`super::peak`]).
//!
//! It is found again by objects of exactly so many pages. The objects of a pool are of one size, and
//! the large sizes of `slab_sizes` come in steps of a third at least, so that a nearly fitting chunk
//! is another pool's by chance; and what an object does not use of it would be held for nothing.
//!
//! Chunks of the program's memory are not kept here: regions stay with their heap in any case, and a
//! hook gets back what it gave for a large object.

use core::ptr;

use super::chunk::{Chunk, Idle};
use super::home::Home;
use super::page_heap::Heap;
use super::slab::Slab;
use super::state::{State, Unused};
use crate::base::geometry::{Geometry, HEADER_PAGES, LARGE, PAGE};
use crate::heap::buddy::{Purge, Run};
use crate::heap::decay::SMALL_HEAP;
use crate::sys::os;
use crate::sys::sync::atomic::Ordering::Relaxed;
use crate::sys::sync::writes;

/// So many kept chunks are looked at for one of the right size, those first that were freed last.
/// Each costs a miss of the cache, as all headers lie alike.
const LOOKS: usize = 64;

/// Whether a header may end within a page of the system's, of which the largest usual ones have 64
/// KiB: on 32-bit machines.
const SHARES_PAGE: bool = HEADER_PAGES * PAGE < 64 << 10;

impl Heap {
    /// Makes a slab of one large object. Null if there is no memory.
    #[inline(never)]
    pub(super) fn make_large(&self, home: Home, owner: usize, geometry: &Geometry) -> *mut Slab {
        #[cfg(feature = "ext")]
        if !home.is_process() {
            return self.make_large_in(home, owner, geometry);
        }
        let page = if cfg!(feature = "ext") { geometry.large_page() } else { HEADER_PAGES };
        let Some(bytes) = Chunk::large_bytes(page, geometry.stride as usize) else {
            return ptr::null_mut();
        };
        let mut state = self.lock().of(home);
        let mut chunk = state.take_kept(bytes);
        let is_fresh = chunk.is_null();
        while chunk.is_null() {
            let huge_pages = state.mapped >= SMALL_HEAP;
            drop(state);
            let new = Chunk::reserve_large(bytes, huge_pages);
            let mut unused = Unused::NONE;
            state = self.lock().of(home);
            if !new.is_null() {
                // SAFETY: the chunk is new, and was reserved for this object.
                unsafe { state.adopt(new) }
                // If what was kept is too much now, as it was of no use for this one, not only the
                // next free is to see it.
                self.last_tick.store(0, Relaxed);
                chunk = new;
                continue;
            }
            // Other chunks that are free are of no use for it either.
            state.give_up_kept(&mut unused);
            state.release_whole(0, &mut unused);
            if !unused.has_chunks() {
                return ptr::null_mut();
            }
            drop(state);
            unused.release();
            state = self.lock().of(home);
        }
        // SAFETY: the chunk has room for this object, and nothing is in it.
        unsafe { state.open(chunk, page, geometry, owner, is_fresh) }
    }
}

impl State {
    /// Takes a kept chunk of so many bytes off its list, as if it were in use; null if there is none.
    fn take_kept(&mut self, bytes: usize) -> *mut Chunk {
        let mut chunk = self.chunks.newest_kept();
        for _ in 0..LOOKS {
            // SAFETY: chunks on the lists exist.
            unsafe {
                if chunk.is_null() {
                    break;
                }
                if (*chunk).bytes == bytes && (*chunk).purging == 0 {
                    self.set_idle(chunk, Idle::default());
                    return chunk;
                }
                chunk = (*chunk).next;
            }
        }
        ptr::null_mut()
    }

    /// Keeps the chunk of a large object that was freed, or releases it.
    ///
    /// # Safety
    /// It is on a list, and its slab is closed.
    pub(super) unsafe fn free_large(&mut self, chunk: *mut Chunk, now: u32, unused: &mut Unused) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.decay.keeps_nothing() || !Home::of(chunk).is_process() {
                return self.release(chunk, unused);
            }
            let pages = ((*chunk).bytes / PAGE - HEADER_PAGES) as u32;
            self.set_idle(chunk, Idle { pages, dirty: pages, since: now });
        }
    }

    /// Changes what of a large object's chunk is free, and all that is noted of it.
    ///
    /// # Safety
    /// It is on a list.
    #[inline(never)]
    unsafe fn set_idle(&mut self, chunk: *mut Chunk, idle: Idle) {
        // SAFETY: the caller's promise.
        unsafe {
            writes(chunk);
            let (free, dirty) = Chunk::free_and_dirty(chunk);
            (*chunk).idle = idle;
            self.free_pages = self.free_pages - free + idle.pages as usize;
            self.dirty_pages = self.dirty_pages - dirty + idle.dirty as usize;
            self.kept_dirty = self.kept_dirty - dirty + idle.dirty as usize;
            self.chunks.update(chunk);
        }
    }

    /// Takes up to so many of the dirty pages of a kept chunk out, to be purged. It stays on its list,
    /// and is of no use until [`State::end_purge`].
    ///
    /// # Safety
    /// It is on the list of such, not being purged, and has dirty pages.
    pub(super) unsafe fn begin_purge(&mut self, chunk: *mut Chunk, most: usize) -> Purge {
        // SAFETY: the caller's promise.
        unsafe {
            let Idle { pages, dirty, since } = (*chunk).idle;
            let step = os::page_size().max(PAGE) / PAGE - 1;
            // What lies in a page of the system's together with the header goes when the chunk does.
            let left = dirty as usize & if SHARES_PAGE { !step } else { !0 };
            let purged = ((most.min(left) + step) & !step).min(left);
            let from = (*chunk).bytes / PAGE - left;
            self.set_idle(chunk, Idle { pages, dirty: (left - purged) as u32, since });
            (*chunk).purging = 1;
            Purge { run: Run { page: from, order: LARGE }, since, from, pages: purged }
        }
    }

    /// Puts it back, and releases it if no page is dirty any more.
    ///
    /// # Safety
    /// The purge was begun.
    pub(super) unsafe fn end_purge(&mut self, chunk: *mut Chunk, unused: &mut Unused) {
        // SAFETY: the caller's promise: the chunk is still on its list.
        unsafe {
            (*chunk).purging = 0;
            if (*chunk).idle.dirty == 0 {
                self.release(chunk, unused);
            }
        }
    }

    /// When the system has no memory: releases the chunks that are kept for large objects.
    #[cold]
    #[inline(never)]
    pub(super) fn give_up_kept(&mut self, unused: &mut Unused) {
        let mut chunk = self.chunks.newest_kept();
        while !chunk.is_null() {
            // SAFETY: chunks on the lists exist, and of a kept one nothing is used but while it is
            // being purged. The next one is noted before this one leaves.
            unsafe {
                let next = (*chunk).next;
                if (*chunk).purging == 0 {
                    self.release(chunk, unused);
                }
                chunk = next;
            }
        }
    }
}
