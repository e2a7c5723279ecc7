// SPDX-License-Identifier: MIT
//! How much was in use lately, which says how much of it may lie free.
//!
//! Objects that no child caches come from the heap one by one and go back one by one. So what a
//! program does again and again with them, such as a batch for each frame, goes through the heap's
//! free memory each time, and is found there again only if that much may lie free. What they have in
//! use and what of it lies free are together at most what they had in use at a time, in this epoch
//! or in the one before. An epoch is a decay time: what is free for longer goes in any case.
//!
//! Of other objects it bounds what may lie free since it was regretted ([`super::regret`]).

/// Pages of the one kind or the other. Belongs to the heap's lock.
pub(super) struct Peak {
    in_use: usize,
    /// The most that were in use at a time, in this epoch and in the one before.
    most: [usize; 2],
    /// The second in which this epoch began.
    began: u32,
}

impl Peak {
    /// Nothing was ever in use.
    pub(super) const NONE: Peak = Peak { in_use: 0, most: [0; 2], began: 0 };

    /// How many are in use.
    pub(super) fn in_use(&self) -> usize {
        self.in_use
    }

    /// Notes so many more.
    pub(super) fn add(&mut self, pages: usize) {
        self.in_use += pages;
        self.most[0] = self.most[0].max(self.in_use);
    }

    /// Notes so many fewer.
    pub(super) fn remove(&mut self, pages: usize) {
        self.in_use -= pages;
    }

    /// Notes how many there are.
    pub(super) fn set(&mut self, pages: usize) {
        self.remove(self.in_use);
        self.add(pages);
    }

    /// Ends the epoch, if it lasts for so many seconds, and returns whether it did.
    pub(super) fn look(&mut self, now: u32, seconds: u32) -> bool {
        let epochs = now.saturating_sub(self.began) / seconds.max(1);
        if epochs != 0 {
            let last = if epochs == 1 { self.most[0] } else { self.in_use };
            (self.most, self.began) = ([self.in_use, last], now);
        }
        epochs != 0
    }

    /// The most that there were at a time.
    pub(super) fn most(&self) -> usize {
        self.most[0].max(self.most[1])
    }

    /// How many may lie free, as so many more were in use lately.
    pub(super) fn may_lie_free(&self) -> usize {
        self.most() - self.in_use
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_use_may_lie_free_for_an_epoch_or_two() {
        let mut peak = Peak::NONE;
        peak.look(1000, 10);
        assert_eq!((peak.in_use(), peak.may_lie_free()), (0, 0));
        peak.add(300);
        peak.add(200);
        assert_eq!(peak.may_lie_free(), 0, "all of it is in use");
        peak.remove(300);
        assert_eq!((peak.in_use(), peak.may_lie_free()), (200, 300));
        peak.look(1009, 10);
        assert_eq!(peak.may_lie_free(), 300);
        peak.look(1010, 10);
        assert_eq!(peak.may_lie_free(), 300, "it was in the epoch before");
        peak.add(50);
        assert_eq!(peak.may_lie_free(), 250);
        peak.look(1020, 10);
        assert_eq!(peak.may_lie_free(), 0, "250 in this one and in the one before");
        peak.remove(250);
        assert_eq!(peak.may_lie_free(), 250);
    }

    #[test]
    fn who_was_not_looked_at_for_two_epochs_may_keep_nothing() {
        let mut peak = Peak::NONE;
        peak.look(1000, 10);
        peak.add(300);
        peak.remove(100);
        peak.look(1020, 10);
        assert_eq!(peak.may_lie_free(), 0);
        peak.remove(200);
        peak.look(1021, 0);
        assert_eq!(peak.may_lie_free(), 200, "a second is an epoch at least");
        peak.look(1023, 0);
        assert_eq!(peak.may_lie_free(), 0);
        peak.add(100);
        assert!(!peak.look(1000, 10), "who looks back ends no epoch");
    }

    #[test]
    fn what_is_in_use_and_may_lie_free_is_never_more_than_was_in_use() {
        let (mut peak, mut random, mut most) = (Peak::NONE, 1u32, 0);
        for now in 0..10_000 {
            random = random.wrapping_mul(1664525).wrapping_add(1013904223);
            let pages = (random >> 16) as usize % 1000;
            if random >> 31 == 0 {
                peak.add(pages)
            } else {
                peak.remove(pages.min(peak.in_use()))
            }
            most = most.max(peak.in_use());
            peak.look(now, 10);
            assert!(peak.in_use() + peak.may_lie_free() <= most);
        }
    }
}
