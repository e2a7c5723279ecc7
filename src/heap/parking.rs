// SPDX-License-Identifier: MIT
//! What the heap does with kits: takes them, hands them out, and takes them apart
//! ([`super::kit`]).

use super::chunk::{Chunk, PARKED};
use super::kit::{Kit, Parking, Wanted};
use super::page_heap::{Heap, HeapGuard};
use super::state::Unused;
use super::surplus::Surplus;
use crate::base::geometry::Geometry;

impl Heap {
    /// Keeps a kit, perhaps instead of another one. What is not kept, that one or this one, goes to
    /// the surplus.
    ///
    /// # Safety
    /// Nobody else uses what is in the kit, which is the process's own memory. The lock of its last
    /// owner is held.
    #[cfg_attr(feature = "ext", inline(never))]
    pub(crate) unsafe fn leave_kit(&self, kit: Kit, surplus: &mut Surplus) {
        // SAFETY: the caller's promise; what is in a kit that comes back is nobody else's.
        unsafe {
            Chunk::set_owner_of_kit(kit.slab, PARKED);
            let now = surplus.now();
            let other = self.at_parking(|parking| parking.leave(kit, now));
            if !other.is_none() {
                other.add_to(surplus);
            }
        }
    }

    /// A kit of such objects, if one is kept; it is this pool's then, whose lock is held.
    pub(super) fn claim_kit(&self, parent: usize, geometry: &Geometry) -> Option<Kit> {
        let kit = self.at_parking(|parking| parking.claim(Wanted::Of(geometry)))?;
        // SAFETY: the slab of the kit is this pool's now.
        unsafe { Chunk::set_owner_of_kit(kit.slab, parent) }
        Some(kit)
    }

    fn at_parking<T>(&self, work: impl FnOnce(&Parking) -> T) -> T {
        let _locked = self.lock_if_watched();
        work(&self.parking)
    }

    /// Takes kits apart and frees what is in them, if it is the process's own heap that is looked at.
    /// Returns whether there were any.
    pub(super) fn unpark(&self, state: &mut HeapGuard<'_>, now: u32, unused: &mut Unused) -> bool {
        self.unpark_until(state, u32::MAX, now, unused)
    }

    /// The same of those that are kept since then or longer. What was in them is free since `since`.
    #[inline(never)]
    pub(super) fn unpark_until(
        &self,
        state: &mut HeapGuard<'_>,
        until: u32,
        since: u32,
        unused: &mut Unused,
    ) -> bool {
        if !state.home().is_process() {
            return false;
        }
        let mut surplus = Surplus::EMPTY;
        while let Some(kit) = self.parking.claim(Wanted::Until(until)) {
            // SAFETY: nobody else uses what is in the kit: the objects that are out of the slab are
            // its own.
            unsafe { kit.add_to(&mut surplus) }
        }
        let any = !surplus.is_empty();
        state.absorb(&mut surplus, since, unused);
        any
    }
}
