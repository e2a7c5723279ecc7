// SPDX-License-Identifier: MIT
//! Giving memory back to the system: chunks that are wholly free are released, dirty runs purged.
//!
//! Runs to be purged are taken out, as if they were in use, and put back as clean. The system is
//! called without the lock.
//!
//! No call is held up by more than a *slice* of it: so many calls of the system, on so many pages,
//! and as many more as the call itself has brought, so that no more is kept than may be. A chunk that
//! has more goes once it is purged. What is left over is the next call's. Trims, and calls that
//! destroy a pool, do all of it, slice by slice.

use core::ptr;

use super::page_heap::{Heap, HeapGuard};
use super::state::{State, Unused};
use crate::base::geometry::{PAGE, PAGE_SHIFT};
use crate::heap::buddy::{Purge, Run};
use crate::heap::chunk::Chunk;
use crate::heap::decay::{ALL, SLICE_CALLS, excess, slice_pages, whole_chunks};
use crate::sys::os;
use crate::sys::probe;
use crate::sys::sync::atomic::Ordering::Relaxed;

/// What is given back to the system at a time: runs that are taken out to be purged, and chunks.
struct Slice {
    purges: [(*mut Chunk, Purge); SLICE_CALLS],
    count: usize,
    /// Of runs and chunks.
    calls: usize,
    /// How many pages there is room for.
    room: usize,
}

impl Slice {
    /// Of so many pages.
    fn of(pages: usize) -> Slice {
        let none = Purge { run: Run { page: 0, order: 0 }, since: 0, from: 0, pages: 0 };
        Slice { purges: [(ptr::null_mut(), none); SLICE_CALLS], count: 0, calls: 0, room: pages }
    }

    fn is_full(&self) -> bool {
        self.calls == SLICE_CALLS || self.room == 0
    }

    /// Whether there is room for a chunk with so many dirty pages; if so, it is in the slice.
    fn take_chunk(&mut self, dirty: usize) -> bool {
        let fits = !self.is_full() && dirty <= self.room;
        if fits {
            self.calls += 1;
            self.room -= dirty;
        }
        fits
    }

    fn add(&mut self, chunk: *mut Chunk, purge: Purge) {
        self.purges[self.count] = (chunk, purge);
        self.count += 1;
        self.calls += 1;
        self.room -= purge.pages;
    }

    fn purges(&self) -> &[(*mut Chunk, Purge)] {
        &self.purges[..self.count]
    }
}

/// What is to be given back to the system.
struct Demand {
    /// Memory that is dirty since then or longer; all of it, whatever its age, if this is
    /// `u32::MAX`.
    until: Option<u32>,
    /// So many pages, whatever their age.
    excess: usize,
    /// How many chunks that are wholly free are kept, whatever is due or in excess ...
    whole: usize,
    /// ... and if nothing is.
    most_whole: usize,
}

impl Heap {
    /// Gives back to the system what is due.
    pub(super) fn tick(&self, now: u32) {
        // Relaxed: it only decides whether to look closer.
        if self.last_tick.load(Relaxed) != now {
            self.last_tick.store(now, Relaxed);
            self.decay(self.lock(), now, 0, Unused::NONE);
        }
    }

