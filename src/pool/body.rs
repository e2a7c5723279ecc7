// SPDX-License-Identifier: MIT
//! The body of a pool: what it is made of besides what its parent shows to callers and to fast
//! paths.
//!
//! It lies in a block of the heap's, is made with the pool's first object, and found from the parent
//! by one pointer, and from the heap by its entry ([`crate::heap::pools`]). So the library can visit
//! a pool whose parent's memory is gone: to give back what nobody uses, and when a new pool is
//! created there. Who has the lock of the pool visits it ([`super::visit`]).
//!
//! | field of [`Body`] | meaning |
//! |---|---|
//! | `geometry` | how objects lie in slabs; it changes only with the modes of a pool that has no slab yet |
//! | `modes` | those of the parent |
//! | `policy` | how much is kept |
//! | `depot` | magazines that no child has |
//! | `slabs` | the slabs and their bitmaps, and how many children have rounds of them |
//! | `noted` | what the process was told of the depot |
//! | `foreign_frees`, `exchanges` | for statistics |
//! | `kept` | what modes need |
//! | `generation` | how many times the lock was taken: tells who reads without it, from outside of the process, that something may have changed meanwhile |
//!
//! **When `holders` falls to 0 the pool keeps nothing** but its body: the depot is drained and empty
//! slabs go to the heap. What is left are slabs with objects that callers have. (The heap may keep a
//! magazine and a slab for its next child: [`crate::heap::Kit`]. A pool whose objects no child caches
//! has no holders, and keeps one empty slab while it is used: [`super::budget::Grant`].)

use core::cell::UnsafeCell;

use super::budget::Noted;
use super::depot::Depot;
use super::partial::Slabs;
use super::policy::Policy;
use crate::base::geometry::{Geometry, MAGAZINE_WORDS, magazine_bytes};
use crate::base::layout::{Field, layout};
use crate::base::modes::Modes;
use crate::base::pool_id::PoolId;
use crate::heap::Home;
use crate::heap::pools::Entry;
use crate::hooks;
use crate::sys::sync::{Locked, renew};

/// A pool: its entry in the heap, with its lock, and what that protects.
#[repr(C)]
pub(crate) struct Pool {
    entry: Entry,
    body: UnsafeCell<Body>,
}

/// See the head of this file.
pub(crate) struct Body {
    pub(super) geometry: Geometry,
    pub(crate) modes: Modes,
    pub(super) policy: Policy,
    pub(super) depot: Depot,
    pub(super) slabs: Slabs,
    pub(super) noted: Noted,
    /// How many objects came back through no child of the pool: a destroyed one, or another pool's.
    pub(super) foreign_frees: usize,
    /// How many times a child has exchanged magazines with the depot.
    pub(super) exchanges: usize,
    pub(crate) kept: hooks::Kept,
    generation: u32,
}

/// For a walker outside of the process.
pub(crate) const LAYOUT: &[Field] = layout!(
    "body", Body: geometry.item_size, geometry.num_items, geometry.stride, geometry.capacity,
    geometry.order, modes, policy.masks, depot.shelves, depot.half,
    slabs.partial, slabs.spare, slabs.slabs, slabs.holders, slabs.out, slabs.peak, foreign_frees,
    exchanges, kept, generation
);
/// The same.
pub(crate) const POOL_LAYOUT: &[Field] = layout!("pool", Pool: entry, body);

/// The class of blocks that bodies lie in: the smallest with room.
pub(super) const CLASS: u8 = {
    let mut class = MAGAZINE_WORDS.len() as u8 - 1;
    while magazine_bytes(class) < size_of::<Pool>() {
        class -= 1;
    }
    class
};

impl Pool {
    /// Makes a pool in a block of [`CLASS`].
    ///
    /// # Safety
    /// Nobody uses the block.
    pub(super) unsafe fn init(block: *mut u8, owner: usize, body: Body) -> *mut Entry {
        let this = block.cast::<Pool>();
        renew(this, size_of::<Pool>());
        // SAFETY: the caller's promise; a block is aligned to its size.
        unsafe {
            Entry::init(&raw mut (*this).entry, owner);
            (&raw mut (*this).body).write(UnsafeCell::new(body));
            &raw mut (*this).entry
        }
    }

