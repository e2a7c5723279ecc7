// SPDX-License-Identifier: MIT
//! What a child's cache begins with, and what it leaves behind.
//!
//! | a cache | comes here | and gets |
//! |---|---|---|
//! | without a magazine | with the child's first object ([`Visit::equip`]) | a half-filled one, what the pool kept or a kit's, or an empty one |
//! | of a child that goes | once ([`Visit::retire`]) | none; the depot has them |
//! | of a child that is trimmed | once ([`Visit::strip`]) | none; slabs have the rounds |
//!
//! Invariants, whenever the parent is not locked:
//! - `holders` counts the children that have magazines. When the last of them goes, the depot is
//!   empty, or has one magazine with all rounds of the pool's only slab, and perhaps empty ones.
//! - Without memory a cache has no magazine.

use super::budget;
use super::cache::Cache;
use super::depot::List;
use super::policy;
use super::visit::Visit;
use crate::base::geometry::rounds;
use crate::heap::chunk::{owner_if_any, slab_of};
use crate::heap::magazine::Magazine;
use crate::heap::{HEAP, Kit};

impl Visit<'_> {
    /// Whether the pool that the magazines were filled from was destroyed, or created anew, before
    /// the child. Then their rounds are in limbo.
    pub(crate) fn is_stale(&self, cache: &Cache) -> bool {
        !self.body.policy.masks().contains(&cache.mask())
            || cache.has_rounds_of_another(self.owner())
    }

    /// Gives a cache that has no magazine its first one, which may be empty or full. Returns false
    /// if the parent is uncached or there is no memory.
    pub(crate) fn equip(&mut self, cache: &mut Cache) -> bool {
        if self.body.policy.first_mask() == 0 {
            return false;
        }
        let half = self.body.depot.take_half();
        let kept = half.or_else(|| self.take_kept());
        let (magazine, mask) = kept.unwrap_or_else(|| self.first_magazine());
        if magazine.is_none() {
            return false;
        }
        // SAFETY: the magazine is the child's from here on.
        unsafe {
            let quota = magazine.quota(mask);
            let inherited = policy::inherited_quota(quota, mask);
            if inherited != quota {
                magazine.set_quota(mask, inherited);
            }
        }
        cache.loaded = magazine;
        cache.set_mask(mask);
        self.body.slabs.holders += 1;
        true
    }

    /// The full magazine that a pool without children kept ([`Visit::keeps_last`]).
    fn take_kept(&mut self) -> Option<(Magazine, usize)> {
        if !cfg!(feature = "ext") || self.body.slabs.holders != 0 {
            return None;
        }
        let (full, mask) = self.take_full(self.body.policy.first_mask())?;
        // SAFETY: it was the depot's.
        unsafe { full.set_quota(mask, rounds(mask)) }
        Some((full, mask))
    }

    /// A magazine for a cache when no half-filled one is there: what the last child left in the
    /// heap, or an empty one, or none if there is no memory.
    fn first_magazine(&mut self) -> (Magazine, usize) {
        let mask = self.body.policy.first_mask();
        let magazine = if self.body.slabs.count() == 0 {
            let kit = HEAP.equipment(self.home(), self.owner(), &self.body.geometry, mask);
            if !kit.is_none() {
                // SAFETY: the slab was this pool's, and is nobody else's now.
                unsafe { self.body.slabs.adopt(kit.slab) };
                return (kit.magazine, kit.mask);
            }
            kit.magazine
        } else {
            self.check_link(List::Empty, mask);
            self.empty_magazine(mask)
        };
        if !magazine.is_none() {
            // SAFETY: it is on no list.
            unsafe { magazine.set_quota(mask, policy::first_quota(mask)) }
        }
        (magazine, mask)
    }

    /// Whether a pool that its last child has left keeps all that it has for the next one: one slab, and one
    /// magazine with all rounds of it. Rounds are only counted: that an object was freed twice is seen
    /// when the magazine is drained, or left as a kit. It does if it could have done so before, and what all such pools
    /// keep is not too much. Who goes round over pools that sleep reaps it.
    #[inline(never)]
    fn keeps_last(&mut self) -> bool {
        let Some((only, mask)) = self.all_in_one() else { return false };
        let body = &mut **self.body;
        let bytes = body.geometry.slab_bytes();
        let keeps = body.slabs.grant.ask_again(bytes, budget::CHILDLESS_BYTES);
        // Word 0 of a full one is the depot's.
        if keeps && !only.is_full(mask) {
            // SAFETY: the magazine is the depot's, and on no list.
            unsafe { only.set_quota(mask, only.rounds(mask)) }
        }
        keeps
    }

    /// If all that the pool has is in one slab that may be left for the next child, and callers have
    /// nothing of it: the depot's magazine with all of its rounds, and its mask. Others' rounds go back
    /// to the slab.
    #[cfg_attr(feature = "ext", inline(never))]
    fn all_in_one(&mut self) -> Option<(Magazine, usize)> {
        let may_be = self.home().is_process() && !(cfg!(feature = "ext") && HEAP.keeps_nothing());
        let leaves = may_be && policy::leaves_kit(self.body.geometry.order);
        if self.body.slabs.count() != 1 || !leaves {
            return None;
        }
        loop {
            let body = &**self.body;
            let (only, mask) = body.depot.only_filled(&body.policy);
            if !only.is_none() {
                return (only.rounds(mask) == body.slabs.out()).then_some((only, mask));
            }
            let fewer = cfg!(feature = "ext") && (self.drain_one() != 0 || self.drain_half() != 0);
            if !fewer {
                return None;
            }
        }
    }

    /// If all that the pool has is in one slab, leaves that in the heap for the next child, with one
    /// magazine of its rounds, the half-filled one if there is one. The others' go back to the slab.
    #[cfg_attr(feature = "ext", inline(never))]
    pub(super) fn leave_kit(&mut self) {
        let Some((only, mask)) = self.all_in_one() else { return };
        // SAFETY: the magazine is the depot's, and a slab with a round of it this pool's.
        unsafe {
            if owner_if_any(only.last()) != self.owner() {
                return;
            }
            let slab = slab_of(only.last());
            // Not so if an object was freed twice, which draining will see.
            if (*slab).out_are(&only.contents(mask)) {
                self.body.slabs.abandon(slab);
                self.take_filled();
                only.set_quota(mask, only.rounds(mask));
                HEAP.leave_kit(Kit { slab, magazine: only, mask }, &mut self.surplus);
            }
        }
    }

    /// Takes the magazines of a child that goes. If no other child has any, the parent keeps
    /// nothing, or its only slab ([`Visit::keeps_last`]).
    ///
    /// # Safety
    /// The cache's magazines are of this parent, and not used any more.
    pub(crate) unsafe fn retire(&mut self, cache: &Cache) {
        let out = self.body.slabs.out();
        if cfg!(feature = "ext") && !cache.previous.is_none() {
            // The loaded one may come to wait half-filled for the next child.
            // SAFETY: the caller's promise.
            unsafe {
                let quotas = [cache.loaded, cache.previous].map(|of| of.quota(cache.mask()));
                cache.loaded.set_quota(cache.mask(), quotas[0].max(quotas[1]));
            }
        }
        for magazine in [cache.previous, cache.loaded] {
            let body = &mut **self.body;
            // SAFETY: the caller's promise.
            unsafe {
                body.depot.keep(magazine, cache.mask(), &body.policy, out, &mut self.surplus);
            }
        }
        self.body.slabs.holders = self.body.slabs.holders.saturating_sub(1);
        if self.body.slabs.holders == 0 {
            if !(cfg!(feature = "ext") && self.keeps_last()) {
                self.leave_kit();
                self.drain_depot();
                self.surplus.set_last();
            }
        } else {
            self.drain_excess(policy::DRAINED_AS_A_CHILD_GOES);
        }
    }

    /// Drains the magazines of a cache and gives them up. Returns how many objects there were in
    /// them.
    ///
    /// # Safety
    /// The cache's magazines are of this parent.
    pub(crate) unsafe fn strip(&mut self, cache: &mut Cache) -> usize {
        let mut objects = 0;
        let mask = cache.mask();
        for magazine in [&mut cache.loaded, &mut cache.previous] {
            if !magazine.is_none() {
                objects += magazine.rounds(mask);
                // SAFETY: the caller's promise.
                unsafe {
                    self.drain(magazine, mask);
                    self.surplus.add_magazine(*magazine, mask);
                }
                *magazine = Magazine::NONE;
            }
        }
        cache.set_mask(0);
        self.body.slabs.holders = self.body.slabs.holders.saturating_sub(1);
        if self.body.slabs.holders == 0 {
            self.drain_depot();
        }
        objects
    }
}
