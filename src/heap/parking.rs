// SPDX-License-Identifier: MIT
//! What the heap does with the kit that it keeps: takes it, hands it out, and takes it apart
//! ([`super::kit`]).

use super::chunk::{Chunk, PARKED};
use super::kit::{Kit, Parking};
use super::state::{State, Unused};
use crate::base::geometry::Geometry;

impl State {
    /// Keeps a kit, instead of the one that is kept.
    ///
    /// # Safety
    /// Nobody else uses what is in the kit.
    pub(super) unsafe fn park(&mut self, kit: Kit, now: u32, unused: &mut Unused) {
        self.unpark(now, unused);
        // SAFETY: the caller's promise.
        unsafe {
            Chunk::set_owner(kit.slab, PARKED, self.locked());
        }
        self.parking = Parking { kit, since: now };
    }

    /// The kit that is kept, if it is of such objects; it is this pool's then.
    pub(super) fn claim(&mut self, parent: usize, geometry: &Geometry) -> Option<Kit> {
        let kit = self.parking.kit;
        // SAFETY: the slab of the kit is the heap's.
        unsafe {
            if kit.is_none() || (*kit.slab).item() != (geometry.item_size, geometry.num_items) {
                return None;
            }
            // Objects that are to be aligned to more are farther apart.
            if cfg!(feature = "ext") && (*kit.slab).stride() != geometry.stride {
                return None;
            }
            self.parking = Parking::EMPTY;
            Chunk::set_owner(kit.slab, parent, self.locked());
        }
        Some(kit)
    }

    /// Takes the kit apart and frees what is in it, if one is kept.
    #[inline(never)]
    pub(super) fn unpark(&mut self, now: u32, unused: &mut Unused) -> bool {
        let kit = core::mem::replace(&mut self.parking, Parking::EMPTY).kit;
        if kit.is_none() {
            return false;
        }
        // SAFETY: nobody else uses what is in the kit: the objects that are out of the slab are its
        // own.
        unsafe {
            self.free_slab(kit.slab, now, unused);
            self.put_block(kit.magazine.block(kit.mask), now, unused);
        }
        true
    }

    /// The same, if it is kept since then or longer.
    pub(super) fn unpark_until(&mut self, until: u32, now: u32, unused: &mut Unused) {
        if self.parking.since <= until {
            self.unpark(now, unused);
        }
    }
}
