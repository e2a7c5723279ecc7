// SPDX-License-Identifier: MIT
//! The operating system: the only door to it, one file per family.
//!
//! What every family offers: `reserve` and `release` of address space, a mutex, a coarse clock,
//! files and the environment, hooks around `fork` where there is one, and a way to say a line and
//! to abort.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
#[cfg_attr(loom, allow(dead_code, reason = "the model checker stands in for some of it"))]
mod family;

pub(crate) use family::*;

#[cfg(all(unix, feature = "debug"))]
#[path = "unix_faults.rs"]
mod faults;
#[cfg(all(unix, feature = "debug"))]
pub(crate) use faults::*;
#[cfg(all(unix, feature = "debug"))]
#[path = "unix_trace.rs"]
mod trace;
#[cfg(all(unix, feature = "debug"))]
pub(crate) use trace::*;

/// Ends the process because an invariant of the library does not hold.
#[cold]
pub fn broken_invariant() -> ! {
    say(b"mesa-slab: broken invariant, aborting\n");
    abort()
}

/// Rounds up to whole pages of the system's, whose size is a power of two.
#[cfg(all(unix, feature = "debug"))]
#[inline(never)]
pub(crate) fn whole_pages(bytes: usize) -> usize {
    let page = page_size();
    (bytes + page - 1) & !(page - 1)
}

/// The clock and the threads of a model stand in for the system's.
#[cfg(loom)]
pub(crate) use crate::sys::sync::model::{coarse_seconds, pause, thread_id};
