// SPDX-License-Identifier: MIT
//! Decay: when free memory goes back to the system, and how much stays. Policy only;
//! [`crate::heap`] does it.
//!
//! - A dirty run is purged once it has been free for the decay time (jemalloc's default, 10 s), so
//!   that memory that is about to be used again is not faulted in again.
//! - No more is kept dirty than a limit that grows with what is in use, up to twice as far with what was
//!   given back too early ([`super::regret`]), and, of objects that no child caches, with what was in use
//!   lately ([`super::peak`]). What is above goes at once.
//! - There is no background thread: the clock is read on slow paths, and each call does a slice.

use crate::base::geometry::{CHUNK, PAGE, PAGES};

/// For how long free memory is kept for reuse, in seconds, unless set otherwise.
pub(crate) const DECAY_SECONDS: u32 = 10;

/// This may be dirty however little is in use, ...
const DIRTY_PAGES: usize = (6 << 20) / PAGE;
/// ... and beyond it one part in `1 << DIRTY_SHARE` of what is in use.
const DIRTY_SHARE: u32 = 4;

/// Below so many bytes of address space, chunks have no huge pages. A system that puts huge pages
/// behind everything would give a program with a few objects 2 MiB for them (measured: 2164 KiB in
/// place of 144); beyond, the same costs little of what is in use, and saves faults.
pub(crate) const SMALL_HEAP: usize = 64 << 20;

/// Below so many bytes of address space, chunks are committed in steps ([`super::buddy`]), so that
/// the first object of a program does not count as 4 MiB against a limit of its data, the commit
/// limit of the system, or what may be locked. Beyond, what a chunk has in vain is a fourth of the
/// heap at most, and each chunk that is reserved as a whole becomes one mapping with its
/// neighbours, which one that grew in steps does not.
pub(crate) const STEPPED_HEAP: usize = 4 * CHUNK;

/// What one call gives back to the system is a slice of it: so many calls of the system, each of
/// one to four microseconds where it was measured, ...
pub(crate) const SLICE_CALLS: usize = 16;
/// ... on so many pages, five of which take as long as a call, beside those that it brings itself.
pub(crate) const SLICE_PAGES: usize = 64;

/// A call that is the first one for some seconds does so many slices more for each second in which there was
/// none, of the decay time at most: a program that calls rarely is to give back what lay free meanwhile.
pub(crate) const CATCH_UP: usize = 3;
/// The decay time may be set to hours; no more seconds than these count.
const MOST_MISSED: u32 = DECAY_SECONDS;

/// A call after which its pool has nothing counts as if it brought so many times as much: it takes long in
/// any case, and there may be none after it.
pub(crate) const LAST_SHARE: usize = 8;

/// In place of what a call brings: all is to be given back, in as many slices as it takes.
pub(crate) const ALL: usize = usize::MAX;

/// How many pages the slice of a call may have that frees so many: so many that no more is kept than
/// may be, if there is so much already. What is only due can wait.
pub(crate) fn slice_pages(brought: usize, is_over: bool) -> usize {
    if is_over { SLICE_PAGES.saturating_add(brought) } else { SLICE_PAGES }
}

/// The decay time, and when to look for what is due.
pub(crate) struct Decay {
    /// The decay time, exclusive or the default one: so the heap is all zeroes at first, and no
    /// part of the file.
    difference: u32,
    next: u32,
    /// When a call came to give something back last; 0 at first.
    last: u32,
}

impl Decay {
    /// The default decay time.
    pub(crate) const DEFAULT: Decay = Decay { difference: 0, next: 0, last: 0 };

    /// The decay time.
    pub(crate) fn seconds(&self) -> u32 {
        self.difference ^ DECAY_SECONDS
    }

    /// Sets the decay time, and returns what it was.
    pub(crate) fn set_seconds(&mut self, seconds: u32) -> u32 {
        self.hasten();
        core::mem::replace(&mut self.difference, seconds ^ DECAY_SECONDS) ^ DECAY_SECONDS
    }

    /// Whether what is free is to go at once.
    pub(crate) fn keeps_nothing(&self) -> bool {
        self.seconds() == 0
    }

    /// Makes the next look come at once.
    pub(crate) fn hasten(&mut self) {
        self.next = 0;
    }

    /// Whether it is time to look for what is due: once a second, or always if nothing is to be
    /// kept.
    pub(crate) fn is_due(&mut self, now: u32) -> bool {
        let due = now >= self.next || self.keeps_nothing();
        if due {
            self.next = now.saturating_add(1);
        }
        due
    }

    /// How many slices a call does that comes now. (It may have read the clock before the last one did.)
    pub(crate) fn slices(&mut self, now: u32) -> usize {
        let last = core::mem::replace(&mut self.last, now);
        let since = if last == 0 { 0 } else { now.saturating_sub(last) };
        1 + CATCH_UP * since.saturating_sub(1).min(MOST_MISSED) as usize
    }

