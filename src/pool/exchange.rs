//! What a parent does to keep a child in magazines: gives the first one, exchanges, and takes them back.
//!
//! | a child | comes here | and gets |
//! |---|---|---|
//! | without a magazine | with its first object ([`Body::equip`]) | a half-filled one, a kit's, or an empty one |
//! | with empty ones | to allocate ([`Body::reload`]) | a full one, or its own is filled from slabs |
//! | with full ones | to free ([`Body::unload`]) | an empty one; the depot or slabs get a full one's rounds |
//! | that is busy | with either of these (`promote`) | a larger one for those it has |
//! | that goes | once ([`Body::retire`]) | none; the depot has them |
//! | that is trimmed | once ([`Body::strip`]) | none; slabs have the rounds |
//!
//! Invariants, whenever the parent is not locked:
//! - A child has no magazine and mask 0, or a loaded magazine of the size of its mask, and a previous one that is none,
//!   or empty or full and of the same size.
//! - Word 0 of a child's magazines is a *quota*, 1 at least: how many rounds the loaded one is filled with from slabs.
//!   Each visit raises it; what it is above a whole magazine says how often the child has come since,
//!   `BUSY_VISITS` at most.
//! - `holders` counts the children that have magazines. When the last of them goes, the depot is empty.
//! - Without memory nothing changes but that a child's magazine stays empty, or an object goes to its slab.
//!
//! Everything here runs with the parent's mutex held.

use core::mem;

use super::body::{Body, corrupted};
use super::parent::ParentPool;
use crate::base::geometry::{class_of, rounds};
use crate::heap::chunk::{owner_if_any, slab_of};
use crate::heap::magazine::Magazine;
use crate::heap::surplus::Surplus;
use crate::heap::{HEAP, KIT_MAX_ORDER, Kit};
use crate::pool::child::ChildPool;
use crate::pool::depot::List;
use crate::watch::guard;

/// How many rounds a new child takes at its first fill; each visit to the parent doubles it up to a magazine, and
/// then adds one. A child that allocates a few objects is not to pay for a whole magazine.
#[cfg(not(loom))]
const FIRST_QUOTA: usize = 8;
/// Less than a magazine of the model checker's.
#[cfg(loom)]
const FIRST_QUOTA: usize = 2;
/// A child that has come so often since its quota is a whole magazine is busy, and gets a larger one.
#[cfg(not(loom))]
const BUSY_VISITS: usize = 128;
#[cfg(loom)]
const BUSY_VISITS: usize = 8;

/// The quota after a further visit.
fn next_quota(quota: usize, mask: usize) -> usize {
    if quota < rounds(mask) {
        (2 * quota).min(rounds(mask))
    } else {
        (quota + 1).min(rounds(mask) + BUSY_VISITS)
    }
}

impl Body {
    /// Gives a child that has no magazine its first one, which may be empty or full. Returns false if the parent is
    /// uncached or there is no memory.
    pub(crate) fn equip(&mut self, parent: &ParentPool, child: &mut ChildPool) -> bool {
        if parent.geometry.magazine_mask() == 0 {
            return false;
        }
        let half = self.depot.take_half();
        let (magazine, mask) = half.unwrap_or_else(|| self.first_magazine(parent));
        if magazine.is_none() {
            return false;
        }
        // SAFETY: the magazine is the child's from here on.
        unsafe {
            // A new child is not busy because another one was.
            if magazine.quota(mask) > rounds(mask) {
                magazine.set_quota(mask, rounds(mask));
            }
        }
        child.loaded = magazine;
        child.mask = mask;
        self.holders += 1;
        true
    }

    /// A magazine for a child when no half-filled one is there: what the last child left in the heap, or an
    /// empty one, or none if there is no memory.
    fn first_magazine(&mut self, parent: &ParentPool) -> (Magazine, usize) {
        let geometry = &parent.geometry;
        let mask = geometry.magazine_mask();
        let magazine = if self.slabs.count() == 0 {
            let address = (&raw const *parent).addr();
            let kit = HEAP.equipment(address, geometry);
            if !kit.is_none() {
                // SAFETY: the slab was this pool's, and is nobody else's now.
                unsafe { self.slabs.adopt(kit.slab) };
                return (kit.magazine, kit.mask);
            }
            kit.magazine
        } else {
            self.check_link(parent, "slab_alloc", List::Empty, mask);
            self.empty_magazine(parent, mask)
        };
        if !magazine.is_none() {
            // SAFETY: it is on no list.
            unsafe { magazine.set_quota(mask, FIRST_QUOTA.min(rounds(mask))) }
        }
        (magazine, mask)
    }

