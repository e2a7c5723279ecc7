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

use crate::sys::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// All depots together may hold so many bytes of objects beyond their shares.
#[cfg(not(loom))]
const BEYOND_BYTES: usize = 4 << 20;
#[cfg(loom)]
const BEYOND_BYTES: usize = 0;
/// By what part what a pool noted may be wrong, ...
const STEP_SHARE: usize = 4;
/// ... and by how many bytes in any case.
const LEAST_STEP: usize = 4 << 10;

// Relaxed: any recent value will do.
static NOTED: AtomicUsize = AtomicUsize::new(0);

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

/// Where the word is: address and bytes.
#[cfg(feature = "debug")]
pub(crate) fn atomics() -> (usize, usize) {
    ((&raw const NOTED).addr(), size_of::<AtomicUsize>())
}

/// The beginning of an execution of the model checker.
#[cfg(loom)]
pub(crate) fn begin() {
    NOTED.store(0, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
