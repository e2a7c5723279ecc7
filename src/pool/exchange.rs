// SPDX-License-Identifier: MIT
//! What a parent does to keep a child's cache in magazines: gives the first one, exchanges, and
//! takes them back.
//!
//! | a cache | comes here | and gets |
//! |---|---|---|
//! | without a magazine | with the child's first object ([`Visit::equip`]) | a half-filled one, a kit's, or an empty one |
//! | with empty ones | to allocate ([`Visit::reload`]) | a full one, or its own is filled from slabs |
//! | with full ones | to free ([`Visit::unload`]) | an empty one; the depot or slabs get a full one's rounds |
//! | of a busy child | with either of these (`promote`) | a larger one for those it has, if its pool has much in use |
//! | of a child whose pool shrinks | to free (`demote`) | a smaller one; the depot or slabs get the rounds |
//! | of a child that goes | once ([`Visit::retire`]) | none; the depot has them |
//! | of a child that is trimmed | once ([`Visit::strip`]) | none; slabs have the rounds |
//!
//! Invariants, whenever the parent is not locked:
//! - A cache has no magazine and mask 0, or a loaded magazine of the size of its mask, and a
//!   previous one that is none, or empty or full and of the same size.
//! - Word 0 of a cache's magazines is a *quota*, 1 at least. The larger one of its two says how many
//!   rounds the loaded one is filled with from slabs. Each visit raises it; what it is above a whole
//!   magazine says how often the child has come since ([`policy::next_quota`]).
//! - `holders` counts the children that have magazines. When the last of them goes, the depot is
//!   empty.
//! - Without memory nothing changes but that a magazine stays empty, or an object goes to its slab.

use core::mem;

