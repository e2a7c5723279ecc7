// SPDX-License-Identifier: MIT
//! What was given back to the system too early, so that as much more may lie free.
//!
//! Pages that are free beyond the limit go before their time is up. If the heap soon takes pages that have
//! no memory behind them, it could have had those: they are *regretted*. So a program that fills a pool
//! of some MiB and empties it over and over comes to do so without a call of the system and without page
//! faults, and one that does so once keeps no more for it. (Depots learn in the same way what they
//! drained too early, see `pool::policy`.)
//!
//! - What is given back in an epoch counts until its end. An epoch is a decay time.
//! - What goes because its time is up is regretted no more.
//! - At most as much again lies free for this reason as may in any case: what is kept is never in
//!   proportion to what was in use.
//! - What is in use and what lies free are then together no more than was in use lately
//!   ([`super::peak`]), and a little. A program whose use is steady keeps nothing for it, however much of
//!   its memory comes and goes.

use super::peak::Peak;

/// Of what may lie free in any case one part in so many may do so beyond what was in use lately. While that
/// was in use dirty pages lay free as well: chunks in use are filled first, whether their free pages are
/// dirty or clean.
const SLACK: usize = 4;

/// Small builds regret nothing.
const REGRETS: bool = cfg!(any(feature = "ext", test));

/// Pages, but for those of objects that no child caches. Belongs to the heap's lock.
pub(super) struct Regret {
    peak: Peak,
    /// How many were given back too early in this epoch, unless they were wanted.
    early: usize,
    /// How many of such were wanted, and not given back in time since.
    regretted: usize,
}

impl Regret {
    /// Nothing was ever given back.
    pub(super) const NONE: Regret = Regret { peak: Peak::NONE, early: 0, regretted: 0 };

    /// Notes that so many are given back before their time is up.
    pub(super) fn note_early(&mut self, pages: usize) {
        self.early += if REGRETS { pages } else { 0 };
    }

    /// Notes that so many are given back in time.
    pub(super) fn note_due(&mut self, pages: usize) {
        self.regretted -= if REGRETS { pages.min(self.regretted) } else { 0 };
    }

    /// Notes that so many are taken that have no memory behind them, when so many may lie free in any
    /// case.
    pub(super) fn note_wanted(&mut self, pages: usize, limit: usize) {
        if REGRETS {
            let pages = pages.min(self.early);
            self.early -= pages;
            self.regretted = (self.regretted + pages).min(limit);
        }
    }

    /// Notes that so many are in use.
    pub(super) fn note_in_use(&mut self, pages: usize) {
        if REGRETS {
            self.peak.set(pages);
        }
    }

    /// Ends the epoch, if it lasts for so many seconds, while so many are in use.
    pub(super) fn look(&mut self, now: u32, seconds: u32, in_use: usize) {
        self.note_in_use(in_use);
        if REGRETS && self.peak.look(now, seconds) {
            self.early = 0;
        }
    }

    /// How many more than so many may lie free beside so many that are in use.
    pub(super) fn may_lie_free(&self, limit: usize, in_use: usize) -> usize {
        let lately = self.peak.most() + limit / SLACK;
        let regretted = if REGRETS { self.regretted } else { 0 };
        regretted.min(limit).min(lately.saturating_sub(in_use + limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What may lie free without it.
    const LIMIT: usize = 1600;

    /// Of so many pages that were in use, of which none is now.
    fn emptied(pages: usize) -> Regret {
        let mut regret = Regret::NONE;
        regret.look(1000, 10, pages);
        regret.look(1000, 10, 0);
        regret
    }

    #[test]
    fn what_goes_and_is_wanted_is_regretted() {
        let mut regret = emptied(10_000);
        regret.note_wanted(500, LIMIT);
        assert_eq!(regret.may_lie_free(LIMIT, 0), 0, "nothing was given back");
        regret.note_early(300);
        assert_eq!(regret.may_lie_free(LIMIT, 0), 0, "it is not wanted");
        regret.note_wanted(200, LIMIT);
        assert_eq!(regret.may_lie_free(LIMIT, 0), 200);
        regret.note_wanted(200, LIMIT);
        assert_eq!(regret.may_lie_free(LIMIT, 0), 300, "no more than was given back");
        regret.note_early(100);
        regret.note_wanted(100, LIMIT);
        assert_eq!(regret.may_lie_free(LIMIT, 0), 400);
    }

    #[test]
    fn what_goes_in_time_is_regretted_no_more() {
        let mut regret = emptied(10_000);
        regret.note_early(300);
        regret.note_wanted(300, LIMIT);
        regret.note_due(100);
        assert_eq!(regret.may_lie_free(LIMIT, 0), 200);
        regret.note_due(1000);
        assert_eq!(regret.may_lie_free(LIMIT, 0), 0);
    }

    #[test]
    fn what_is_wanted_in_a_later_epoch_is_not_regretted() {
        let mut regret = emptied(10_000);
        regret.note_early(300);
        regret.look(1009, 10, 0);
        regret.note_wanted(100, LIMIT);
        regret.look(1010, 10, 10_000);
        regret.note_wanted(100, LIMIT);
        assert_eq!(regret.may_lie_free(LIMIT, 0), 100);
    }

    #[test]
    fn at_most_as_much_again_lies_free() {
        let mut regret = emptied(10_000);
        regret.note_early(5000);
        regret.note_wanted(5000, LIMIT);
        assert_eq!(regret.may_lie_free(LIMIT, 0), LIMIT);
    }

    #[test]
    fn no_more_lies_free_for_it_than_was_in_use_lately() {
        let slack = LIMIT / SLACK;
        let mut regret = emptied(2000);
        regret.note_early(5000);
        regret.note_wanted(5000, LIMIT);
        assert_eq!(regret.may_lie_free(LIMIT, 0), 2000 + slack - LIMIT);
        assert_eq!(regret.may_lie_free(LIMIT, 100), 1900 + slack - LIMIT);
        assert_eq!(regret.may_lie_free(LIMIT, 1500), 0, "so many may in any case");
        assert_eq!(regret.may_lie_free(LIMIT, 2500), 0);
        regret.look(1010, 10, 1800);
        assert_eq!(
            regret.may_lie_free(LIMIT, 0),
            2000 + slack - LIMIT,
            "they were in the epoch before"
        );
        regret.look(1020, 10, 1800);
        assert_eq!(regret.may_lie_free(LIMIT, 0), 1800 + slack - LIMIT);
        regret.note_in_use(1900);
        assert_eq!(regret.may_lie_free(LIMIT, 0), 1900 + slack - LIMIT);
    }
}