    /// If all that the pool has is one magazine and the slab of its rounds, leaves them in the heap for the next
    /// child.
    fn leave_kit(&mut self, parent: &ParentPool, function: &str, surplus: &mut Surplus) {
        let geometry = &parent.geometry;
        let (only, mask) = self.depot.only_filled(geometry);
        let few = self.slabs.count() == 1 && geometry.order <= KIT_MAX_ORDER && !only.is_none();
        if !few || only.rounds(mask) != self.slabs.out() {
            return;
        }
        // SAFETY: the magazine is the depot's, and a slab with a round of it this pool's.
        unsafe {
            let address = (&raw const *parent).addr();
            if owner_if_any(only.last()) != address {
                return;
            }
            let slab = slab_of(only.last());
            // Not so if an object was freed twice, which draining will see.
            if (*slab).out_are(&only.contents(mask)) {
                self.slabs.abandon(slab);
                self.take_filled(parent, function);
                only.set_quota(mask, only.rounds(mask));
                surplus.set_kit(Kit { slab, magazine: only, mask });
            }
        }
    }

    /// Takes the magazines of a child that goes. If no other child has any, the parent keeps nothing.
    ///
    /// # Safety
    /// The child's magazines are of this parent, and not used any more.
    pub(crate) unsafe fn retire(
        &mut self,
        parent: &ParentPool,
        child: &ChildPool,
        function: &str,
        surplus: &mut Surplus,
    ) {
        let out = self.slabs.out();
        // SAFETY: the caller's promise.
        unsafe {
            self.depot.keep(child.previous, child.mask, &parent.geometry, out, surplus);
            self.depot.keep(child.loaded, child.mask, &parent.geometry, out, surplus);
        }
        self.holders = self.holders.saturating_sub(1);
        if self.holders == 0 {
            self.leave_kit(parent, function, surplus);
            self.drain_depot(parent, function, surplus);
        } else {
            // A child brings two magazines.
            self.drain_excess(parent, function, 2, surplus);
        }
    }

    /// Drains the magazines of a child and gives them up. Returns how many objects there were in them.
    ///
    /// # Safety
    /// The child's magazines are of this parent.
    pub(crate) unsafe fn strip(
        &mut self,
        parent: &ParentPool,
        child: &mut ChildPool,
        function: &str,
        surplus: &mut Surplus,
    ) -> usize {
        let mut objects = 0;
        for magazine in [&mut child.loaded, &mut child.previous] {
            if !magazine.is_none() {
                objects += magazine.rounds(child.mask);
                // SAFETY: the caller's promise.
                unsafe {
                    self.drain(parent, function, magazine, child.mask, surplus);
                    surplus.add_magazine(*magazine, child.mask);
                }
                *magazine = Magazine::NONE;
            }
        }
        child.mask = 0;
        self.holders = self.holders.saturating_sub(1);
        if self.holders == 0 {
            self.drain_depot(parent, function, surplus);
        }
        objects
    }

    /// An empty magazine of a size, or none if there is no memory. Its quota is not set.
    #[inline(never)]
    fn empty_magazine(&mut self, parent: &ParentPool, mask: usize) -> Magazine {
        let empty = self.depot.take_empty(mask, &parent.geometry);
        empty.unwrap_or_else(|| HEAP.make_magazine(class_of(mask)))
    }

