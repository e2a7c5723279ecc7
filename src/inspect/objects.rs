// SPDX-License-Identifier: MIT
//! Which addresses are objects that callers have: of one address, and of all of a pool.
//!
//! A bit of a slab says that its object is *out*: a caller has it, or it lies in a magazine, or, in
//! the mode `quarantine`, it waits. What waits is known, and what lies in the depot can be found
//! there; what lies in a child's magazines is known to that child alone.
//!
//! An address may be any. So it is looked up under the heap's lock first, which keeps its chunk
//! there, and then again under the lock of the pool that owns it, whose bits they are. That pool may
//! be about to go, or its parent's memory be gone: it is held by its entry meanwhile, as by who goes
//! round over pools that sleep.
//!
//! Callers' functions are called with nothing locked. A walk goes by a place between slabs that
//! stays whatever is freed meanwhile, and copies the bits of one slab at a time.

use crate::base::address::at;
use crate::heap::HEAP;
use crate::heap::chunk::{LIMBO, MAGAZINES, PARKED};
use crate::heap::lookup::{At, Place};
use crate::heap::slab::{LEAVING, Out, Slab};
use crate::hooks;
use crate::pool::body::{Body, Pool};
use crate::pool::parent::ParentPool;
use crate::pool::sleepers;

/// What was found at an address under the heap's lock alone.
enum Found {
    Nothing,
    /// An object of a pool that is gone, of so many bytes.
    Orphan(u32),
    Guarded,
    /// A slab of the pool at this address.
    In(usize),
}

/// Looks at an address under the heap's lock alone.
fn find(address: usize) -> Found {
    HEAP.with_state(|state| match state.at(address) {
        At::Nothing | At::Slab(MAGAZINES | PARKED, _) => Found::Nothing,
        At::Guarded => Found::Guarded,
        At::Slab(LIMBO, slab) => {
            // SAFETY: the slab of a limbo page belongs to the lock that is held.
            let slab = unsafe { &*slab };
            object_of(slab, address).map_or(Found::Nothing, |_| Found::Orphan(slab.item().0))
        }
        At::Slab(owner, _) => Found::In(owner),
    })
}

/// Bytes of the object at an address, as its pool was created with, if it is one that is out: of
/// this pool, if one is given. Objects in the depot are told from others if `not_cached`, which takes
/// time in proportion to what is there.
pub(crate) fn item_size_at(
    address: usize,
    of: Option<&ParentPool>,
    not_cached: bool,
) -> Option<u32> {
    // The pool of an object may go while it is looked for, once: then the object is found in limbo.
    for _ in 0..2 {
        match (find(address), of) {
            (Found::Orphan(item_size), None) => return Some(item_size),
            (Found::Guarded, of) => {
                let (parent, item_size) = hooks::guarded_at(address)?;
                return of.is_none_or(|of| of.address() == parent).then_some(item_size);
            }
            (Found::In(owner), Some(parent)) if parent.address() == owner => {
                return item_size_in(parent.pool()?, owner, address, not_cached)?;
            }
            (Found::In(owner), None) => {
                if let Some(found) = item_size_held(owner, address, not_cached) {
                    return found;
                }
            }
            _ => return None,
        }
    }
    None
}

/// The same in the pool whose parent is or was at an address. None if that is gone.
fn item_size_held(owner: usize, address: usize, not_cached: bool) -> Option<Option<u32>> {
    sleepers::with_pool_at(owner, |pool| item_size_in(pool, owner, address, not_cached))?
}

/// The same in a pool. None if it is gone.
fn item_size_in(
    pool: &Pool,
    owner: usize,
    address: usize,
    not_cached: bool,
) -> Option<Option<u32>> {
    let body = pool.lock();
    // The owner goes in one step with what becomes of the pool's slabs.
    let slot = HEAP.with_state(|state| match state.at(address) {
        _ if pool.entry().owner() != owner => None,
        // SAFETY: the slab is this pool's, whose lock is held.
        At::Slab(of, slab) if of == owner => Some(own_object(unsafe { &*slab }, address)),
        _ => Some(None),
    })?;
    Some(slot.and_then(|slot| {
        let waits = hooks::is_waiting(&hooks::records(body.kept), slot);
        let is_cached = waits || not_cached && in_depot(&body, slot);
        if is_cached { None } else { Some(body.geometry().item_size) }
    }))
}

/// The slot of an object that is out of a slab, whose owner's lock is held.
fn object_of(slab: &Slab, address: usize) -> Option<usize> {
    let slot = address.wrapping_sub(slab.lead());
    slab.is_out(at(slot))?.then_some(slot)
}

/// The same for a slab of a pool that is locked, unless the pool has given it up already.
fn own_object(slab: &Slab, address: usize) -> Option<usize> {
    if slab.list.get() == LEAVING { None } else { object_of(slab, address) }
}

/// Whether the object in a slot lies in a magazine of the depot.
fn in_depot(body: &Body, slot: usize) -> bool {
    let mut found = false;
    body.depot().for_each(body.policy(), |magazine, mask, _| {
        // SAFETY: the depot's magazines belong to the lock that is held.
        let contents = unsafe { magazine.contents(mask) };
        found |= contents.iter().any(|round| round.addr() == slot);
    });
    found
}

/// Calls `visit` with each object of a pool that callers have, until it returns false. Returns how
/// many it was called with: none if children have magazines, which is reported, as what is in these
/// cannot be told.
///
/// No other call uses the pool or its children meanwhile, but `visit`, which may free the object
/// that it is given.
pub(crate) fn for_each(
    function: &'static str,
    parent: &ParentPool,
    mut visit: impl FnMut(*mut u8) -> bool,
) -> usize {
    let mut visited = 0;
    if let Some(pool) = parent.pool() {
        if pool.reports_caches(function) {
            return 0;
        }
        let mut place = Place::FIRST;
        while let Some((objects, next)) = slab_from(pool, place) {
            for object in objects {
                visited += 1;
                if !visit(object) {
                    return visited;
                }
            }
            place = next;
        }
    }
    let mut guarded = hooks::GuardedPlace::FIRST;
    while let Some(object) = hooks::guarded_from(&mut guarded, parent.address()) {
        visited += 1;
        if !visit(object) {
            break;
        }
    }
    visited
}

/// The objects that callers have of the first slab behind a place, and the place behind it.
fn slab_from(pool: &Pool, mut place: Place) -> Option<(Out, Place)> {
    let body = pool.lock();
    let own = pool.entry().owner();
    let records = hooks::records(body.kept);
    HEAP.with_state(|state| {
        loop {
            let (owner, slab, next) = state.slab_from(place)?;
            place = next;
            // SAFETY: the slab is this pool's, whose lock is held.
            if owner == own && unsafe { (*slab).list.get() } != LEAVING {
                // SAFETY: as above.
                let slab = unsafe { &*slab };
                let is_waiting = |slot| hooks::is_waiting(&records, slot);
                return Some((slab.out(slab.lead()).without(is_waiting), place));
            }
        }
    })
}