    /// Gives back to the system what is due, and what is above the limit: a slice of it, if the call
    /// has brought so many pages, and all of it if nothing is to be kept.
    pub(super) fn decay<'a>(
        &'a self,
        state: HeapGuard<'a>,
        now: u32,
        brought: usize,
        mut unused: Unused,
    ) {
        drop(self.decay_one(state, now, brought, &mut unused));
        unused.release();
    }

    /// The same of the heap that is looked at, whichever it is.
    #[inline(never)]
    pub(super) fn decay_one<'a>(
        &'a self,
        mut state: HeapGuard<'a>,
        now: u32,
        brought: usize,
        unused: &mut Unused,
    ) -> HeapGuard<'a> {
        let all = brought == ALL || state.decay.keeps_nothing();
        let due = state.decay.is_due(now);
        let until = if due { state.decay.until(now) } else { None };
        if let Some(until) = until {
            state.unpark_until(until, now, unused);
        }
        let more = loop {
            let in_use = state.mapped / PAGE - state.free_pages;
            let most_whole = whole_chunks(in_use);
            let excess = excess(state.dirty_pages, in_use);
            let demand = Demand { until, excess, whole: 1, most_whole };
            if !state.chunks.whole().is_null() {
                // There is room for new ones.
                state.drop_lone_magazines(now, unused);
            }
            let more;
            (state, more) = self.give_back(state, &demand, slice_pages(brought), unused);
            if !(more && all) {
                break more;
            }
        };
        if more {
            // The next call is to go on where this one stopped.
            state.decay.hasten();
            self.last_tick.store(0, Relaxed);
        }
        // Those of the program's are looked at in calls that have nothing locked.
        #[cfg(feature = "ext")]
        if due || more {
            super::lent::wake_if_any(state.locked());
        }
        state
    }

    /// Purges a slice of so many pages, for which the lock is dropped and taken again, and adds chunks that are to be
    /// released to `unused`. Returns whether there may be more to do.
    fn give_back<'a>(
        &'a self,
        mut state: HeapGuard<'a>,
        demand: &Demand,
        pages: usize,
        unused: &mut Unused,
    ) -> (HeapGuard<'a>, bool) {
        let mut slice = Slice::of(pages);
        state.collect(demand, &mut slice, unused);
        if slice.count != 0 {
            let home = state.home();
            drop(state);
            for &(chunk, purge) in slice.purges() {
                // SAFETY: the run is taken out, so that nobody uses it.
                unsafe {
                    let start = chunk.cast::<u8>().add(purge.from * PAGE);
                    probe::run_purge(start.addr(), purge.pages * PAGE);
                    home.purge(start, purge.pages * PAGE);
                }
            }
            state = self.lock().of(home);
            for &(chunk, purge) in slice.purges() {
                // SAFETY: the chunk has had a run taken out, so that it was not released.
                unsafe {
                    (*chunk).purging -= 1 << purge.run.order;
                    state.change(chunk, |buddy| buddy.put_back(purge));
                    if (*chunk).buddy.dirty_pages() == 0 {
                        state.release_if_whole(chunk, demand.whole, unused);
                    }
                }
            }
        }
        (state, slice.is_full())
    }

    /// Gives back to the system everything that is free, and returns how many bytes of it may have
    /// had memory behind them.
    pub(crate) fn trim(&self) -> usize {
        let mut state = self.lock();
        let mut unused = Unused::NONE;
        let before = state.resident();
        self.drop_spare(&mut state, &mut unused);
        state = self.trim_one(state, &mut unused);
        let after = state.resident();
        drop(state);
        unused.release();
        os::release_refused();
        before.saturating_sub(after)
    }

    /// Gives back everything that is free in the heap that is looked at.
    #[inline(never)]
    pub(super) fn trim_one<'a>(
        &'a self,
        mut state: HeapGuard<'a>,
        unused: &mut Unused,
    ) -> HeapGuard<'a> {
        let demand = Demand { until: Some(u32::MAX), excess: 0, whole: 0, most_whole: 0 };
        state.unpark(os::coarse_seconds(), unused);
        state.drop_spare_magazines(unused);
        loop {
            let more;
            (state, more) = self.give_back(state, &demand, slice_pages(0), unused);
            if !more {
                return state;
            }
        }
    }

    /// Sets for how many seconds free memory is kept for reuse, and returns what it was.
    pub(crate) fn set_decay(&self, seconds: u32) -> u32 {
        self.last_tick.store(0, Relaxed);
        let mut state = self.lock();
        #[cfg(feature = "ext")]
        super::lent::set_decay(seconds, state.locked());
        state.decay.set_seconds(seconds)
    }
}