    /// Runs that are dirty since this time or longer are due.
    pub(crate) fn until(&self, now: u32) -> Option<u32> {
        now.checked_sub(self.seconds())
    }
}

/// How many pages may be dirty in any case, while so many are in use.
pub(crate) fn usual_limit(in_use: usize) -> usize {
    DIRTY_PAGES + (in_use >> DIRTY_SHARE)
}

/// How much may be dirty.
pub(crate) struct Limit {
    /// In any case.
    usual: usize,
    /// Of what was given back too early.
    regretted: usize,
    /// Of what they had in use lately.
    lately: usize,
}

impl Limit {
    /// While so many pages are in use, and so many may lie free that large objects had in use lately;
    /// `regretted` says how many beyond a limit since they were given back too early.
    pub(crate) fn of(
        in_use: usize,
        lately: usize,
        regretted: impl FnOnce(usize) -> usize,
    ) -> Limit {
        let usual = usual_limit(in_use);
        Limit { usual, regretted: regretted(usual), lately }
    }

    /// How many pages are to be purged at once, whatever their age. A quarter of the limit more than
    /// what is above it, so that the next slab that is freed does not call for it again. (It is a
    /// quarter of what it is without large objects: the next one does not find again what goes here.)
    pub(crate) fn excess(&self, dirty: usize) -> usize {
        let pages = self.usual + self.regretted;
        let over = dirty.saturating_sub(pages + self.lately);
        if over != 0 { over + pages / 4 } else { 0 }
    }

    /// How many wholly free chunks are kept before their time is up: as many as may be dirty, and so
    /// one at least. (The largest runs are half a chunk, of which there is one in each.) Not for what is
    /// regretted: mostly a chunk or two that are not wholly free have that much room.
    pub(crate) fn whole_chunks(&self) -> usize {
        self.usual.div_ceil(PAGES) + self.lately.div_ceil(PAGES / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_looked_for_once_a_second() {
        let mut decay = Decay::DEFAULT;
        assert!(decay.is_due(100));
        assert!(!decay.is_due(100));
        assert!(decay.is_due(101));
        assert_eq!(decay.until(101), Some(91));
        assert_eq!(decay.until(9), None, "just booted");
        assert_eq!(decay.set_seconds(0), DECAY_SECONDS);
        assert!(decay.is_due(101) && decay.keeps_nothing());
        assert_eq!(decay.until(101), Some(101));
    }

    #[test]
    fn what_a_call_brings_goes_in_its_slice() {
        assert_eq!(slice_pages(0, true), SLICE_PAGES);
        assert_eq!(slice_pages(1000, true), SLICE_PAGES + 1000);
        assert_eq!(slice_pages(ALL, true), usize::MAX);
        assert_eq!(slice_pages(1000, false), SLICE_PAGES, "there is time for it");
    }

    #[test]
    fn a_call_after_seconds_without_one_does_more_up_to_a_bound() {
        let mut decay = Decay::DEFAULT;
        let slices = [1000, 1000, 1001, 1003, 1006, 1016, 1027, 9000, 8999]
            .map(|now| (decay.slices(now) - 1) / CATCH_UP);
        assert_eq!(slices, [0, 0, 0, 1, 2, 9, 10, 10, 0]);
    }

    #[test]
    fn more_may_be_dirty_the_more_is_in_use() {
        let excess = |dirty, in_use, lately| Limit::of(in_use, lately, |_| 0).excess(dirty);
        let whole_chunks = |in_use, lately| Limit::of(in_use, lately, |_| 0).whole_chunks();
        assert_eq!(excess(DIRTY_PAGES, 0, 0), 0);
        assert_eq!(excess(DIRTY_PAGES + 1, 0, 0), 1 + DIRTY_PAGES / 4);
        assert_eq!(excess(DIRTY_PAGES + 1, 16, 0), 0);
        assert!(whole_chunks(0, 0) >= 1);
        assert!(whole_chunks(1_000_000, 0) > whole_chunks(0, 0));
        assert_eq!(excess(DIRTY_PAGES + 5000, 0, 5000), 0);
        assert_eq!(excess(DIRTY_PAGES + 5001, 0, 5000), 1 + DIRTY_PAGES / 4);
        assert_eq!(whole_chunks(0, 5 * PAGES), 10 + whole_chunks(0, 0));
        let regretted = Limit::of(0, 0, |_| 5 * PAGES);
        assert_eq!(regretted.excess(DIRTY_PAGES + 5 * PAGES), 0);
        assert_ne!(regretted.excess(DIRTY_PAGES + 5 * PAGES + 1), 0);
        assert_eq!(regretted.whole_chunks(), whole_chunks(0, 0));
    }
}
