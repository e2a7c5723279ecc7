//! What the last child of a pool leaves for the next one: a magazine, and the slab that all its rounds are
//! of.
//!
//! Some drivers create a child for every submit, and often there is no other one. Then the pool would take a
//! slab and a magazine from the heap, and give them back, for a few objects each time. Instead the heap keeps
//! both as they are, in one place, until a pool of such objects has a child again, or another pool leaves its own,
//! or its time is up, or the memory is wanted. The pool itself keeps nothing: its memory may go without a word,
//! and a kit is not its any more.
//!
//! While the heap has it, the owner word of the slab is [`PARKED`].

use core::ptr;

use super::known::KNOWN;
use super::state::{State, Unused};
use crate::base::geometry::Geometry;
use crate::heap::chunk::{Chunk, PARKED, owner_of};
use crate::heap::magazine::Magazine;
use crate::heap::slab::Slab;

/// A magazine and the slab of its rounds, of which no other object is out; or no slab, and an empty magazine
/// or none.
#[derive(Clone, Copy)]
pub struct Kit {
    /// Null if there is none. On no list.
    pub slab: *mut Slab,
    /// Its word 0 is its quota.
    pub magazine: Magazine,
    /// The mask of the magazine.
    pub mask: usize,
}

impl Kit {
    /// Nothing.
    pub const NONE: Kit = Kit { slab: ptr::null_mut(), magazine: Magazine::NONE, mask: 0 };

    /// Whether there is no slab in it.
    pub fn is_none(&self) -> bool {
        self.slab.is_null()
    }
}

/// The place for one kit.
pub(super) struct Parking {
    kit: Kit,
    since: u32,
}

impl Parking {
    pub(super) const EMPTY: Parking = Parking { kit: Kit::NONE, since: 0 };
}

impl State {
    /// Keeps a kit, instead of the one that is kept.
    ///
    /// # Safety
    /// Nobody else uses what is in the kit.
    pub(super) unsafe fn park(&mut self, kit: Kit, now: u32, unused: &mut Unused) {
        self.unpark(now, unused);
        // SAFETY: the caller's promise.
        unsafe {
            KNOWN.remove(owner_of((*kit.slab).base()), self.locked());
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
            self.parking = Parking::EMPTY;
            KNOWN.add(parent, self.locked());
            Chunk::set_owner(kit.slab, parent, self.locked());
        }
        Some(kit)
    }

    /// Takes the kit apart and frees what is in it, if one is kept.
    pub(super) fn unpark(&mut self, now: u32, unused: &mut Unused) -> bool {
        let kit = core::mem::replace(&mut self.parking, Parking::EMPTY).kit;
        if kit.is_none() {
            return false;
        }
        // SAFETY: nobody else uses what is in the kit: the objects that are out of the slab are its own.
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
