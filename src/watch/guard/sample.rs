// SPDX-License-Identifier: MIT
//! Sampling: about one allocation in N, of whatever pool, is a guarded object.
//!
//! The fast path knows nothing of it. It is drawn where a magazine is swapped in or filled: the
//! rounds that it hands out are counted, and when as many have been as was drawn, the allocation
//! that found its magazine empty gets a guarded object: at most one for each magazine, for which
//! children do not get the larger ones of busy children while objects are sampled. A child that
//! allocates and frees in turns and never empties a magazine is not sampled, whereas one that frees
//! through others empties one in up to 127 allocations; or in 511, if it was busy before objects
//! were sampled, as then it keeps what it has.
//!
//! Pools in a heap of the program's are counted, and have none: their objects are in its memory.
//!
//! At most [`SLOTS`] objects are guarded at a time, none of them larger than a page; the one that
//! was freed first is used again first.

use core::sync::atomic::{AtomicBool, AtomicIsize, AtomicU32, Ordering::Relaxed};

use super::Purpose;
use crate::base::line::Text;
use crate::pool::parent::ParentPool;
use crate::sys::os;

/// Objects that are guarded at a time.
pub(crate) const SLOTS: usize = 64;

/// The largest rate: twice as much is still a count of 32-bit machines.
const MOST_RATE: u32 = 1 << 30;

// Relaxed in all of this file: the words are counts and draws, of which any recent value will do.

/// One in so many; 0: none.
static RATE: AtomicU32 = AtomicU32::new(0);
/// Whether SLAB_SAMPLE is still to be read, and [`set`] was not called.
static UNREAD: AtomicBool = AtomicBool::new(true);
/// How many rounds are still to be handed out.
static LEFT: AtomicIsize = AtomicIsize::new(0);
/// The state of the generator.
static DRAWN: AtomicU32 = AtomicU32::new(0);

/// The words that are not under a lock: addresses and bytes.
pub(super) fn atomics() -> [(usize, usize); 4] {
    [
        ((&raw const RATE).addr(), size_of_val(&RATE)),
        ((&raw const UNREAD).addr(), size_of_val(&UNREAD)),
        ((&raw const LEFT).addr(), size_of_val(&LEFT)),
        ((&raw const DRAWN).addr(), size_of_val(&DRAWN)),
    ]
}

/// Samples one allocation in `rate` from now on, or none if that is 0. Returns what was set before.
pub(crate) fn set(rate: u32) -> u32 {
    choose();
    let rate = rate.min(MOST_RATE);
    if rate != 0 {
        super::fault::watch();
        LEFT.store(draw(rate), Relaxed);
    }
    RATE.swap(rate, Relaxed)
}

/// Reads SLAB_SAMPLE, once. Called where a pool is created, and no lock is held.
pub(crate) fn choose() {
    if !UNREAD.load(Relaxed) || !UNREAD.swap(false, Relaxed) {
        return;
    }
    let Some(text) = os::variable(c"SLAB_SAMPLE") else { return };
    match number(text.to_bytes()) {
        Some(0) => {}
        Some(rate) => {
            set(rate);
        }
        None => {
            let mut line = Text::empty();
            line.text("mesa-slab: SLAB_SAMPLE: not a number: ").bytes(text.to_bytes()).text("\n");
            os::say(line.as_bytes());
        }
    }
}

fn number(text: &[u8]) -> Option<u32> {
    let text = text.trim_ascii();
    let mut digits = text.iter().map(|byte| u32::from(byte.wrapping_sub(b'0')));
    let number = digits.try_fold(0u32, |number, digit| {
        if digit < 10 { number.checked_mul(10)?.checked_add(digit) } else { None }
    });
    number.filter(|_| !text.is_empty())
}

/// Whether objects are sampled.
pub(crate) fn is_on() -> bool {
    RATE.load(Relaxed) != 0
}

/// Counts rounds that were handed out to a child, and returns a guarded object if it is due.
#[inline]
pub(crate) fn count(parent: &ParentPool, rounds: usize) -> *mut u8 {
    if !is_on() {
        return core::ptr::null_mut();
    }
    count_sampled(parent, rounds)
}

#[cold]
#[inline(never)]
fn count_sampled(parent: &ParentPool, rounds: usize) -> *mut u8 {
    let rounds = rounds as isize;
    if LEFT.fetch_sub(rounds, Relaxed) > rounds {
        return core::ptr::null_mut();
    }
    LEFT.store(draw(RATE.load(Relaxed).max(1)), Relaxed);
    if parent.num_elements == 0 || parent.item_size as usize > os::page_size() {
        return core::ptr::null_mut();
    }
    super::alloc(parent, Purpose::Sample)
}

/// A number from 1 to twice `rate` less 1: `rate` on the average, and not to be foreseen by the
/// program's own rhythm.
fn draw(rate: u32) -> isize {
    // A Weyl sequence, mixed.
    let state = DRAWN.fetch_add(0x9e37_79b9, Relaxed) ^ seed();
    let mixed = (state ^ (state >> 16)).wrapping_mul(0x85eb_ca6b);
    let mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
    let mixed = mixed ^ (mixed >> 16);
    1 + ((u64::from(mixed) * (2 * u64::from(rate) - 1)) >> 32) as isize
}

/// Differs from one process to the next, where the system loads the library at random addresses.
fn seed() -> u32 {
    (&raw const DRAWN).addr() as u32 >> 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_between_1_and_twice_the_rate_and_the_rate_on_average() {
        for rate in [1u32, 2, 7, 5000, MOST_RATE] {
            let draws: Vec<isize> = (0..20_000).map(|_| draw(rate)).collect();
            let most = (2 * rate - 1) as isize;
            assert!(draws.iter().all(|draw| (1..=most).contains(draw)));
            let sum: i64 = draws.iter().map(|draw| *draw as i64).sum();
            let mean = sum as f64 / draws.len() as f64;
            assert!((mean - f64::from(rate)).abs() <= 0.05 * f64::from(rate), "{rate}: {mean}");
        }
    }

    #[test]
    fn rates_are_decimal_numbers() {
        assert_eq!(number(b" 5000 "), Some(5000));
        assert_eq!(number(b"0"), Some(0));
        for wrong in ["", "-1", "5k", "4294967296"] {
            assert_eq!(number(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
