//! The heap at the beginning and the end of an execution of the model checker, and its handlers of fork().

use super::known::KNOWN;
use super::{HEAP, State, fork};
use crate::chunk::{PARKED, owner_of};
use crate::registry;
use crate::slab::Slab;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::{at_once, model, writes};

/// An address that shares its count with those of all pools.
const ANY_POOL: usize = 0x1000;

fn reset() {
    // SAFETY: no thread of an execution runs.
    unsafe { HEAP.state.get().write(State::EMPTY) }
    HEAP.last_tick.store(0, Relaxed);
    KNOWN.reset();
    registry::model::reset();
}

/// To be called by the first thread before all else.
pub fn begin() {
    reset();
    model::begin();
    // The first use of what has no lock before it.
    HEAP.last_tick.load(Relaxed);
    KNOWN.nothing_of(ANY_POOL);
    registry::model::begin();
    drop(HEAP.lock());
}

/// To be called when all other threads are joined, and no pool has an object or a child.
pub fn end() {
    validate();
    model::quietly(|| {
        HEAP.trim();
        HEAP.with_state(|state| {
            assert_eq!(state.object_slabs().count(), 0, "a slab is lost");
            assert_eq!(state.mapped, 0, "a chunk is lost");
        });
        assert!(KNOWN.nothing_of(ANY_POOL), "a slab or a name that is gone is counted");
        assert!(registry::model::is_empty(), "a chunk that is gone is noted");
    });
    model::end();
    reset();
}

/// Checks the heap, under its lock, but in one step.
pub fn validate() {
    HEAP.with_state(check);
}

fn check(state: &State) {
    at_once(|| {
        state.validate(&mut |address, words| panic!("the heap at {address:#x}: {words}"));
    });
}

/// Whether the heap keeps what some pool's last child left.
pub fn has_kit() -> bool {
    // SAFETY: the heap's lock is held, so that its slabs are there.
    let is_parked = |slab: *mut Slab| unsafe { owner_of((*slab).base()) == PARKED };
    HEAP.with_state(|state| at_once(|| state.slabs().any(is_parked)))
}

/// What fork() does: runs `forked` between the handlers. It is given the heap as the child process gets it.
pub fn around_fork(forked: impl FnOnce(&State)) {
    // SAFETY: as the C library calls them.
    unsafe {
        fork::before_fork();
        writes(HEAP.state.get());
        let state = &*HEAP.state.get();
        check(state);
        forked(state);
        writes(HEAP.state.get());
        fork::after_fork();
    }
}
