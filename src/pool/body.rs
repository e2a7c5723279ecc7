// SPDX-License-Identifier: MIT
//! The body of a parent pool: what its mutex protects. A call that has the lock is a visit
//! ([`super::visit`]).
//!
//! | field | meaning |
//! |---|---|
//! | `geometry` | how objects lie in slabs; it changes only with the modes of a pool that has no slab yet |
//! | `policy` | how much is kept |
//! | `depot` | magazines that no child has |
//! | `slabs` | the slabs and their bitmaps, and how many children have rounds of them |
//! | `foreign_frees`, `exchanges` | for statistics |
//! | `name` | null if the pool has none |
//! | `kept` | what modes need |
//!
//! **When `holders` falls to 0 the pool keeps nothing**: the depot is drained and empty slabs go to
//! the heap. What is left are slabs with objects that callers have. So a parent that is never
//! destroyed holds no memory of its own. (The heap may keep a magazine and a slab for its next
//! child: [`crate::heap::Kit`].)

use core::ptr;

use super::depot::Depot;
use super::partial::Slabs;
use super::policy::Policy;
use crate::base::geometry::Geometry;
use crate::base::pool_id::PoolId;
use crate::heap::names::Name;
use crate::hooks;

/// See the head of this file.
pub(crate) struct Body {
    pub(super) geometry: Geometry,
    pub(super) policy: Policy,
    pub(super) depot: Depot,
    pub(super) slabs: Slabs,
    /// How many objects came back through no child of the pool: a destroyed one, or another pool's.
    pub(super) foreign_frees: usize,
    /// How many times a child has exchanged magazines with the depot.
    pub(super) exchanges: usize,
    pub(super) name: *mut Name,
    pub(crate) kept: hooks::Kept,
}

impl Body {
    /// Of a pool without objects.
    pub(crate) fn new(geometry: Geometry, cached: bool, kept: hooks::Kept) -> Body {
        Body {
            policy: Policy::new(&geometry, cached),
            geometry,
            depot: Depot::EMPTY,
            slabs: Slabs::EMPTY,
            foreign_frees: 0,
            exchanges: 0,
            name: ptr::null_mut(),
            kept,
        }
    }

    /// How objects lie in slabs.
    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// How much is kept.
    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The magazines that no child has.
    pub(crate) fn depot(&self) -> &Depot {
        &self.depot
    }

    /// The slabs.
    pub(crate) fn slabs(&self) -> &Slabs {
        &self.slabs
    }

    /// Which pool it is of; that is at this address.
    #[inline(never)]
    pub(crate) fn id(&self, address: usize) -> PoolId {
        let Geometry { item_size, num_items, .. } = self.geometry;
        let mut pool = PoolId::new(address, item_size, num_items);
        if !self.name.is_null() {
            // SAFETY: a name lives as long as its pool, and is written with the pool's lock held,
            // as `self` shows it is.
            pool.set_name(unsafe { Name::text(self.name) });
        }
        pool
    }
}
