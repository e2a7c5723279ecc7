//! The body of a parent pool: what its mutex protects, and how objects pass between magazines, slabs and the heap. What
//! children do with its magazines is in `exchange`.
//!
//! | field | meaning |
//! |---|---|
//! | `depot` | magazines that no child has |
//! | `slabs` | the slabs and their bitmaps |
//! | `holders` | how many children have magazines |
//! | `kept` | what modes need |
//!
//! **When `holders` falls to 0 the pool keeps nothing**: the depot is drained and empty slabs go to
//! the heap. What is left are slabs with objects that callers have. So a parent that is never destroyed
//! holds no memory of its own. (The heap may keep a magazine and a slab for its next child: [`crate::heap::Kit`].)
//!
//! Memory is called for with the pool's mutex held, and given back without it: what is not needed any
//! more is gathered in a [`Surplus`].

use core::ptr;

use super::depot::{Depot, List};
use super::parent::ParentPool;
use super::partial::Slabs;
use crate::base::geometry::{PAGE, rounds};
use crate::base::misuse::Misuse;
use crate::heap::chunk::{MAGAZINES, owner_if_any, slab_of};
use crate::heap::magazine::Magazine;
use crate::heap::surplus::Surplus;
use crate::heap::{HEAP, Owner, owner};
use crate::watch::debug;
use crate::watch::report;

/// What the mutex of a parent protects.
pub(crate) struct Body {
    pub(super) depot: Depot,
    pub(super) slabs: Slabs,
    pub(super) holders: u32,
    /// What modes need.
    pub(crate) kept: debug::Kept,
}

/// Reports a magazine whose word 0 is not what it should be.
#[cold]
#[inline(never)]
pub(super) fn corrupted(function: &str, parent: &ParentPool, magazine: Magazine, mask: usize) {
    let block = magazine.block(mask);
    report::problem(function, Some(parent), block.addr(), "corrupted magazine");
}

impl Body {
    /// The magazines that no child has.
    pub(crate) fn depot(&self) -> &Depot {
        &self.depot
    }

    /// The slabs.
    pub(crate) fn slabs(&self) -> &Slabs {
        &self.slabs
    }

    /// Counts a child that uses the pool without magazines.
    #[cfg(feature = "debug")]
    pub(crate) fn add_holder(&mut self) {
        self.holders += 1;
    }

    /// Counts it no more. If no other child uses the pool, the parent keeps nothing.
    #[cfg(feature = "debug")]
    pub(crate) fn remove_holder(
        &mut self,
        parent: &ParentPool,
        function: &str,
        surplus: &mut Surplus,
    ) {
        self.holders = self.holders.saturating_sub(1);
        if self.holders == 0 {
            self.drain_depot(parent, function, surplus);
        }
    }

    /// Counts an object that comes back through no child of this pool.
    pub(crate) fn count_foreign_free(&mut self) {
        self.slabs.count_foreign_free();
    }

    /// Takes objects from slabs; see [`Slabs::take`]. Of objects above a page no slab is made for what is taken ahead.
    pub(super) fn take(&mut self, parent: &ParentPool, rounds: &mut [*mut u8]) -> usize {
        let owner = (&raw const *parent).addr();
        self.slabs.take(rounds, |found| {
            if found && parent.geometry.stride as usize > PAGE {
                return ptr::null_mut();
            }
            let slab = HEAP.make_slab(owner, &parent.geometry);
            if !slab.is_null() && !parent.modes.get().is_empty() {
                // SAFETY: the slab is new, and belongs to the lock that is held.
                unsafe { debug::new_slab(parent, slab) }
            }
            slab
        })
    }

    /// Takes one object, for a child without a magazine. Null if there is no memory.
    pub(crate) fn take_one(&mut self, parent: &ParentPool) -> *mut u8 {
        let mut object = [ptr::null_mut()];
        self.take(parent, &mut object);
        object[0]
    }

    /// Puts objects back into the slab of the last one, from the end of `rounds`, and returns how many are
    /// left: not that one, in any case.
    pub(crate) fn put(
        &mut self,
        parent: &ParentPool,
        function: &str,
        rounds: &[*mut u8],
        surplus: &mut Surplus,
    ) -> usize {
        let left = rounds.len() - 1;
        let object = rounds[left];
        // SAFETY: each was handed out by a slab of some parent, or passed the owner check.
        let (left, result) = unsafe {
            match owner(object) {
                Owner::Parent(address) if address == (&raw const *parent).addr() => {
                    self.put_own(parent, rounds, surplus)
                }
                // A child that outlived the pool it was created with had it in a magazine.
                Owner::Limbo => (left, HEAP.free_in_limbo(object)),
                _ => (left, Err(Misuse::NotAnObject)),
            }
        };
        if let Err(misuse) = result {
            report::misuse(function, Some(parent), rounds[left], misuse);
        }
        left
    }

    /// Puts objects back into the slab of the last one, from the end of `rounds`, and returns how many are left, the
    /// first of which is not an object that is out if there is an error.
    ///
    /// # Safety
    /// The last one lies in a slab of this parent's.
    #[inline]
    pub(crate) unsafe fn put_own(
        &mut self,
        parent: &ParentPool,
        rounds: &[*mut u8],
        surplus: &mut Surplus,
    ) -> (usize, Result<(), Misuse>) {
        // A slab of a large object is as large as that. (Without modes no pool of such has holders.)
        let keep_spare = self.holders != 0 && !parent.geometry.is_large();
        // SAFETY: the caller's promise.
        let put = unsafe {
            let slab = slab_of(rounds[rounds.len() - 1]);
            self.slabs.put(slab, rounds, keep_spare, surplus)
        };
        match put {
            (left, Ok(())) => (left, Ok(())),
            (left, misuse) => (left - 1, misuse),
        }
    }

