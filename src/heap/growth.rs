// SPDX-License-Identifier: MIT
//! How far the heap has grown: pages that it handed out and that had no memory behind them. Whoever
//! keeps memory without need can then give as much back.
//!
//! Written under the heap's lock, read without it.

use crate::sys::sync::atomic::{AtomicUsize, Ordering::Relaxed};

// Relaxed: any recent value will do.
static PAGES: AtomicUsize = AtomicUsize::new(FIRST);
/// What it begins with. Not 0: see "Words that every process writes" in docs/design.md.
const FIRST: usize = 1;

/// Notes so many pages more.
pub(super) fn note(pages: usize) {
    if pages != 0 {
        PAGES.store(grown().wrapping_add(pages), Relaxed);
    }
}

/// How many pages it has been, from some number on, and around the end of the numbers.
pub(crate) fn grown() -> usize {
    PAGES.load(Relaxed)
}

/// Where the word is: address and bytes.
#[cfg(feature = "debug")]
pub(crate) fn atomics() -> (usize, usize) {
    ((&raw const PAGES).addr(), size_of::<AtomicUsize>())
}

/// The beginning of an execution of the model checker.
#[cfg(loom)]
pub(crate) fn begin() {
    PAGES.store(FIRST, Relaxed);
}
