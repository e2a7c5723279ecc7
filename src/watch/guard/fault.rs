// SPDX-License-Identifier: MIT
//! What is said when an access to a guarded object faults.
//!
//! The handler of SIGSEGV and SIGBUS is installed with the first guarded object, and not before. It
//! says whose object it was, and then the signal goes its way: to the handler that was there
//! before, as if that had been installed itself, or to the default, by letting the instruction
//! fault again, so that debuggers and core dumps see it where it happened. It speaks on a stack of
//! the library's own: the program's for signals may be small.
//!
//! It runs wherever the program was interrupted, so it waits for no lock (for the pool's name it
//! tries the heap's), and allocates nothing: the list of chunks only grows, and what is read of a
//! slot is atomic. A slot that another thread changes just then may be told half as it was and half
//! as it is.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use super::chunk::{FREED, GuardChunk, LIVE, Place};
use super::find_chunk;
use crate::sys::os::{self, Fault};
use crate::watch::debug::access::{Access, Relation};

/// So many faults are told of, should the program go on after them.
const MOST: u32 = 10;

// Relaxed: whoever comes first installs the handler; an object is not handed to others before that.
static WATCHED: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU32 = AtomicU32::new(0);

/// The words that are not under a lock: addresses and bytes.
pub(super) fn atomics() -> [(usize, usize); 2] {
    [
        ((&raw const WATCHED).addr(), size_of_val(&WATCHED)),
        ((&raw const COUNT).addr(), size_of_val(&COUNT)),
    ]
}

/// Installs the handler, once. No lock is held.
pub(crate) fn watch() {
    if !WATCHED.load(Relaxed) && !WATCHED.swap(true, Relaxed) {
        // So that nothing has to be loaded when the first stack is captured.
        crate::watch::debug::stack::prepare();
        os::watch_faults(on_fault);
    }
}

/// Puts the handler back that was there before, unless another one has been installed since.
pub(crate) fn unwatch() {
    if WATCHED.swap(false, Relaxed) {
        os::unwatch_faults();
    }
}

fn on_fault(fault: &Fault) {
    let chunk = find_chunk(fault.address);
    // Relaxed: it is a count.
    if chunk.is_null() || COUNT.fetch_add(1, Relaxed) >= MOST {
        return;
    }
    // SAFETY: chunks that are found stay.
    let Some(place) = (unsafe { culprit(chunk, fault.address) }) else { return };
    // SAFETY: the slot is one of the chunk's, which stays; what is read of it is atomic.
    let access = unsafe {
        let slot = &*place.slot;
        Access {
            address: fault.address,
            object: place.object,
            pool: slot.pool(),
            is_free: slot.state.load(Relaxed) == FREED,
            users: [slot.allocated.user(), slot.freed.user()],
        }
    };
    access.tell(fault.name);
}

/// The object that an address belongs to, or missed by least; none if there never was one near.
///
/// # Safety
/// The chunk exists.
unsafe fn culprit(chunk: *const GuardChunk, address: usize) -> Option<Place> {
    // SAFETY: the caller's promise; what is read of slots is atomic.
    unsafe {
        let found = GuardChunk::find(chunk, address);
        let next = match &found {
            Some(place) if address < place.end => None,
            Some(place) => GuardChunk::behind(chunk, place),
            None => GuardChunk::first(chunk),
        };
        let (of_found, of_next) = (distance(&found, address), distance(&next, address));
        let place = if of_next < of_found { next } else { found };
        if of_found.min(of_next) == usize::MAX { None } else { place }
    }
}

/// How far an address is from an object, and the largest number if there never was one. Twice that,
/// and one more if it is freed: of two that are as near, the one that is in use is meant.
///
/// # Safety
/// The place is one of a chunk's that exists.
#[inline(never)]
unsafe fn distance(place: &Option<Place>, address: usize) -> usize {
    let Some(place) = place else { return usize::MAX };
    // SAFETY: the caller's promise; what is read of slots is atomic.
    unsafe {
        let slot = &*place.slot;
        let size = slot.item_size.load(Relaxed).max(1) as usize;
        let relation = Relation::new(address, place.object, size);
        match slot.state.load(Relaxed) {
            LIVE => 2 * relation.distance(),
            FREED => 2 * relation.distance() + 1,
            _ => usize::MAX,
        }
    }
}