    /// Puts all rounds of a magazine back into their slabs.
    ///
    /// # Safety
    /// It is one of this parent's, of this mask, and nobody else uses it.
    pub(super) unsafe fn drain(
        &mut self,
        parent: &ParentPool,
        function: &str,
        magazine: &mut Magazine,
        mask: usize,
        surplus: &mut Surplus,
    ) {
        // SAFETY: the caller's promise.
        unsafe { magazine.drain(mask, |rounds| self.put(parent, function, rounds, surplus)) }
    }

    /// Drains `most` full magazines, or as many as the depot has above its limit.
    #[inline(never)]
    pub(super) fn drain_excess(
        &mut self,
        parent: &ParentPool,
        function: &str,
        most: usize,
        surplus: &mut Surplus,
    ) {
        for _ in 0..most {
            if !self.depot.has_excess(&parent.geometry, self.slabs.out()) {
                break;
            }
            let drained = self.drain_one(parent, function, surplus);
            self.depot.note_drained(drained);
        }
    }

    /// Drains the part of the depot that went unused for an epoch, once the epoch is over.
    #[inline(never)]
    pub(super) fn reap(&mut self, parent: &ParentPool, surplus: &mut Surplus) {
        if let Some(rounds) = self.depot.end_epoch(surplus.now(), &parent.geometry) {
            self.drain_unused(parent, rounds, surplus);
        }
    }

    #[cold]
    fn drain_unused(&mut self, parent: &ParentPool, rounds: usize, surplus: &mut Surplus) {
        let mut left = rounds;
        while left != 0 {
            match self.drain_one(parent, "slab_free", surplus) {
                0 => break,
                drained => left = left.saturating_sub(drained),
            }
        }
        let geometry = &parent.geometry;
        for mask in geometry.masks() {
            while self.depot.has_excess_empty(mask, geometry, self.slabs.out()) {
                self.drop_empty(parent, "slab_free", mask, surplus);
            }
        }
    }

    /// Gives up an empty magazine of the depot; returns false if there is none of that size.
    fn drop_empty(
        &mut self,
        parent: &ParentPool,
        function: &str,
        mask: usize,
        surplus: &mut Surplus,
    ) -> bool {
        self.check_link(parent, function, List::Empty, mask);
        let Some(empty) = self.depot.take_empty(mask, &parent.geometry) else { return false };
        // SAFETY: it was the depot's.
        unsafe { surplus.add_magazine(empty, mask) }
        true
    }

    /// Drains a full magazine of the depot, and returns how many rounds that was.
    #[cold]
    pub(super) fn drain_one(
        &mut self,
        parent: &ParentPool,
        function: &str,
        surplus: &mut Surplus,
    ) -> usize {
        let geometry = &parent.geometry;
        let smallest = geometry.magazine_mask();
        let Some((mut full, mask)) = self.take_full(parent, function, smallest) else { return 0 };
        // SAFETY: it was the depot's.
        unsafe {
            self.drain(parent, function, &mut full, mask, surplus);
            self.depot.keep_empty(full, mask, geometry, self.slabs.out(), surplus);
        }
        rounds(mask)
    }

    /// Takes a full magazine from the depot, of this size if there is one, and says of which it is.
    pub(super) fn take_full(
        &mut self,
        parent: &ParentPool,
        function: &str,
        wanted: usize,
    ) -> Option<(Magazine, usize)> {
        if !self.depot.has_full() {
            return None;
        }
        let [first, busy] = parent.geometry.masks();
        let other = if wanted == first { busy } else { first };
        [wanted, other].into_iter().find_map(|mask| {
            self.check_link(parent, function, List::Full, mask);
            Some((self.depot.take_full(mask, &parent.geometry)?, mask))
        })
    }

    /// Takes any magazine that has rounds from the depot, and says of what size it is.
    pub(super) fn take_filled(
        &mut self,
        parent: &ParentPool,
        function: &str,
    ) -> Option<(Magazine, usize)> {
        let smallest = parent.geometry.magazine_mask();
        self.depot.take_half().or_else(|| self.take_full(parent, function, smallest))
    }

    /// Before a magazine is taken from a list of the depot: reports one whose link was overwritten, and leaves those
    /// behind it alone.
    #[inline(never)]
    pub(super) fn check_link(
        &mut self,
        parent: &ParentPool,
        function: &str,
        list: List,
        mask: usize,
    ) {
        // SAFETY: a block that is on a list is not given back, so that its chunk stays.
        let sound = |link: Magazine| unsafe { owner_if_any(link.block(mask)) == MAGAZINES };
        if let Some(magazine) = self.depot.cut_unsound(list, mask, &parent.geometry, sound) {
            corrupted(function, parent, magazine, mask);
        }
    }

    /// Gives up everything that no child and no caller has.
    #[inline(never)]
    pub(super) fn drain_depot(
        &mut self,
        parent: &ParentPool,
        function: &str,
        surplus: &mut Surplus,
    ) {
        // Mostly it is when a pool's only child goes.
        if !self.depot.is_empty() {
            while let Some((mut magazine, mask)) = self.take_filled(parent, function) {
                // SAFETY: it was the depot's.
                unsafe {
                    self.drain(parent, function, &mut magazine, mask, surplus);
                    surplus.add_magazine(magazine, mask);
                }
            }
            for mask in parent.geometry.masks() {
                while self.drop_empty(parent, function, mask, surplus) {}
            }
        }
        self.slabs.drop_spare(surplus);
    }
}
