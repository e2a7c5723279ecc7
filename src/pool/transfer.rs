// SPDX-License-Identifier: MIT
//! How objects pass between magazines, slabs and the heap, in a visit to a pool. What children do
//! with its magazines is in [`super::exchange`].
//!
//! | from | to | by |
//! |---|---|---|
//! | slabs, or a new one of the heap's | a magazine, or a child without one | `take`, `take_one` |
//! | a magazine, or a child without one | slabs, and what runs empty to the surplus | `drain`, `put` |
//! | the depot | slabs | `drain_excess`, `reap`, `drain_depot` |

use core::ptr;

use super::depot::List;
use super::policy;
use super::visit::Visit;
use crate::base::geometry::rounds;
use crate::base::misuse::Misuse;
use crate::heap::chunk::{MAGAZINES, owner_if_any, slab_of};
use crate::heap::magazine::Magazine;
use crate::heap::{HEAP, Owner, owner};
use crate::hooks;

impl Visit<'_> {
    /// Bytes from one object to the next.
    pub(crate) fn stride(&self) -> usize {
        self.body.geometry.stride as usize
    }

    /// Notes a magazine whose word 0 is not what it should be.
    #[cold]
    #[inline(never)]
    pub(super) fn corrupted(&mut self, magazine: Magazine, mask: usize) {
        self.notes.add(magazine.block(mask).addr(), "corrupted magazine");
    }

    /// Counts a child that uses the pool without magazines.
    #[cfg(feature = "debug")]
    pub(crate) fn add_holder(&mut self) {
        self.body.slabs.holders += 1;
    }

    /// Counts it no more. If no other child uses the pool, the parent keeps nothing.
    #[cfg(feature = "debug")]
    pub(crate) fn remove_holder(&mut self) {
        self.body.slabs.holders = self.body.slabs.holders.saturating_sub(1);
        if self.body.slabs.holders == 0 {
            self.drain_depot();
        }
    }

    /// Counts an object that comes back through no child of this pool.
    pub(crate) fn count_foreign_free(&mut self) {
        self.body.foreign_frees = self.body.foreign_frees.wrapping_add(1);
    }

    /// Takes objects from slabs; see [`Slabs::take`].
    pub(super) fn take(&mut self, rounds: &mut [*mut u8]) -> usize {
        let (parent, owner) = (self.parent, self.owner());
        let body = &mut **self.body;
        let geometry = &body.geometry;
        body.slabs.take(rounds, |found| {
            if found && !policy::fills_ahead(geometry) {
                return ptr::null_mut();
            }
            let slab = HEAP.make_slab(owner, geometry);
            if !slab.is_null() && !parent.modes.get().is_empty() {
                // SAFETY: the slab is new, and belongs to the lock that is held.
                unsafe { hooks::slab_made(parent, geometry, slab) }
            }
            slab
        })
    }

    /// Takes one object, for a child without a magazine. Null if there is no memory.
    pub(crate) fn take_one(&mut self) -> *mut u8 {
        let mut object = [ptr::null_mut()];
        self.take(&mut object);
        object[0]
    }

    /// Puts objects back into the slab of the last one, from the end of `rounds`, and returns how
    /// many are left: not that one, in any case.
    pub(crate) fn put(&mut self, rounds: &[*mut u8]) -> usize {
        let left = rounds.len() - 1;
        let object = rounds[left];
        // SAFETY: each was handed out by a slab of some parent, or passed the owner check.
        let (left, result) = unsafe {
            match owner(object) {
                Owner::Parent(address) if address == self.owner() => self.put_own(rounds),
                // A child that outlived the pool it was created with had it in a magazine.
                Owner::Limbo => (left, HEAP.free_in_limbo(object)),
                _ => (left, Err(Misuse::NotAnObject)),
            }
        };
        if let Err(misuse) = result {
            self.notes.add(rounds[left].addr(), misuse.words());
        }
        left
    }

    /// Puts objects back into the slab of the last one, from the end of `rounds`, and returns how
    /// many are left, the first of which is not an object that is out if there is an error.
    ///
    /// # Safety
    /// The last one lies in a slab of this parent's.
    #[inline]
    pub(crate) unsafe fn put_own(&mut self, rounds: &[*mut u8]) -> (usize, Result<(), Misuse>) {
        let body = &mut **self.body;
        let keep_spare = policy::keeps_spare(body.slabs.holders, &body.geometry);
        // SAFETY: the caller's promise.
        let put = unsafe {
            let slab = slab_of(rounds[rounds.len() - 1]);
            body.slabs.put(slab, rounds, keep_spare, &mut self.surplus)
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
    pub(super) unsafe fn drain(&mut self, magazine: &mut Magazine, mask: usize) {
        // SAFETY: the caller's promise.
        unsafe { magazine.drain(mask, |rounds| self.put(rounds)) }
    }

    /// Drains `most` full magazines, or as many as the depot has above its limit.
    #[inline(never)]
    pub(super) fn drain_excess(&mut self, most: usize) {
        for _ in 0..most {
            let body = &**self.body;
            let full = body.depot.full_rounds(&body.policy);
            if !body.policy.has_excess(full, body.slabs.out()) {
                break;
            }
            let drained = self.drain_one();
            self.body.policy.note_drained(drained);
        }
    }

    /// Drains the part of the depot that went unused for an epoch, once the epoch is over.
    #[inline(never)]
    pub(super) fn reap(&mut self) {
        let now = self.surplus.now();
        let body = &mut **self.body;
        let full = body.depot.full_rounds(&body.policy);
        if let Some(rounds) = body.policy.end_epoch(now, full) {
            self.drain_unused(rounds);
        }
    }

    #[cold]
    fn drain_unused(&mut self, rounds: usize) {
        let mut left = rounds;
        while left != 0 {
            match self.drain_one() {
                0 => break,
                drained => left = left.saturating_sub(drained),
            }
        }
        for mask in self.body.policy.masks() {
            loop {
                let body = &**self.body;
                let room = body.depot.empty_room(mask, &body.policy);
                if !body.policy.has_excess_empty(room, body.slabs.out()) || !self.drop_empty(mask) {
                    break;
                }
            }
        }
    }

    /// Gives up an empty magazine of the depot; returns false if there is none of that size.
    fn drop_empty(&mut self, mask: usize) -> bool {
        self.check_link(List::Empty, mask);
        let body = &mut **self.body;
        let Some(empty) = body.depot.take_empty(mask, &body.policy) else { return false };
        // SAFETY: it was the depot's.
        unsafe { self.surplus.add_magazine(empty, mask) }
        true
    }

    /// Keeps an empty magazine, or gives its block up if there are more of them than could be
    /// filled.
    ///
    /// # Safety
    /// It is none, or an empty one of this parent that nobody else uses.
    pub(super) unsafe fn keep_empty(&mut self, magazine: Magazine, mask: usize) {
        if magazine.is_none() {
            return;
        }
        let body = &mut **self.body;
        // SAFETY: the caller's promise.
        unsafe {
            body.depot.keep_empty(
                magazine,
                mask,
                &body.policy,
                body.slabs.out(),
                &mut self.surplus,
            );
        }
    }

    /// Drains a full magazine of the depot, and returns how many rounds that was.
    #[cold]
    fn drain_one(&mut self) -> usize {
        let smallest = self.body.policy.first_mask();
        let Some((mut full, mask)) = self.take_full(smallest) else { return 0 };
        // SAFETY: it was the depot's.
        unsafe {
            self.drain(&mut full, mask);
            self.keep_empty(full, mask);
        }
        rounds(mask)
    }

    /// Takes a full magazine from the depot, of this size if there is one, and says of which it is.
    pub(super) fn take_full(&mut self, wanted: usize) -> Option<(Magazine, usize)> {
        if !self.body.depot.has_full() {
            return None;
        }
        let [first, busy] = self.body.policy.masks();
        let other = if wanted == first { busy } else { first };
        [wanted, other].into_iter().find_map(|mask| {
            self.check_link(List::Full, mask);
            let body = &mut **self.body;
            Some((body.depot.take_full(mask, &mut body.policy)?, mask))
        })
    }

    /// Takes any magazine that has rounds from the depot, and says of what size it is.
    pub(super) fn take_filled(&mut self) -> Option<(Magazine, usize)> {
        let smallest = self.body.policy.first_mask();
        self.body.depot.take_half().or_else(|| self.take_full(smallest))
    }

    /// Before a magazine is taken from a list of the depot: notes one whose link was overwritten,
    /// and leaves those behind it alone.
    #[inline(never)]
    pub(super) fn check_link(&mut self, list: List, mask: usize) {
        // SAFETY: a block that is on a list is not given back, so that its chunk stays.
        let sound = |link: Magazine| unsafe { owner_if_any(link.block(mask)) == MAGAZINES };
        let body = &mut **self.body;
        if let Some(magazine) = body.depot.cut_unsound(list, mask, &mut body.policy, sound) {
            self.corrupted(magazine, mask);
        }
    }

    /// Gives up everything that no child and no caller has.
    #[inline(never)]
    pub(crate) fn drain_depot(&mut self) {
        // Mostly it is when a pool's only child goes.
        if !self.body.depot.is_empty() {
            while let Some((mut magazine, mask)) = self.take_filled() {
                // SAFETY: it was the depot's.
                unsafe {
                    self.drain(&mut magazine, mask);
                    self.surplus.add_magazine(magazine, mask);
                }
            }
            for mask in self.body.policy.masks() {
                while self.drop_empty(mask) {}
            }
        }
        self.body.slabs.drop_spare(&mut self.surplus);
    }
}