    /// Gives a busy child one magazine of the larger size for those it has, with all their rounds in it: it is not
    /// full. Reports a quota that was overwritten, and starts again with the least one. Nothing changes if the child is
    /// not busy, or has the larger size already, or objects are sampled, or there is no memory.
    fn promote(
        &mut self,
        parent: &ParentPool,
        child: &mut ChildPool,
        function: &str,
        surplus: &mut Surplus,
    ) {
        let geometry = &parent.geometry;
        let (mask, busy_mask) = (child.mask, geometry.busy_mask());
        // SAFETY: the child's magazines are its own.
        unsafe {
            let quota = child.loaded.quota(mask);
            if quota.wrapping_sub(1) >= rounds(mask) + BUSY_VISITS {
                corrupted(function, parent, child.loaded, mask);
                child.loaded.set_quota(mask, 1);
                return;
            }
            let busy = quota >= rounds(mask) + BUSY_VISITS && !guard::sample::is_on();
            if mask == busy_mask || !busy {
                return;
            }
            self.check_link(parent, function, List::Empty, busy_mask);
            let mut larger = self.empty_magazine(parent, busy_mask);
            if larger.is_none() {
                return;
            }
            larger.set_quota(busy_mask, quota);
            for mut magazine in [child.previous, child.loaded] {
                if !magazine.is_none() {
                    larger.pour(busy_mask, &mut magazine, mask);
                    self.depot.keep_empty(magazine, mask, geometry, self.slabs.out(), surplus);
                }
            }
            child.loaded = larger;
            child.previous = Magazine::NONE;
            child.mask = busy_mask;
        }
    }

    /// Fills the loaded magazine of a child, which is empty, as is its previous one. It stays empty if there
    /// is no memory.
    pub(crate) fn reload(
        &mut self,
        parent: &ParentPool,
        child: &mut ChildPool,
        surplus: &mut Surplus,
    ) {
        self.reap(parent, surplus);
        self.promote(parent, child, "slab_alloc", surplus);
        // SAFETY: the child's magazines are its own.
        unsafe {
            let quota = child.loaded.quota(child.mask);
            if let Some((full, mask)) = self.take_full(parent, "slab_alloc", child.mask) {
                self.depot.count_exchange();
                let mut empty = mem::replace(&mut child.loaded, full);
                if mask != child.mask {
                    // Of the other size, as which the child goes on.
                    self.keep_empty(parent, empty, child.mask, surplus);
                    empty = Magazine::NONE;
                }
                let spare = mem::replace(&mut child.previous, empty);
                self.keep_empty(parent, spare, child.mask, surplus);
                child.mask = mask;
            } else {
                let most = quota.min(rounds(child.mask));
                child.loaded.fill(most, |rounds| self.take(parent, rounds));
                self.depot.note_wanted(child.loaded.rounds(child.mask));
            }
            child.loaded.set_quota(child.mask, next_quota(quota, child.mask));
        }
    }

    /// # Safety
    /// It is none, or an empty one of this parent that nobody else uses.
    unsafe fn keep_empty(
        &mut self,
        parent: &ParentPool,
        magazine: Magazine,
        mask: usize,
        surplus: &mut Surplus,
    ) {
        if !magazine.is_none() {
            // SAFETY: the caller's promise.
            unsafe {
                self.depot.keep_empty(magazine, mask, &parent.geometry, self.slabs.out(), surplus);
            }
        }
    }

    /// Gives a child an empty loaded magazine in place of its full one, which becomes its previous one; or a
    /// larger one in place of both. Returns false if there is no memory and nothing has changed.
    pub(crate) fn unload(
        &mut self,
        parent: &ParentPool,
        child: &mut ChildPool,
        surplus: &mut Surplus,
    ) -> bool {
        let geometry = &parent.geometry;
        self.check_link(parent, "slab_free", List::Empty, child.mask);
        self.promote(parent, child, "slab_free", surplus);
        let mask = child.mask;
        if !child.loaded.is_full(mask) {
            return true;
        }
        // SAFETY: the child's magazines are its own, and the depot's that are drained are nobody's.
        unsafe {
            let wanted = self.depot.wants_full(geometry, self.slabs.out());
            let empty = if child.previous.is_none() || wanted {
                let empty = self.empty_magazine(parent, mask);
                if !empty.is_none() && !child.previous.is_none() {
                    self.depot.count_exchange();
                    self.depot.keep_full(child.previous, mask, geometry);
                    child.previous = Magazine::NONE;
                }
                empty
            } else {
                Magazine::NONE
            };
            let empty = if !empty.is_none() {
                empty
            } else if !child.previous.is_none() {
                self.drain(parent, "slab_free", &mut child.previous, mask, surplus);
                self.depot.note_drained(rounds(mask));
                mem::replace(&mut child.previous, Magazine::NONE)
            } else {
                return false;
            };
            self.drain_excess(parent, "slab_free", 1, surplus);
            self.reap(parent, surplus);
            empty.set_quota(mask, next_quota(child.loaded.quota(mask), mask));
            child.previous = mem::replace(&mut child.loaded, empty);
            true
        }
    }
}