    /// Makes a pool of one that has ended without slabs, a name, or a magazine, and locks it.
    #[inline(never)]
    pub(super) fn begin_again(
        &self,
        id: &PoolId,
        modes: Modes,
        kept: hooks::Kept,
    ) -> Locked<'_, Body> {
        let mut body = self.lock();
        let last = body.geometry;
        let same = (last.item_size, last.num_items, last.alignment)
            == (id.item_size, id.num_items, id.alignment);
        if same && modes.is_empty() && body.modes.is_empty() {
            body.policy.forget();
        } else {
            let (geometry, modes) = hooks::layout(modes, id);
            body.geometry = geometry;
            body.policy = Policy::new(&geometry, modes.is_empty());
            body.modes = modes;
        }
        body.depot = Depot::EMPTY;
        body.slabs = Slabs::EMPTY;
        body.noted = Noted::NOTHING;
        body.foreign_frees = 0;
        body.exchanges = 0;
        body.kept = kept;
        self.entry.begin_again(id.address);
        body
    }

    /// The pool of an entry.
    ///
    /// # Safety
    /// It is one, which exists for `'a`, or there is none and it is null.
    pub(crate) unsafe fn of<'a>(entry: *mut Entry) -> Option<&'a Pool> {
        // SAFETY: the caller's promise; the entry is the pool's first field.
        unsafe { entry.cast::<Pool>().as_ref() }
    }

    /// The heap that it is in, where its body lies.
    pub(crate) fn home(&self) -> Home {
        // SAFETY: a pool is a block of a heap's.
        unsafe { Home::of(self) }
    }

    /// What the heap knows of it.
    pub(crate) fn entry(&self) -> &Entry {
        &self.entry
    }

    pub(crate) fn lock(&self) -> Locked<'_, Body> {
        // SAFETY: no thread holds a lock when it calls this (asserted in debug builds for the
        // heap's; no function here waits for a second pool), and `body` is reached through this
        // lock only.
        let mut body = unsafe { Locked::lock(&self.entry.mutex, self.body.get()) };
        body.begin();
        body
    }

    /// The same, if nobody holds the lock.
    pub(super) fn try_lock(&self) -> Option<Locked<'_, Body>> {
        // SAFETY: as above; it does not wait.
        let mut body = unsafe { Locked::try_lock(&self.entry.mutex, self.body.get()) }?;
        body.begin();
        Some(body)
    }

    /// Which pool it is. `body` is its own, locked.
    pub(crate) fn id(&self, body: &Body) -> PoolId {
        self.id_at(self.entry.owner(), body)
    }

    /// The same if its parent is, or was, at this address.
    #[inline(never)]
    pub(super) fn id_at(&self, owner: usize, body: &Body) -> PoolId {
        let Geometry { item_size, num_items, alignment, .. } = body.geometry;
        let mut pool = PoolId::new(owner, item_size, num_items);
        pool.alignment = alignment;
        pool.set_name(self.entry.name());
        pool
    }
}

impl Body {
    /// Of a pool without objects.
    pub(super) fn new(geometry: Geometry, policy: Policy, modes: Modes, kept: hooks::Kept) -> Body {
        Body {
            geometry,
            policy,
            modes,
            depot: Depot::EMPTY,
            slabs: Slabs::EMPTY,
            noted: Noted::NOTHING,
            foreign_frees: 0,
            exchanges: 0,
            kept,
            generation: 0,
        }
    }

    /// How many objects callers have about, if a child caches so many, and no other one any.
    pub(super) fn in_use(&self, cached: usize) -> usize {
        let cached = cached + self.depot.full_rounds();
        self.slabs.out().saturating_sub(cached)
    }

    /// Notes that the lock is taken.
    #[inline(always)]
    fn begin(&mut self) {
        if cfg!(feature = "ext") {
            self.generation = self.generation.wrapping_add(1);
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

    /// How many children have magazines, and so perhaps rounds that look like callers' objects. (With
    /// modes, children are counted too, and have none.)
    #[cfg(feature = "ext")]
    pub(crate) fn caches(&self) -> u32 {
        if self.policy.first_mask() == 0 { 0 } else { self.slabs.holders }
    }

    /// The slabs.
    pub(crate) fn slabs(&self) -> &Slabs {
        &self.slabs
    }
}
