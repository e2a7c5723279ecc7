// SPDX-License-Identifier: MIT
//! The heap at the beginning and the end of an execution of the model checker, and its handlers of
//! fork().

use core::ptr;

use super::page_heap::HEAP;
use super::state::State;
use crate::heap::chunk::{PARKED, owner_of};
use crate::heap::registry;
use crate::heap::slab::Slab;
use crate::sys::sync::atomic::Ordering::Relaxed;
use crate::sys::sync::{at_once, model, writes};

fn reset() {
    // SAFETY: no thread of an execution runs.
    unsafe { HEAP.state.get().write(State::EMPTY) }
    HEAP.last_tick.store(0, Relaxed);
    HEAP.keeps_nothing.store(false, Relaxed);
    HEAP.pools.reset();
    HEAP.spares.reset();
    HEAP.parking.reset();
    registry::model::reset();
}

/// To be called by the first thread before all else.
pub(crate) fn begin() {
    reset();
    model::begin();
    // The first use of what has no lock before it.
    HEAP.last_tick.load(Relaxed);
    HEAP.keeps_nothing();
    HEAP.pools.begin();
    HEAP.spares.begin();
    HEAP.parking.begin();
    registry::model::begin();
    drop(HEAP.lock());
}

/// To be called when all other threads are joined, and no pool has an object or a child.
pub(crate) fn end() {
    validate();
    model::quietly(|| {
        HEAP.trim();
        HEAP.with_state(|state| {
            assert_eq!(state.object_slabs().count(), 0, "a slab is lost");
            assert_eq!(state.mapped, 0, "a chunk is lost");
        });
        assert!(HEAP.pools.is_empty(), "a pool that is gone is found");
        assert!(registry::model::is_empty(), "a chunk that is gone is noted");
    });
    model::end();
    reset();
}

/// Checks the heap, under its lock, but in one step.
pub(crate) fn validate() {
    HEAP.with_state(check);
}

fn check(state: &State) {
    at_once(|| {
        state.validate(&mut |address, words| panic!("the heap at {address:#x}: {words}"));
    });
}

/// Whether the heap keeps what some pool's last child left.
pub(crate) fn has_kit() -> bool {
    // SAFETY: the heap's lock is held, so that its slabs are there.
    let is_parked = |slab: *mut Slab| unsafe { owner_of((*slab).base()) == PARKED };
    HEAP.with_state(|state| at_once(|| state.slabs().any(is_parked)))
}

/// Calls `forked` with the heap as the child process of a fork() gets it.
///
/// # Safety
/// The heap is locked for fork().
pub(crate) unsafe fn while_forking(forked: impl FnOnce(&State)) {
    // SAFETY: the caller's promise.
    unsafe {
        writes(HEAP.state.get());
        let state = &*HEAP.state.get();
        check(state);
        forked(state);
        writes(HEAP.state.get());
    }
}