impl State {
    /// Releases wholly free chunks but for `keep`.
    pub(super) fn release_whole(&mut self, keep: usize, unused: &mut Unused) {
        while self.chunks.count_whole(keep + 1) > keep {
            // SAFETY: the chunk is on that list, and nothing of it is handed out.
            unsafe { self.release(self.chunks.whole(), unused) }
        }
    }

    /// Releases a chunk if nothing of it is handed out and `keep` others are like that.
    ///
    /// # Safety
    /// It is on a list.
    unsafe fn release_if_whole(&mut self, chunk: *mut Chunk, keep: usize, unused: &mut Unused) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.is_spare(chunk, keep) {
                self.release(chunk, unused);
            }
        }
    }

    /// Whether nothing of a chunk is handed out and `keep` others are like that.
    ///
    /// # Safety
    /// It is on a list.
    unsafe fn is_spare(&self, chunk: *mut Chunk, keep: usize) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.chunks.is_whole(chunk) && self.chunks.count_whole(keep + 1) > keep }
    }

    /// Finds what is to be given back: chunks and runs, until the slice is full.
    fn collect(&mut self, demand: &Demand, slice: &mut Slice, unused: &mut Unused) {
        let mut excess = demand.excess;
        while self.chunks.count_whole(demand.most_whole + 1) > demand.most_whole {
            // SAFETY: the chunk is on that list, and nothing of it is handed out.
            if !unsafe { self.collect_chunk(self.chunks.whole(), &mut excess, slice, unused) } {
                break;
            }
        }
        if excess == 0 && demand.until.is_none() {
            return;
        }
        for mut chunk in self.chunks.emptiest_first() {
            while !chunk.is_null() && !slice.is_full() {
                // SAFETY: chunks on the lists exist. The next one is noted before this one moves to
                // another list.
                unsafe {
                    let next = (*chunk).next;
                    let all_due = |until| (*chunk).buddy.dirty_until() <= until;
                    let wanted = excess != 0 || demand.until.is_some_and(all_due);
                    if wanted && self.is_spare(chunk, demand.whole) {
                        self.collect_chunk(chunk, &mut excess, slice, unused);
                    } else {
                        self.collect_runs(chunk, demand.until, &mut excess, slice);
                    }
                    chunk = next;
                }
            }
        }
    }

    /// Releases a chunk, or takes runs of it out to be purged, if it is more than fits into the
    /// slice. Returns whether it is released.
    ///
    /// # Safety
    /// It is on a list, and nothing of it is handed out.
    unsafe fn collect_chunk(
        &mut self,
        chunk: *mut Chunk,
        excess: &mut usize,
        slice: &mut Slice,
        unused: &mut Unused,
    ) -> bool {
        // SAFETY: the caller's promise.
        unsafe {
            let dirty = (*chunk).buddy.dirty_pages();
            let fits = slice.take_chunk(dirty);
            if fits {
                self.release(chunk, unused);
                *excess = excess.saturating_sub(dirty);
            } else {
                self.collect_runs(chunk, Some(u32::MAX), excess, slice);
            }
            fits
        }
    }

    /// # Safety
    /// The chunk is on a list.
    unsafe fn collect_runs(
        &mut self,
        chunk: *mut Chunk,
        until: Option<u32>,
        excess: &mut usize,
        slice: &mut Slice,
    ) {
        let least = os::page_size().trailing_zeros().saturating_sub(PAGE_SHIFT) as u8;
        while !slice.is_full() {
            let Some(until) = (if *excess != 0 { Some(u32::MAX) } else { until }) else { return };
            let room = slice.room;
            // SAFETY: the caller's promise.
            let purge = unsafe { self.change(chunk, |buddy| buddy.take_dirty(until, least, room)) };
            let Some(purge) = purge else { return };
            // SAFETY: the caller's promise.
            unsafe { (*chunk).purging += 1 << purge.run.order };
            *excess = excess.saturating_sub(purge.pages);
            slice.add(chunk, purge);
        }
    }
}
