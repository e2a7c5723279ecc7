// SPDX-License-Identifier: MIT
//! Giving memory back to the system: chunks that are wholly free are released, dirty runs purged, and
//! likewise what is kept for large objects ([`super::large`]).
//!
//! Runs to be purged are taken out, as if they were in use, and put back as clean. The system is
//! called without the lock, but for what descriptors of slabs took up ([`super::descriptors`]).
//!
//! No call is held up by more than a *slice* of it: so many calls of the system, on so many pages,
//! and, while more is kept than may be, as many more as the call itself has brought. A chunk that
//! has more goes once it is purged. What is left over is the next call's. A call after which its pool
//! has nothing counts as if it had brought several times as much, and the first call for some seconds
//! does several slices. Trims, and calls that destroy a pool, do all, slice by slice.

use core::ptr;

#[cfg(feature = "ext")]
use super::Home;
use super::page_heap::{Heap, HeapGuard};
use super::state::{State, Unused};
#[cfg(feature = "ext")]
use crate::base::geometry::PAGES;
use crate::base::geometry::{LARGE, PAGE, PAGE_SHIFT};
use crate::heap::buddy::{NOTES_OLDEST, Purge, Run};
use crate::heap::chunk::Chunk;
use crate::heap::decay::{ALL, SLICE_CALLS, slice_pages};
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
    /// How many pages go before their time is up, and since it is, of runs and chunks.
    early: usize,
    due: usize,
}

impl Slice {
    /// Of so many pages.
    fn of(pages: usize) -> Slice {
        let none = Purge { run: Run { page: 0, order: 0 }, since: 0, from: 0, pages: 0 };
        Slice {
            purges: [(ptr::null_mut(), none); SLICE_CALLS],
            count: 0,
            calls: 0,
            room: pages,
            early: 0,
            due: 0,
        }
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
        // One of the system's pages may be more than there was room for.
        self.room = self.room.saturating_sub(purge.pages);
    }

