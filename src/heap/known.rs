// SPDX-License-Identifier: MIT
//! Whether the heap knows anything of a parent pool: a slab, or a name.
//!
//! A pool that is created looks for what one at the same address has left behind, and one that is
//! destroyed for what is still out. Mostly there is nothing, and this says so without the lock and
//! without a walk over all slabs.
//!
//! A table of counts, by a hash of the pool's address: a count of 0 says that there is nothing,
//! another one that there may be. The counts change under the heap's lock. Whoever asks was told of
//! the pool's memory by whoever used it last, and so sees what that one counted.

use super::locked::HeapLocked;
use crate::heap::chunk::PARKED;
use crate::sys::sync::atomic::{AtomicU32, Ordering::Relaxed};

#[cfg(not(loom))]
const COUNTS: usize = 64;
/// For the model checker: pools always share a count.
#[cfg(loom)]
const COUNTS: usize = 1;

/// See the head of this file.
pub(crate) struct Known {
    counts: [AtomicU32; COUNTS],
}

/// What the heap knows.
pub(crate) static KNOWN: Known = Known { counts: [const { AtomicU32::new(0) }; COUNTS] };

/// Where the counts are: address and bytes.
#[cfg(feature = "debug")]
pub(crate) fn atomics() -> (usize, usize) {
    ((&raw const KNOWN).addr(), size_of_val(&KNOWN))
}

impl Known {
    fn count(&self, parent: usize) -> &AtomicU32 {
        // The upper bits of the product depend on all bits of the address.
        let hash = (parent as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        &self.counts[hash as usize & (COUNTS - 1)]
    }

    /// Whether there is nothing of a pool.
    pub(crate) fn nothing_of(&self, parent: usize) -> bool {
        // Relaxed: see the head of this file.
        self.count(parent).load(Relaxed) == 0
    }

    /// Counts nothing. For the model checker.
    #[cfg(loom)]
    pub(crate) fn reset(&self) {
        self.counts.iter().for_each(|count| count.store(0, Relaxed));
    }

    /// Counts a slab or a name of a pool.
    pub(crate) fn add(&self, parent: usize, _lock: HeapLocked<'_>) {
        // Relaxed, and not one operation, as only the holder of the lock writes.
        self.count(parent).store(self.count(parent).load(Relaxed) + 1, Relaxed);
    }

    /// Counts one less, if this is a pool's owner word at all.
    pub(crate) fn remove(&self, owner: usize, _lock: HeapLocked<'_>) {
        if owner > PARKED {
            // Relaxed: as in `add`.
            self.count(owner).store(self.count(owner).load(Relaxed) - 1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::State;

    #[test]
    fn a_pool_is_known_while_something_of_it_is_counted() {
        let known = Known { counts: [const { AtomicU32::new(0) }; COUNTS] };
        let state = State::EMPTY;
        let pools = (1..1000).map(|number| number * 0x130);
        pools.clone().for_each(|pool| assert!(known.nothing_of(pool)));
        pools.clone().for_each(|pool| known.add(pool, state.locked()));
        pools.clone().for_each(|pool| assert!(!known.nothing_of(pool)));
        pools.clone().for_each(|pool| known.remove(pool, state.locked()));
        pools.for_each(|pool| assert!(known.nothing_of(pool)));
    }

    #[test]
    fn addresses_are_spread_over_the_counts() {
        let known = Known { counts: [const { AtomicU32::new(0) }; COUNTS] };
        let state = State::EMPTY;
        let pools = (1..=64).map(|number| 0x7f00_0000_0000u64 as usize + number * 4096);
        pools.for_each(|pool| known.add(pool, state.locked()));
        let most = known.counts.iter().map(|count| count.load(Relaxed)).max();
        assert!(most < Some(8), "{most:?}");
    }

    #[test]
    fn slabs_in_limbo_are_nobodys() {
        let known = Known { counts: [const { AtomicU32::new(0) }; COUNTS] };
        let state = State::EMPTY;
        known.remove(crate::heap::chunk::LIMBO, state.locked());
        known.remove(PARKED, state.locked());
        assert!(known.counts.iter().all(|count| count.load(Relaxed) == 0));
    }
}
