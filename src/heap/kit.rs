// SPDX-License-Identifier: MIT
//! What the last child of a pool leaves for the next one: a magazine, and the slab that all its
//! rounds are of.
//!
//! Some drivers create a child for every submit, and often there is no other one. Then the pool
//! would take a slab and a magazine from the heap, and give them back, for a few objects each time.
//! Instead the heap keeps both as they are, in one place, until a pool of such objects has a child
//! again, or another pool leaves its own, or its time is up, or the memory is wanted. The pool
//! itself keeps nothing: its memory may go unannounced, and a kit is not its any more.
//!
//! While the heap has it, the owner word of the slab is [`super::chunk::PARKED`].

use core::ptr;

use crate::heap::magazine::Magazine;
use crate::heap::slab::Slab;

/// A magazine and the slab of its rounds, of which no other object is out; or no slab, and an empty
/// magazine or none.
#[derive(Clone, Copy)]
pub(crate) struct Kit {
    /// Null if there is none. On no list.
    pub(crate) slab: *mut Slab,
    /// Its word 0 is its quota.
    pub(crate) magazine: Magazine,
    /// The mask of the magazine.
    pub(crate) mask: usize,
}

impl Kit {
    /// Nothing.
    pub(crate) const NONE: Kit = Kit { slab: ptr::null_mut(), magazine: Magazine::NONE, mask: 0 };

    /// Whether there is no slab in it.
    pub(crate) fn is_none(&self) -> bool {
        self.slab.is_null()
    }
}

/// The place for one kit.
pub(super) struct Parking {
    pub(crate) kit: Kit,
    pub(crate) since: u32,
}

impl Parking {
    pub(super) const EMPTY: Parking = Parking { kit: Kit::NONE, since: 0 };
}