    /// Counts so many pages of a run or a chunk.
    fn note(&mut self, pages: usize, is_due: bool) {
        *(if is_due { &mut self.due } else { &mut self.early }) += pages;
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

impl Demand {
    /// Whether more is kept than may be, if so many chunks are wholly free.
    fn is_over(&self, whole: usize) -> bool {
        self.excess != 0 || whole > self.most_whole
    }
}

impl Heap {
    /// Gives back to the system what is due. Returns whether that was anything.
    pub(super) fn tick(&self, now: u32) -> bool {
        // Relaxed: it only decides whether to look closer.
        if self.last_tick.load(Relaxed) == now {
            return false;
        }
        self.last_tick.store(now, Relaxed);
        self.decay(self.lock(), now, 0, Unused::NONE)
    }

    /// If slices have left something over, gives all of it back, as a pool ends that was used.
    #[inline(always)]
    pub(crate) fn finish(&self) {
        // Relaxed: it only decides whether to look closer.
        if self.last_tick.load(Relaxed) == 0 {
            self.finish_now();
        }
    }

    #[cold]
    #[inline(never)]
    fn finish_now(&self) {
        let now = os::coarse_seconds();
        self.last_tick.store(now, Relaxed);
        self.decay(self.lock(), now, ALL, Unused::NONE);
    }

    /// Gives back to the system what is due, and what is above the limit: a slice of it, if the call
    /// has brought so many pages, and all of it if nothing is to be kept. Returns whether that was anything.
    pub(super) fn decay<'a>(
        &'a self,
        state: HeapGuard<'a>,
        now: u32,
        brought: usize,
        mut unused: Unused,
    ) -> bool {
        drop(self.decay_one(state, now, brought, &mut unused));
        unused.release()
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
        state.look(now);
        let until = if due { state.decay.until(now) } else { None };
        if let Some(until) = until {
            // What was not claimed for so long was not in use either.
            self.unpark_until(&mut state, until, until, unused);
        }
        let mut slices = state.decay.slices(now);
        let more = loop {
            let limit = state.dirty_limit();
            let (most_whole, excess) = (limit.whole_chunks(), limit.excess(state.dirty_pages));
            let demand = Demand { until, excess, whole: 1, most_whole };
            if state.chunks.count_whole() != 0 {
                // There is room for new ones.
                state.drop_lone_magazines(now, unused);
            }
            let more;
            (state, more) = self.give_back(state, &demand, brought, unused);
            slices = slices.saturating_sub(1);
            if !(more && (all || slices != 0)) {
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

    /// Purges a slice, in a call that has brought so many pages, for which the lock is dropped and taken
    /// again, and adds chunks that are to be released to `unused`. Returns whether there may be more to do.
    fn give_back<'a>(
        &'a self,
        mut state: HeapGuard<'a>,
        demand: &Demand,
        brought: usize,
        unused: &mut Unused,
    ) -> (HeapGuard<'a>, bool) {
        let is_over = demand.is_over(state.chunks.count_whole());
        if !is_over && demand.until.is_none() {
            return (state, false);
        }
        let mut slice = Slice::of(slice_pages(brought, is_over));
        state.collect(demand, &mut slice, unused);
        state.regret.note_early(slice.early);
        state.regret.note_due(slice.due);
        if slice.count != 0 {
            unused.note_given();
            // Bit `n` is set if what is purged by the nth one reads as zeroes.
            let (home, mut zeroes) = (state.home(), 0u32);
            drop(state);
            for (index, &(chunk, purge)) in slice.purges().iter().enumerate() {
                // SAFETY: the run is taken out, so that nobody uses it.
                let zeroed = unsafe {
                    let start = chunk.cast::<u8>().add(purge.from * PAGE);
                    probe::run_purge(start.addr(), purge.pages * PAGE);
                    home.purge(start, purge.pages * PAGE)
                };
                zeroes |= u32::from(zeroed) << index;
            }
            state = self.lock().of(home);
            for (index, &(chunk, purge)) in slice.purges().iter().enumerate() {
                // SAFETY: the chunk has had a run taken out, so that it was not released.
                unsafe {
                    (*chunk).has_stale |= zeroes & (1 << index) == 0;
                    if purge.run.order == LARGE {
                        state.end_purge(chunk, unused);
                        continue;
                    }
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
        self.drop_spares(&mut state, &mut unused);
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
        self.unpark(&mut state, os::coarse_seconds(), unused);
        state.drop_spare_magazines(unused);
        loop {
            let more;
            (state, more) = self.give_back(state, &demand, 0, unused);
            if !more {
                return state;
            }
        }
    }

    /// Whether what is free is to go at once.
    pub(crate) fn keeps_nothing(&self) -> bool {
        self.keeps_nothing.load(Relaxed)
    }

    /// Sets for how many seconds free memory is kept for reuse, and returns what it was. If it is 0,
    /// what is free goes at once.
    pub(crate) fn set_decay(&self, seconds: u32) -> u32 {
        self.last_tick.store(0, Relaxed);
        let mut state = self.lock();
        #[cfg(feature = "ext")]
        super::lent::set_decay(seconds, state.locked());
        let before = state.decay.set_seconds(seconds);
        let keeps_nothing = state.decay.keeps_nothing();
        // Relaxed: who frees meanwhile may come before this.
        self.keeps_nothing.store(keeps_nothing, Relaxed);
        if keeps_nothing {
            self.decay(state, os::coarse_seconds(), ALL, Unused::NONE);
        } else {
            drop(state);
        }
        self.settle();
        before
    }
}

impl State {
    /// Releases wholly free chunks but for `keep`.
    pub(super) fn release_whole(&mut self, keep: usize, unused: &mut Unused) {
        while self.chunks.count_whole() > keep {
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
        unsafe { self.chunks.is_whole(chunk) && self.chunks.count_whole() > keep }
    }

    /// Finds what is to be given back: chunks and runs, until the slice is full.
    fn collect(&mut self, demand: &Demand, slice: &mut Slice, unused: &mut Unused) {
        let mut excess = demand.excess;
        while self.chunks.count_whole() > demand.most_whole {
            let chunk = self.chunks.whole();
            // SAFETY: the chunk is on that list, and nothing of it is handed out.
            if !unsafe { self.collect_chunk(chunk, demand.until, &mut excess, slice, unused) } {
                break;
            }
        }
        if excess == 0 && demand.until.is_none() {
            return;
        }
        // What is kept for large objects makes room for others if there is more of it than large
        // objects had in use lately; else the others do, and it comes last.
        let over = self.kept_dirty.saturating_sub(self.peak.may_lie_free()).min(excess);
        let mut left = over;
        self.collect_kept(demand.until, &mut left, slice);
        excess -= over - left;
        let spares = self.chunks.count_whole() > demand.whole;
        let may_be_due = |until| spares || self.oldest <= until;
        if !NOTES_OLDEST || excess != 0 || demand.until.is_some_and(may_be_due) {
            self.collect_from_chunks(demand, &mut excess, slice, unused);
        }
        if excess != 0 {
            self.collect_kept(demand.until, &mut excess, slice);
        }
    }

    /// The same of chunks that runs are handed out from. Their dirty runs are looked at only where one may
    /// be due.
    #[cfg_attr(feature = "ext", inline(never))]
    #[cfg_attr(not(feature = "ext"), inline(always))]
    fn collect_from_chunks(
        &mut self,
        demand: &Demand,
        excess: &mut usize,
        slice: &mut Slice,
        unused: &mut Unused,
    ) {
        let mut oldest = u32::MAX;
        for mut chunk in self.chunks.emptiest_first() {
            while !chunk.is_null() && !slice.is_full() {
                // SAFETY: chunks on the lists exist. The next one is noted before this one moves to
                // another list.
                unsafe {
                    let next = (*chunk).next;
                    let all_due = |until| (*chunk).buddy.dirty_until() <= until;
                    let may_be_due = |until| (*chunk).buddy.oldest() <= until;
                    let mut is_released = false;
                    if self.is_spare(chunk, demand.whole)
                        && (*excess != 0 || demand.until.is_some_and(all_due))
                    {
                        is_released =
                            self.collect_chunk(chunk, demand.until, excess, slice, unused);
                    } else if !NOTES_OLDEST || *excess != 0 || demand.until.is_some_and(may_be_due)
                    {
                        self.collect_runs(chunk, demand.until, excess, slice);
                    }
                    if NOTES_OLDEST && !is_released {
                        oldest = oldest.min((*chunk).buddy.oldest());
                    }
                    chunk = next;
                }
            }
        }
        if NOTES_OLDEST && !slice.is_full() {
            self.oldest = oldest;
        }
    }

    /// The same of what is kept for large objects, those first that were freed first: takes out what
    /// fits into the slice. A chunk leaves once all of it is purged.
    #[cold]
    #[inline(never)]
    fn collect_kept(&mut self, until: Option<u32>, excess: &mut usize, slice: &mut Slice) {
        let mut chunk = self.chunks.oldest_kept();
        while !chunk.is_null() && !slice.is_full() {
            // SAFETY: chunks on the lists exist.
            unsafe {
                let is_due = until.is_some_and(|until| (*chunk).idle.since <= until);
                if *excess == 0 && !is_due {
                    return;
                }
                if (*chunk).purging == 0 {
                    let purge = self.begin_purge(chunk, slice.room);
                    *excess = excess.saturating_sub(purge.pages);
                    slice.add(chunk, purge);
                }
                chunk = (*chunk).previous;
            }
        }
    }

    /// Releases a chunk, or takes runs of it out to be purged, if it is more than fits into the
    /// slice. Returns whether it is released.
    ///
    /// # Safety
    /// It is on a list, and nothing of it is handed out.
    #[inline(never)]
    unsafe fn collect_chunk(
        &mut self,
        chunk: *mut Chunk,
        until: Option<u32>,
        excess: &mut usize,
        slice: &mut Slice,
        unused: &mut Unused,
    ) -> bool {
        // SAFETY: the caller's promise.
        unsafe {
            let dirty = (*chunk).buddy.dirty_pages();
            let fits = slice.take_chunk(dirty);
            if fits {
                // (Some of it may not be due, if any is.)
                slice.note(dirty, until.is_some());
                self.release(chunk, unused);
                *excess = excess.saturating_sub(dirty);
            } else {
                // All of it, however much is in excess.
                let mut left = usize::MAX;
                self.collect_runs(chunk, until, &mut left, slice);
                *excess = excess.saturating_sub(usize::MAX - left);
            }
            fits
        }
    }

    /// Takes runs of a chunk out to be purged: what is due, and what is in excess.
    ///
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
            let wanted = if *excess != 0 { Some(u32::MAX) } else { until };
            let Some(latest) = wanted else { return };
            let room = slice.room;
            // SAFETY: the caller's promise.
            let purge =
                unsafe { self.change(chunk, |buddy| buddy.take_dirty(latest, least, room)) };
            let Some(purge) = purge else {
                // SAFETY: the caller's promise.
                unsafe {
                    #[cfg(feature = "ext")]
                    self.collect_descriptors(chunk, slice);
                    // What is being purged may be half of it.
                    if (*chunk).purging == 0 && !slice.is_full() {
                        (*chunk).buddy.note_looked_at();
                    }
                }
                return;
            };
            // SAFETY: the caller's promise.
            unsafe { (*chunk).purging += 1 << purge.run.order };
            *excess = excess.saturating_sub(purge.pages);
            slice.note(purge.pages, until.is_some_and(|until| purge.since <= until));
            slice.add(chunk, purge);
        }
    }

    /// Gives back what descriptors of slabs of a chunk took up, if half of it is free, and none of that
    /// is dirty: else it is in use, and may need them again.
    ///
    /// # Safety
    /// The chunk is on a list.
    #[cfg(feature = "ext")]
    unsafe fn collect_descriptors(&mut self, chunk: *mut Chunk, slice: &mut Slice) {
        // SAFETY: the caller's promise.
        unsafe {
            let (free, dirty) = Chunk::free_and_dirty(chunk);
            if dirty == 0 && free >= PAGES / 2 && Home::of(chunk).is_process() {
                let most = SLICE_CALLS - slice.calls;
                slice.calls += Chunk::give_back_descriptors(chunk, most, self.locked());
            }
        }
    }
}
