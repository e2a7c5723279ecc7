// SPDX-License-Identifier: MIT
//! What the packaging and the tests of this repository reach beside what C sees. No part of what
//! the crate promises.

pub use crate::base::geometry::{CHUNK, CHUNK_SHIFT, PAGE_SHIFT};
pub use crate::heap::registry::{add, has, remove};
pub use crate::sys::os::broken_invariant;
#[cfg(feature = "debug")]
pub use crate::watch::debug::stacks::Stack;

/// For the model checker.
#[cfg(loom)]
pub mod models {
    use crate::heap::{HEAP, growth, model};
    use crate::life::fork;
    use crate::pool::{budget, sleepers};
    use crate::sys::os;
    use crate::sys::sync;
    use crate::watch::report;

    /// The second in which an execution begins.
    pub const START: u32 = sync::model::START;

    /// To be called by the first thread before all else.
    pub fn begin() {
        model::begin();
        sleepers::begin(START);
        budget::begin();
        growth::begin();
    }

    /// To be called when all other threads are joined, and no pool has an object or a child.
    pub fn end() {
        model::end();
    }

    /// Checks the heap, under its lock, but in one step.
    pub fn validate() {
        model::validate();
    }

    /// Whether the heap keeps what some pool's last child left.
    pub fn has_kit() -> bool {
        model::has_kit()
    }

    /// Gives back to the system whatever is free, as when the library is unloaded.
    pub fn release_free_memory() {
        sleepers::at_unload();
        HEAP.release_free_memory();
    }

    /// What fork() does.
    pub fn fork() {
        fork::around_fork(|_| ());
    }

    /// Sets the clock.
    pub fn set_seconds(seconds: u32) {
        sync::model::set_seconds(seconds);
    }

    /// Notes that what is at this address is written.
    #[track_caller]
    pub fn writes<T>(at: *const T) {
        sync::writes(at);
    }

    /// How many reports there were.
    pub fn reports() -> u32 {
        report::count()
    }

    /// Reserves address space.
    pub fn reserve(bytes: usize, align: usize) -> *mut u8 {
        os::reserve(bytes, align)
    }

    /// Gives it back.
    ///
    /// # Safety
    /// It was reserved so, and nothing refers to it.
    pub unsafe fn release(start: *mut u8, bytes: usize) {
        // SAFETY: the caller's promise.
        unsafe { os::release(start, bytes) }
    }
}
