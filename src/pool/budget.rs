// SPDX-License-Identifier: MIT
//! What all depots of the process may keep together, beside their shares of what is in use.
//!
//! Each depot may keep a part of what is out of its pool's slabs, and what its pool regretted
//! ([`super::policy`]). Beyond that there is a constant, which is for all of them: pools are many, and
//! most of them sleep most of the time.
//!
//! A pool notes what its depot holds when that has changed by a *step*, or is nothing any more, so
//! that visits rarely write what other threads read. A step is a part of what was noted, so that
//! hundreds of small depots count for what they are.
//!
//! Of objects that no child caches there is nothing in depots. What pools of such may keep together as
//! their spare slabs is another constant, of which each is granted its slab's size. So is the slab of a
//! pool whose only child goes again and again, up to a smaller one.

use crate::sys::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// All depots together may hold so many bytes of objects beyond their shares.
#[cfg(not(loom))]
const BEYOND_BYTES: usize = 4 << 20;
#[cfg(loom)]
const BEYOND_BYTES: usize = 0;
/// The spare slabs of all pools of uncached objects may have so many bytes.
pub(super) const SPARE_BYTES: usize = 32 << 20;
/// A pool may keep its last slab without children if all that is granted is no more than so many.
pub(super) const CHILDLESS_BYTES: usize = 2 << 20;
/// By what part what a pool noted may be wrong, ...
const STEP_SHARE: usize = 4;
/// ... and by how many bytes in any case.
const LEAST_STEP: usize = 4 << 10;

// Relaxed: any recent value will do.
static NOTED: AtomicUsize = AtomicUsize::new(0);
static GRANTED: AtomicUsize = AtomicUsize::new(0);

/// What a pool has noted of its depot. Belongs to the pool's lock.
#[derive(Clone, Copy)]
pub(super) struct Noted(usize);

impl Noted {
    pub(super) const NOTHING: Noted = Noted(0);

    /// Notes that the depot holds so many bytes beyond its share.
    #[inline]
    pub(super) fn note(&mut self, bytes: usize) {
        let step = (self.0 / STEP_SHARE).max(LEAST_STEP);
        if bytes.abs_diff(self.0) >= step || bytes == 0 && self.0 != 0 {
            self.write(bytes);
        }
    }

    #[cold]
    fn write(&mut self, bytes: usize) {
        NOTED.fetch_add(bytes.wrapping_sub(self.0), Relaxed);
        self.0 = bytes;
    }
}

/// Whether a depot may hold more than its share.
pub(super) fn has_room() -> bool {
    NOTED.load(Relaxed).checked_sub(BEYOND_BYTES).is_none()
}

/// Whether any depot holds more than its share, or did so a step ago.
pub(super) fn is_noted() -> bool {
    NOTED.load(Relaxed) != 0
}

/// What a pool is granted, in bytes, so that it may keep a slab of so many that nobody uses. It
/// stays granted while the slab is in use, so that who frees and allocates in turns writes nothing
/// that other threads read. Belongs to the pool's lock.
pub(crate) struct Grant(usize);

/// No grant, but one was asked for before. (No slab is of so few bytes.)
const ASKED: usize = 1;

impl Grant {
    pub(super) const NOTHING: Grant = Grant(0);

    /// Asks for a grant of so many bytes, unless there is one: a pool's slabs are all of one size. All
    /// grants together have `most` then. Returns whether there is one.
    pub(super) fn ask(&mut self, bytes: usize, most: usize) -> bool {
        if self.0 <= ASKED && grant(&GRANTED, bytes, most) {
            self.0 = bytes;
        }
        self.0 > ASKED
    }

    /// The same, but in vain the first time.
    pub(super) fn ask_again(&mut self, bytes: usize, most: usize) -> bool {
        let before = self.0.max(ASKED);
        core::mem::replace(&mut self.0, before) != 0 && self.ask(bytes, most)
    }

    /// Gives it back.
    pub(super) fn give_back(&mut self) {
        if self.0 > ASKED {
            GRANTED.fetch_add(self.0.wrapping_neg(), Relaxed);
            self.0 = ASKED;
        }
    }
}

/// Adds so many bytes to those that are granted, if these are no more than `most` then. Returns whether it
/// did.
fn grant(granted: &AtomicUsize, bytes: usize, most: usize) -> bool {
    let Some(most) = most.checked_sub(bytes) else { return false };
    let fits = granted.fetch_add(bytes, Relaxed) <= most;
    if !fits {
        granted.fetch_add(bytes.wrapping_neg(), Relaxed);
    }
    fits
}

/// Where the words are: address and bytes.
#[cfg(feature = "debug")]
pub(crate) fn atomics() -> [(usize, usize); 2] {
    [&raw const NOTED, &raw const GRANTED].map(|word| (word.addr(), size_of::<AtomicUsize>()))
}

/// The beginning of an execution of the model checker.
#[cfg(loom)]
pub(crate) fn begin() {
    NOTED.store(0, Relaxed);
    GRANTED.store(0, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::geometry::PAGE;

    #[test]
    fn a_pool_notes_what_changed_by_a_step_and_what_is_gone() {
        let mut noted = Noted::NOTHING;
        noted.note(LEAST_STEP - 1);
        assert_eq!(noted.0, 0);
        let much = 100 * LEAST_STEP;
        noted.note(much);
        assert_eq!(noted.0, much);
        let step = much / STEP_SHARE;
        noted.note(much - step + 1);
        noted.note(much + step - 1);
        assert_eq!(noted.0, much);
        noted.note(much - step);
        assert_eq!(noted.0, much - step);
        noted.note(0);
        assert_eq!(noted.0, 0);
    }

    #[test]
    fn what_is_granted_is_bounded() {
        const THIRD: usize = SPARE_BYTES / 3;
        let granted = AtomicUsize::new(0);
        let grant = |bytes| grant(&granted, bytes, SPARE_BYTES);
        assert!(!grant(SPARE_BYTES + 1) && !grant(usize::MAX));
        assert!((0..3).all(|_| grant(THIRD)));
        assert!(!grant(THIRD) && !grant(SPARE_BYTES));
        assert_eq!(granted.load(Relaxed), 3 * THIRD);
        assert!(grant(SPARE_BYTES - 3 * THIRD) && !grant(1));
    }

    #[test]
    fn who_asks_again_is_granted() {
        let mut pool = Grant::NOTHING;
        assert!(!pool.ask_again(PAGE, 0) && !pool.ask_again(PAGE, 0) && !pool.ask(PAGE, 0));
        assert!(pool.ask_again(PAGE, usize::MAX) && pool.ask(PAGE, 0) && pool.ask_again(PAGE, 0));
        pool.give_back();
        assert!(!pool.ask(PAGE, 0));
        assert!(pool.ask_again(PAGE, usize::MAX), "it has asked before");
        pool.give_back();
        pool.give_back();
        let mut other = Grant::NOTHING;
        assert!(!other.ask_again(PAGE, usize::MAX));
    }
}
