// SPDX-License-Identifier: MIT
//! Who has come to a parent with a cache, as words 0 of its magazines tell.
//!
//! Invariants, whenever the parent is not locked:
//! - Word 0 of a cache's magazines is a *quota*, 1 at least. The larger one of its two says how many
//!   rounds the loaded one is filled with from slabs. Each exchange raises it; what it is above a whole
//!   magazine says how many there were since ([`policy::next_quota`]).
//! - The smaller one, after a visit that found two, says how many times in a row the child has come for
//!   the same thing. Between two visits it swaps them exactly when what it holds goes through one whole
//!   magazine, up or down. So where the quota is tells what it did: a visit leaves it in the magazine
//!   that will be loaded when the child comes for the same again, which is the other one if it has to
//!   go through the middle on the way, and finds it in the previous one if the child has turned
//!   ([`policy::visits_in_a_row`]). Words that are the same count as turned. To be wrong about it costs a
//!   visit.

use super::cache::Cache;
use super::policy;
use super::visit::Visit;

/// A child that has come to the parent, as words 0 of its magazines tell.
pub(super) struct Comer {
    pub(super) quota: usize,
    /// How many times in a row it has come for the same thing, this one included.
    pub(super) in_a_row: usize,
}

impl Comer {
    /// Raises its quota by an exchange of a magazine of this size.
    pub(super) fn raise(&mut self, mask: usize) {
        self.quota = policy::next_quota(self.quota, mask);
    }

    /// Whether it is to exchange both magazines.
    pub(super) fn exchanges_both(&self) -> bool {
        policy::exchanges_both(self.in_a_row)
    }

    /// Leaves a child that came to allocate. If its previous magazine is full, that one will be loaded
    /// when it does so again.
    ///
    /// # Safety
    /// The child's magazines are its own.
    pub(super) unsafe fn leave_to_allocate(&self, cache: &Cache) {
        // SAFETY: the caller's promise.
        unsafe { self.leave(cache, !cache.previous.is_empty(cache.mask())) }
    }

    /// Leaves a child that came to free. If its previous magazine is empty, that one will be loaded when
    /// it does so again.
    ///
    /// # Safety
    /// The child's magazines are its own.
    pub(super) unsafe fn leave_to_free(&self, cache: &Cache) {
        // SAFETY: the caller's promise.
        unsafe { self.leave(cache, cache.previous.is_empty(cache.mask())) }
    }

    /// Writes words 0: the quota into the loaded magazine, or, if that swaps with it, the previous one.
    ///
    /// # Safety
    /// The child's magazines are its own.
    #[inline(always)]
    unsafe fn leave(&self, cache: &Cache, swaps: bool) {
        let (mask, noted) = (cache.mask(), policy::noted_in_a_row(self.in_a_row));
        // Small builds do without what is in a row.
        let swaps = cfg!(feature = "ext") && swaps;
        let (loaded, previous) = if swaps { (noted, self.quota) } else { (self.quota, noted) };
        // SAFETY: the caller's promise.
        unsafe {
            cache.loaded.set_quota(mask, loaded);
            if cfg!(feature = "ext") && !cache.previous.is_none() {
                cache.previous.set_quota(mask, previous);
            }
        }
    }
}

impl Visit<'_> {
    /// Who has come with a cache, as its words 0 tell. Notes one that was overwritten, which starts again
    /// with the least.
    pub(super) fn comer(&mut self, cache: &Cache) -> Comer {
        let (mask, mut words) = (cache.mask(), [1; 2]);
        for (word, magazine) in words.iter_mut().zip([cache.loaded, cache.previous]) {
            if !magazine.is_none() {
                // SAFETY: the child's magazines are its own.
                let quota = unsafe { magazine.quota(mask) };
                if policy::is_quota(quota, mask) {
                    *word = quota;
                } else {
                    self.corrupted(magazine, mask);
                    // SAFETY: as above.
                    unsafe { magazine.set_quota(mask, 1) }
                }
            }
        }
        let [loaded, previous] = words;
        // One that has a single magazine has not come with two before.
        let in_a_row =
            if cache.previous.is_none() { 1 } else { policy::visits_in_a_row(loaded, previous) };
        Comer { quota: loaded.max(previous), in_a_row }
    }
}
