// SPDX-License-Identifier: MIT
//! Giving memory back to the system: chunks that are wholly free are released, dirty runs purged.
//!
//! Runs to be purged are taken out in batches, as if they were in use, and put back as clean. The
//! system is called without the lock.

use core::ptr;

use super::page_heap::{Heap, HeapGuard};
use super::state::{State, Unused};
use crate::base::geometry::{PAGE, PAGE_SHIFT};
use crate::heap::buddy::Run;
use crate::heap::chunk::Chunk;
use crate::heap::chunk_lists::RELEASED;
use crate::heap::decay::{excess, whole_chunks};
use crate::sys::os;
use crate::sys::sync::atomic::Ordering::Relaxed;

/// How many runs are purged at a time.
const BATCH: usize = 32;

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
    /// Memory that is dirty since then or longer; all of it, whatever its age, if this is
    /// `u32::MAX`.
    until: Option<u32>,
    /// So many pages, whatever their age.
    excess: usize,
    /// How many chunks that are wholly free are kept.
    whole: usize,
}

impl Heap {
    /// Gives back to the system what is due.
    pub(super) fn tick(&self, now: u32) {
        // Relaxed: it only decides whether to look closer.
        if self.last_tick.load(Relaxed) != now {
            self.last_tick.store(now, Relaxed);
            self.decay(self.lock(), now, Unused::NONE);
        }
    }

    /// Gives back to the system what is due, and what is above the limit: one batch at most.
    pub(super) fn decay<'a>(&'a self, mut state: HeapGuard<'a>, now: u32, mut unused: Unused) {
        let in_use = state.mapped / PAGE - state.free_pages;
        state.release_whole(whole_chunks(in_use), &mut unused);
        let excess = excess(state.dirty_pages, in_use);
        let due = state.decay.is_due(now);
        if let (true, Some(until)) = (due, state.decay.until(now)) {
            state.unpark_until(until, now, &mut unused);
        }
        if excess != 0 || due {
            let until = if due { state.decay.until(now) } else { None };
            let demand = Demand { until, excess, whole: 1 };
            let more;
            (state, more) = self.give_back(state, &demand, &mut unused);
            if more {
                // The next call is to go on where this one stopped.
                state.decay.hasten();
                self.last_tick.store(0, Relaxed);
            }
        }
        drop(state);
        unused.release();
    }

    /// Purges one batch, for which the lock is dropped and taken again, and adds chunks that are to
    /// be released to `unused`. Returns whether there may be more to do.
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
                    (*chunk).purging -= 1 << run.order;
                    state.change(chunk, |buddy| buddy.free_clean(run));
                    state.release_if_whole(chunk, demand.whole, unused);
                }
            }
        }
        (state, batch.is_full())
    }

    /// Gives back to the system everything that is free, and returns how many bytes of it may have
    /// had memory behind them.
    pub(crate) fn trim(&self) -> usize {
        let demand = Demand { until: Some(u32::MAX), excess: 0, whole: 0 };
        let mut state = self.lock();
        let mut unused = Unused::NONE;
        let before = state.resident();
        state.unpark(os::coarse_seconds(), &mut unused);
        state.drop_spare_magazines(&mut unused);
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
        os::release_refused();
        before.saturating_sub(after)
    }

    /// Sets for how many seconds free memory is kept for reuse, and returns what it was.
    pub(crate) fn set_decay(&self, seconds: u32) -> u32 {
        self.last_tick.store(0, Relaxed);
        self.lock().decay.set_seconds(seconds)
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
            if self.chunks.is_whole(chunk) && self.chunks.count_whole(keep + 1) > keep {
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
                // SAFETY: chunks on the lists exist. The next one is noted before this one moves to
                // another list.
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
            // SAFETY: the caller's promise.
            unsafe { (*chunk).purging += 1 << run.order };
            *excess = excess.saturating_sub(1 << run.order);
            batch.add(chunk, run);
        }
    }
}