use super::budget;
use super::cache::Cache;
use super::depot::List;
use super::policy;
use super::visit::Visit;
use crate::base::geometry::{class_of, rounds};
use crate::heap::chunk::{owner_if_any, slab_of};
use crate::heap::magazine::Magazine;
use crate::heap::{HEAP, Kit};
use crate::hooks;
use crate::sys::probe;

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
        let (magazine, mask) = half.unwrap_or_else(|| self.first_magazine());
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

    /// If all that the pool has is one magazine and the slab of its rounds, leaves them in the heap
    /// for the next child.
    fn leave_kit(&mut self) {
        let body = &mut **self.body;
        let (only, mask) = body.depot.only_filled(&body.policy);
        let few =
            body.slabs.count() == 1 && policy::leaves_kit(body.geometry.order) && !only.is_none();
        if !few || only.rounds(mask) != body.slabs.out() {
            return;
        }
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
                self.surplus.set_kit(Kit { slab, magazine: only, mask });
            }
        }
    }

    /// Takes the magazines of a child that goes. If no other child has any, the parent keeps
    /// nothing.
    ///
    /// # Safety
    /// The cache's magazines are of this parent, and not used any more.
    pub(crate) unsafe fn retire(&mut self, cache: &Cache) {
        let out = self.body.slabs.out();
        for magazine in [cache.previous, cache.loaded] {
            let body = &mut **self.body;
            // SAFETY: the caller's promise.
            unsafe {
                body.depot.keep(magazine, cache.mask(), &body.policy, out, &mut self.surplus);
            }
        }
        self.body.slabs.holders = self.body.slabs.holders.saturating_sub(1);
        if self.body.slabs.holders == 0 {
            self.leave_kit();
            self.drain_depot();
            self.surplus.set_last();
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

    /// An empty magazine of a size, or none if there is no memory. Its quota is not set.
    #[inline(never)]
    pub(super) fn empty_magazine(&mut self, mask: usize) -> Magazine {
        let body = &mut **self.body;
        let empty = body.depot.take_empty(mask, &body.policy);
        empty.unwrap_or_else(|| HEAP.make_magazine(self.home(), class_of(mask)))
    }

    /// The quota of a cache: the larger one of its magazines', as the child may have come with either.
    /// Notes one that was overwritten, which starts again with the least.
    fn quota(&mut self, cache: &Cache) -> usize {
        let (mask, mut most) = (cache.mask(), 1);
        for magazine in [cache.loaded, cache.previous] {
            if !magazine.is_none() {
                // SAFETY: the child's magazines are its own.
                let quota = unsafe { magazine.quota(mask) };
                if policy::is_quota(quota, mask) {
                    most = most.max(quota);
                } else {
                    self.corrupted(magazine, mask);
                    // SAFETY: as above.
                    unsafe { magazine.set_quota(mask, 1) }
                }
            }
        }
        most
    }

    /// Gives a busy child one magazine of the next size for those it has, with all their rounds in
    /// it: it is not full. Nothing changes if it is not to have a larger one, or objects are sampled,
    /// or there is no memory. Returns its quota.
    pub(super) fn promote(&mut self, cache: &mut Cache) -> usize {
        let mask = cache.mask();
        let quota = self.quota(cache);
        let body = &**self.body;
        // What this child and others have in their magazines, callers do not.
        let others = (body.slabs.holders as usize).saturating_sub(1);
        let own = cache.rounds() + cache.previous.rounds(mask);
        let objects = body.in_use(own + 2 * rounds(mask) * others);
        let larger = body.policy.larger(mask, quota, objects, &body.geometry);
        let Some(larger_mask) = larger else { return quota };
        if hooks::is_sampling() {
            return quota;
        }
        self.check_link(List::Empty, larger_mask);
        let body = &mut **self.body;
        let empty = body.depot.take_empty(larger_mask, &body.policy);
        let make = || HEAP.make_magazine_if_plenty(self.home(), class_of(larger_mask));
        let larger = empty.unwrap_or_else(make);
        if larger.is_none() {
            return quota;
        }
        // SAFETY: the child's magazines are its own, and two of them have room in the next size.
        unsafe { self.enlarge(cache, larger, larger_mask, quota) }
    }

    /// Gives a child a larger magazine for those it has, with all their rounds in it: it is not full.
    /// Returns its quota.
    ///
    /// # Safety
    /// The child's magazines are its own. The larger one is empty, of that mask, and nobody else's.
    pub(super) unsafe fn enlarge(
        &mut self,
        cache: &mut Cache,
        mut larger: Magazine,
        larger_mask: usize,
        quota: usize,
    ) -> usize {
        let mask = cache.mask();
        let quota = policy::inherited_quota(quota, larger_mask);
        // SAFETY: the caller's promise.
        unsafe {
            larger.set_quota(larger_mask, quota);
            for mut magazine in [cache.previous, cache.loaded] {
                if !magazine.is_none() {
                    larger.pour(larger_mask, &mut magazine, mask);
                    self.keep_empty(magazine, mask);
                }
            }
        }
        cache.loaded = larger;
        cache.previous = Magazine::NONE;
        cache.set_mask(larger_mask);
        quota
    }

    /// Gives a child with full magazines an empty smaller one, if its pool, of which callers have so
    /// many objects, shrinks. Returns false if it does not, or there is no memory.
    fn demote(&mut self, cache: &mut Cache, objects: usize) -> bool {
        let mask = cache.mask();
        let Some(smaller) = self.body.policy.shrinks(mask, objects) else { return false };
        self.check_link(List::Empty, smaller);
        let small = self.empty_magazine(smaller);
        if small.is_none() {
            return false;
        }
        // SAFETY: the child's magazines are its own, and given up here.
        unsafe {
            small.set_quota(smaller, rounds(smaller));
            for mut magazine in [cache.loaded, cache.previous] {
                if magazine.is_none() {
                    continue;
                }
                let body = &mut **self.body;
                let full = body.depot.full_rounds();
                if body.policy.wants_full(full, body.slabs.out(), budget::has_room()) {
                    body.depot.keep_full(magazine, mask, &body.policy);
                } else {
                    self.drain(&mut magazine, mask);
                    self.body.policy.note_drained(rounds(mask));
                    self.keep_empty(magazine, mask);
                }
            }
        }
        self.note_kept();
        self.body.policy.note_smaller();
        cache.loaded = small;
        cache.previous = Magazine::NONE;
        cache.set_mask(smaller);
        true
    }

    /// Fills the loaded magazine of a cache, which is empty, as is its previous one. It stays empty
    /// if there is no memory.
    pub(crate) fn reload(&mut self, cache: &mut Cache) {
        let objects = self.body.in_use(0);
        self.body.policy.note_taken(objects);
        self.reap();
        let quota = self.promote(cache);
        // SAFETY: the child's magazines are its own.
        unsafe {
            if let Some((full, mask)) = self.take_full(cache.mask()) {
                self.exchange(cache, full, mask);
            } else {
                if self.body.depot.has_full() {
                    let mask = cache.mask();
                    self.pour_smaller(&mut cache.loaded, mask);
                }
                if cache.is_empty() {
                    let most = policy::rounds_to_take(quota, cache.mask());
                    cache.loaded.fill(most, |rounds| self.take(rounds));
                    probe::magazine_fill(self.owner(), cache.rounds(), most);
                    self.body.policy.note_wanted(cache.rounds());
                } else {
                    self.count_exchange(cache.mask(), true);
                }
            }
            cache.loaded.set_quota(cache.mask(), policy::next_quota(quota, cache.mask()));
        }
        self.note_kept();
    }

    /// Gives a cache a full magazine in place of its empty ones.
    ///
    /// # Safety
    /// The full one is of this mask and nobody else's, and the child's are its own and empty.
    #[inline(always)]
    pub(super) unsafe fn exchange(&mut self, cache: &mut Cache, full: Magazine, mask: usize) {
        self.count_exchange(mask, true);
        let mut empty = mem::replace(&mut cache.loaded, full);
        // SAFETY: the caller's promise.
        unsafe {
            if mask != cache.mask() {
                // Of a larger size, with which the child goes on.
                self.keep_empty(empty, cache.mask());
                empty = Magazine::NONE;
            }
            let spare = mem::replace(&mut cache.previous, empty);
            self.keep_empty(spare, cache.mask());
        }
        cache.set_mask(mask);
    }

    /// Gives a cache an empty loaded magazine in place of its full one, which becomes its previous
    /// one; or a larger one in place of both. Returns false if there is no memory and nothing has
    /// changed.
    pub(crate) fn unload(&mut self, cache: &mut Cache) -> bool {
        self.check_link(List::Empty, cache.mask());
        let quota = self.promote(cache);
        let mask = cache.mask();
        if !cache.is_full() {
            return true;
        }
        let objects = self.body.in_use(2 * rounds(mask));
        self.body.policy.note_given(objects);
        if self.demote(cache, objects) {
            return true;
        }
        // SAFETY: the child's magazines are its own, and the depot's that are drained are nobody's.
        unsafe {
            let body = &**self.body;
            let full = body.depot.full_rounds();
            let wanted = body.policy.wants_full(full, body.slabs.out(), budget::has_room());
            let empty = if cache.previous.is_none() || wanted {
                let empty = self.empty_magazine(mask);
                if !empty.is_none() && !cache.previous.is_none() {
                    self.count_exchange(mask, false);
                    let body = &mut **self.body;
                    body.depot.keep_full(cache.previous, mask, &body.policy);
                    cache.previous = Magazine::NONE;
                }
                empty
            } else {
                Magazine::NONE
            };
            let empty = if !empty.is_none() {
                empty
            } else if !cache.previous.is_none() {
                self.drain(&mut cache.previous, mask);
                self.body.policy.note_drained(rounds(mask));
                mem::replace(&mut cache.previous, Magazine::NONE)
            } else {
                return false;
            };
            self.drain_excess(policy::DRAINED_AT_AN_EXCHANGE);
            self.reap();
            empty.set_quota(mask, policy::next_quota(quota, mask));
            cache.previous = mem::replace(&mut cache.loaded, empty);
            self.note_kept();
            true
        }
    }

    pub(super) fn count_exchange(&mut self, mask: usize, to_child: bool) {
        probe::magazine_exchange(self.owner(), rounds(mask), u32::from(to_child));
        self.body.exchanges = self.body.exchanges.wrapping_add(1);
    }
}
