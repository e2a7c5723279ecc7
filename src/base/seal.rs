// SPDX-License-Identifier: MIT
//! The hardened build: what makes the library's own memory hard to use against the program.
//!
//! Without the feature `hardened` every function here is compiled away. With it
//! - words of magazines, the links between them included, are sealed: combined with a secret of the
//!   process and the address of the word, so that what overwrites one cannot choose what it is read
//!   as;
//! - what is read is looked up in the registry of chunks before it is followed, also on the fast
//!   path of a free;
//! - a slab is taken off its list only if its neighbours lead to it;
//! - objects are taken from a slab in random order;
//! - a page that cannot be accessed lies behind the header of each chunk and behind the chunk.
//!
//! A broken link ends the process. `docs/hardening.md` has the price.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use super::config::HARDENED;
use crate::sys::os;

// Relaxed: it is set before the first pool is, and never changes then.
static SECRET: AtomicUsize = AtomicUsize::new(0);
/// Where it is.
pub(crate) const PLACE: *const () = (&raw const SECRET).cast();

// Relaxed: any draw will do.
static DRAWS: AtomicU32 = AtomicU32::new(0);

/// Chooses the secret, once. Called when a pool is created.
#[inline]
pub(crate) fn prepare() {
    if HARDENED && SECRET.load(Relaxed) == 0 {
        // Of two threads that create the first pools, one chooses.
        let _ = SECRET.compare_exchange(0, os::secret() | 1, Relaxed, Relaxed);
    }
}

/// What a word holds for `value`, or the value for what it holds.
#[inline(always)]
pub(crate) fn seal<T>(value: *mut T, word: *const *mut T) -> *mut T {
    if HARDENED {
        value.map_addr(|address| address ^ SECRET.load(Relaxed) ^ word.addr())
    } else {
        value
    }
}

/// Ends the process if something that always holds does not.
#[inline(always)]
pub(crate) fn check(holds: impl FnOnce() -> bool) {
    if HARDENED && !holds() {
        os::broken_invariant();
    }
}

/// A number below `limit`, which is not 0.
pub(crate) fn random(limit: usize) -> usize {
    // A Weyl sequence that begins at the secret, mixed.
    let state = DRAWS.fetch_add(0x9e37_79b9, Relaxed) ^ SECRET.load(Relaxed) as u32;
    let mixed = (state ^ (state >> 16)).wrapping_mul(0x85eb_ca6b);
    let mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
    let mixed = mixed ^ (mixed >> 16);
    ((u64::from(mixed) * limit as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealing_twice_gives_the_value_back() {
        let mut place = core::ptr::null_mut::<u8>();
        let word = &raw const place;
        let value = core::ptr::without_provenance_mut(0x1230);
        place = seal(value, word);
        assert_eq!(seal(place, word), value);
        assert_eq!(place == value, !HARDENED || SECRET.load(Relaxed) == word.addr());
    }

    #[test]
    fn random_numbers_are_below_the_limit_and_reach_it() {
        for limit in [1, 2, 42, 512] {
            let mut seen = vec![false; limit];
            for _ in 0..limit * 30 {
                seen[random(limit)] = true;
            }
            assert!(seen.iter().all(|seen| *seen), "{limit}");
        }
    }
}
