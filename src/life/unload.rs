// SPDX-License-Identifier: MIT
//! What happens when the object that carries the library is unloaded, or the process ends: objects
//! that are out are listed if SLAB_DEBUG asks for it, statistics are written if SLAB_STATS does,
//! and free memory goes to the system.
//!
//! Drivers are loaded and unloaded with dlopen() and dlclose(). Memory that a caller still holds
//! objects in stays mapped. At the end of the process, giving memory back is of no use and does no
//! harm.
//!
//! Other threads may fork meanwhile: [`super::fork::at_unload`].
//!
//! A process may end anywhere, even in a signal handler within the library: if the heap or the
//! guards are locked, nothing happens.

use super::statistics;
use crate::heap::HEAP;
use crate::hooks;
use crate::pool::sleepers;
use crate::watch::report;

pub(super) fn at_unload() {
    #[cfg(unix)]
    super::fork::at_unload();
    let is_locked = HEAP.is_locked() || hooks::is_watch_locked();
    if !is_locked {
        hooks::at_end();
    }
    if cfg!(feature = "ext") {
        report::say_count();
    }
    if cfg!(feature = "ext") && !is_locked {
        statistics::write();
    }
    hooks::at_unload();
    sleepers::at_unload();
    HEAP.release_free_memory();
    #[cfg(unix)]
    super::fork::at_unload();
}
