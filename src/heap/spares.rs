// SPDX-License-Identifier: MIT
//! Entries of pools that have ended with nothing in them, for the next ones ([`super::pools`]).
//!
//! There are a few, as there are of kits ([`super::kit`]). Each place is one word, and whoever swaps
//! an entry out of it has that entry. An entry is left in the place that its pool's address says, if
//! that is free, and looked for there first: mostly the next pool is at the same address, and its
//! entry is where it was.

use core::ptr;

use super::pools::Entry;
use crate::sys::sync::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire, Relaxed},
};

/// How many entries are kept: one in small builds, and for the model checker.
const PLACES: usize = if cfg!(feature = "ext") && !cfg!(loom) { 4 } else { 1 };
const _: () = assert!(PLACES.is_power_of_two());

/// See the head of this file.
pub(crate) struct Spares {
    places: [AtomicPtr<Entry>; PLACES],
}

impl Spares {
    /// No entries.
    pub(super) const fn none() -> Spares {
        Spares { places: [const { AtomicPtr::new(ptr::null_mut()) }; PLACES] }
    }

    /// The places, beginning with that of a pool at this address.
    fn from(&self, owner: usize) -> impl Iterator<Item = &AtomicPtr<Entry>> {
        // Parents are at least 16 bytes.
        (0..PLACES).map(move |index| &self.places[((owner >> 4) + index) & (PLACES - 1)])
    }

    /// Takes a spare, for a pool at this address; null if there is none.
    #[inline(never)]
    pub(super) fn take(&self, owner: usize) -> *mut Entry {
        for place in self.from(owner) {
            // Relaxed: it is read again.
            if !place.load(Relaxed).is_null() {
                // Acquire: what the last user has written.
                let spare = place.swap(ptr::null_mut(), Acquire);
                if !spare.is_null() {
                    return spare;
                }
            }
        }
        ptr::null_mut()
    }

    /// Takes any spare; null if there is none.
    pub(super) fn take_any(&self) -> *mut Entry {
        self.take(0)
    }

    /// Leaves a spare, that of a pool at this address. Returns one that had to go for it, or null.
    pub(super) fn leave(&self, owner: usize, entry: *mut Entry) -> *mut Entry {
        // Relaxed: any will do.
        let free = self.from(owner).find(|place| place.load(Relaxed).is_null());
        let place = free.or_else(|| self.from(owner).next());
        // AcqRel: what this thread has written, and what the last user of the other one has.
        place.map_or(entry, |place| place.swap(entry, AcqRel))
    }

    /// Whether an entry, which need not be there any more, is a spare.
    pub(super) fn has(&self, entry: *const Entry) -> bool {
        // Relaxed: see `Pools::has_none_at`.
        self.places.iter().any(|place| ptr::addr_eq(place.load(Relaxed), entry))
    }

    /// Forgets what is there, or makes the first use of the words. For the model checker.
    #[cfg(loom)]
    pub(super) fn reset(&self) {
        self.places.iter().for_each(|place| place.store(ptr::null_mut(), Relaxed));
    }

    /// The first use of the words, for the model checker.
    #[cfg(loom)]
    pub(super) fn begin(&self) {
        for place in &self.places {
            place.load(Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: usize) -> *mut Entry {
        ptr::without_provenance_mut(number * 0x100)
    }

    #[test]
    fn the_spare_of_the_same_address_is_taken_first() {
        let spares = Spares::none();
        assert!(spares.take(0x40).is_null());
        for owner in 0..PLACES {
            assert!(spares.leave(owner << 4, entry(owner + 1)).is_null());
        }
        for owner in (0..PLACES).rev() {
            assert!(spares.has(entry(owner + 1)));
            assert_eq!(spares.take(owner << 4), entry(owner + 1));
            assert!(!spares.has(entry(owner + 1)));
        }
    }

    #[test]
    fn a_further_one_takes_the_place_of_another() {
        let spares = Spares::none();
        for number in 1..=PLACES {
            assert!(spares.leave(0, entry(number)).is_null(), "there is room");
        }
        assert_eq!(spares.leave(0, entry(PLACES + 1)), entry(1));
        let mut left: Vec<_> =
            (0..=PLACES).map(|_| spares.take_any()).filter(|spare| !spare.is_null()).collect();
        left.sort();
        assert_eq!(left, (2..=PLACES + 1).map(entry).collect::<Vec<_>>());
    }
}
