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

use super::budget;
use super::depot::List;
use super::policy;
use super::visit::Visit;
use crate::base::geometry::rounds;
use crate::base::misuse::Misuse;
use crate::heap::chunk::{Chunk, MAGAZINES, expect_owner, expect_slab, owner_if_any, slab_of};
use crate::heap::magazine::Magazine;
use crate::heap::slab::Slab;
use crate::heap::{HEAP, Owner, owner};
use crate::hooks;
use crate::sys::probe;

/// Rounds of a magazine lie scattered if no more of them than these are in one slab.
const FEW: usize = 2;
/// How many rounds before one is put back its slab is asked for, and twice as many before it the words
/// that lead there.
const AHEAD: usize = 8;

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

    /// Takes objects from slabs; see [`Slabs::take`]. If there is no memory for any, empty magazines
    /// of the depot are given up for it.
    pub(super) fn take(&mut self, rounds: &mut [*mut u8]) -> usize {
        let taken = self.take_from_slabs(rounds);
        if taken == 0 && self.give_up_empties() { self.take_from_slabs(rounds) } else { taken }
    }

    fn take_from_slabs(&mut self, rounds: &mut [*mut u8]) -> usize {
        let (owner, home) = (self.owner(), self.home());
        let body = &mut **self.body;
        let (geometry, modes) = (&body.geometry, body.modes);
        let mut made = ptr::null_mut::<Slab>();
        body.slabs.take(rounds, |left, found| {
            if found && !policy::fills_ahead(geometry) {
                return ptr::null_mut();
            }
            if made.is_null() {
                let most = policy::slabs_at_a_time(geometry, left);
                made = HEAP.make_slabs(home, owner, geometry, most);
            }
            let slab = made;
            if slab.is_null() {
                return slab;
            }
            // SAFETY: the slab is new, and on no list.
            made = unsafe { (*slab).next.replace(ptr::null_mut()) };
            if !modes.is_empty() {
                // SAFETY: the slab is new, and belongs to the lock that is held.
                unsafe { hooks::slab_made(modes, geometry, slab) }
            }
            slab
        })
    }

    /// Takes one object, for a child without a magazine, and says whether it reads as zeroes for
    /// certain. Null if there is no memory.
    pub(crate) fn take_one(&mut self) -> (*mut u8, bool) {
        let mut object = [ptr::null_mut()];
        let taken = self.take(&mut object);
        (object[0], self.hand_out(&object[..taken]))
    }

    /// Notes that objects which were taken are handed out, if no child caches such. Returns whether
    /// the last of them reads as zeroes for certain.
    #[cfg_attr(feature = "ext", inline(never))]
    pub(super) fn hand_out(&mut self, objects: &[*mut u8]) -> bool {
        let mut is_zero = false;
        if self.body.geometry.is_uncached() {
            for &object in objects {
                // SAFETY: it lies in a slab of this pool's, which is locked.
                is_zero = unsafe { Chunk::hand_out(object) };
            }
        }
        is_zero
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
        let granted = self.body.geometry.is_uncached() && self.put_uncached();
        let body = &mut **self.body;
        let keep_spare = policy::keeps_spare(body.slabs.holders, &body.geometry, granted);
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

    /// Before objects are put back that no child caches: such pools come to no exchange, but are awake,
    /// and go round as others do. Returns whether an empty slab of this one is granted.
    #[inline(never)]
    fn put_uncached(&mut self) -> bool {
        let (now, home) = (self.surplus.now(), self.home());
        let body = &mut **self.body;
        body.policy.end_epoch(now, 0);
        let may_be = home.is_process() && body.modes.is_empty() && !HEAP.keeps_nothing();
        may_be && body.slabs.grant.ask(body.geometry.slab_bytes(), budget::SPARE_BYTES)
    }

    /// Puts all rounds of a magazine back into their slabs.
    ///
    /// # Safety
    /// It is one of this parent's, of this mask, and nobody else uses it.
    pub(super) unsafe fn drain(&mut self, magazine: &mut Magazine, mask: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.drain_steps(magazine, mask, usize::MAX) };
    }

    /// The same of the last rounds, in so many steps, each of those that lie in one slab. Returns how
    /// many rounds it were.
    ///
    /// # Safety
    /// As above.
    #[inline(never)]
    pub(super) unsafe fn drain_steps(
        &mut self,
        magazine: &mut Magazine,
        mask: usize,
        most: usize,
    ) -> usize {
        let before = magazine.rounds(mask);
        // SAFETY: the caller's promise.
        unsafe {
            magazine.drain(mask, most, |rounds| {
                let left = self.put(rounds);
                if rounds.len() - left <= FEW {
                    self.expect_next(&rounds[..left]);
                }
                left
            });
        }
        let drained = before - magazine.rounds(mask);
        probe::magazine_drain(self.owner(), drained);
        drained
    }

    /// Of rounds that are put back from the last one on, and lie scattered, has what is needed for one
    /// fetched that is not far.
    ///
    /// # Safety
    /// They are rounds of this parent's.
    #[inline(always)]
    unsafe fn expect_next(&self, rounds: &[*mut u8]) {
        let before = |count| rounds.len().checked_sub(count).map(|index| rounds[index]);
        if let Some(round) = before(2 * AHEAD) {
            expect_owner(round);
        }
        if let Some(round) = before(AHEAD) {
            // SAFETY: the caller's promise.
            unsafe { expect_slab(round, self.owner()) }
        }
    }

    /// Drains `most` full magazines, or as many as the depot has above its limit.
    #[inline(never)]
    pub(super) fn drain_excess(&mut self, most: usize) {
        for _ in 0..most {
            let body = &**self.body;
            let full = body.depot.full_rounds();
            if !body.policy.has_excess(full, body.slabs.out(), budget::has_room()) {
                break;
            }
            let drained = self.drain_one();
            self.body.policy.note_drained(drained);
        }
    }

    /// Drains the part of the depot that went unused for an epoch, once the epoch is over, some
    /// rounds with each visit.
    #[inline(never)]
    pub(super) fn reap(&mut self) {
        let now = self.surplus.now();
        let body = &mut **self.body;
        let full = body.depot.full_rounds();
        body.policy.end_epoch(now, full);
        if self.is_reaping() {
            self.has_reaped = self.drain_unused(self.body.policy.reaped_at_a_time()) != 0;
            self.surplus.set_since(self.body.policy.unused_since());
        }
    }

    /// The same for a pool that has had no such visit in this epoch: its spare slab, and magazines with
    /// some rounds, or some empty ones; the half-filled one only if it had none in the epoch before
    /// either. Returns whether there was anything.
    #[inline(never)]
    pub(super) fn reap_asleep(&mut self, now: u32) -> bool {
        let body = &mut **self.body;
        let full = body.depot.full_rounds();
        let was_asleep = body.policy.is_asleep();
        let is_over = body.policy.end_epoch_asleep(now, full);
        if !is_over && !body.policy.is_reaping() {
            return false;
        }
        self.surplus.set_since(self.body.policy.unused_since());
        self.body.slabs.drop_spare(&mut self.surplus);
        let half = if is_over && was_asleep { self.drain_half() } else { 0 };
        let drained = half + self.drain_unused(policy::REAPED_AT_A_LOOK.saturating_sub(half));
        self.note_kept();
        drained != 0 || self.drop_empties(policy::EMPTIES_AT_A_LOOK)
    }

    /// Gives way to pools that are in use: drains magazines with about `most` rounds that the depot
    /// has beyond its share, unless a child has come here since this was asked last. Returns how many
    /// rounds it were.
    #[inline(never)]
    pub(super) fn give_way(&mut self, most: usize) -> usize {
        if !self.body.policy.gives_way() {
            return 0;
        }
        self.body.slabs.drop_spare(&mut self.surplus);
        let mut rounds = 0;
        while rounds < most {
            let body = &**self.body;
            let full = body.depot.full_rounds();
            if full <= body.policy.share(body.slabs.out()) {
                break;
            }
            let drained = self.drain_one();
            if drained == 0 {
                break;
            }
            rounds += drained;
        }
        self.note_kept();
        rounds
    }

    /// Whether more of the depot is to be drained than was yet.
    pub(super) fn is_reaping(&self) -> bool {
        self.body.policy.is_reaping()
    }

    /// Drains magazines with about `most` rounds of those that are to be reaped, and gives up empty ones
    /// that are too many. Returns how many rounds were drained.
    #[cold]
    fn drain_unused(&mut self, most: usize) -> usize {
        let mut drained = 0;
        while drained < most && self.is_reaping() {
            let rounds = self.drain_one();
            self.body.policy.note_reaped(rounds);
            drained += rounds;
        }
        for mask in self.body.policy.masks() {
            loop {
                let body = &**self.body;
                let room = body.depot.empty_room(mask, &body.policy);
                let out = body.slabs.out();
                if !body.policy.has_excess_empty(room, out, true) || !self.drop_empty(mask) {
                    break;
                }
            }
        }
        drained
    }

    /// Gives up `most` empty magazines, of a pool that has no full ones. Returns whether there were any.
    fn drop_empties(&mut self, most: usize) -> bool {
        let mut dropped = 0;
        if !self.body.depot.has_full() {
            for mask in self.body.policy.masks() {
                while dropped < most && self.drop_empty(mask) {
                    dropped += 1;
                }
            }
        }
        dropped != 0
    }

    /// Gives the heap all empty magazines of the depot. Returns false if there are none.
    #[cold]
    #[inline(never)]
    fn give_up_empties(&mut self) -> bool {
        let mut gave = false;
        for mask in self.body.policy.masks() {
            while self.drop_empty(mask) {
                gave = true;
            }
        }
        if gave {
            HEAP.take_back(&mut self.surplus);
        }
        gave
    }

    /// Gives up an empty magazine of the depot; returns false if there is none of that size.
    #[inline(never)]
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
    #[inline(never)]
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

    /// Drains the half-filled magazine of the depot, and returns how many rounds that was.
    #[cfg_attr(feature = "ext", inline(never))]
    pub(super) fn drain_half(&mut self) -> usize {
        let Some((mut half, mask)) = self.body.depot.take_half() else { return 0 };
        let rounds = half.rounds(mask);
        // SAFETY: it was the depot's.
        unsafe {
            self.drain(&mut half, mask);
            self.keep_empty(half, mask);
        }
        rounds
    }

    /// Drains a full magazine of the depot, and returns how many rounds that was.
    #[cold]
    pub(super) fn drain_one(&mut self) -> usize {
        let smallest = self.body.policy.first_mask();
        let Some((mut full, mask)) = self.take_full(smallest) else { return 0 };
        // SAFETY: it was the depot's.
        unsafe {
            self.drain(&mut full, mask);
            self.keep_empty(full, mask);
        }
        rounds(mask)
    }

    /// Takes a full magazine from the depot, of this size or else of a larger one, and says of which
    /// it is.
    pub(super) fn take_full(&mut self, least: usize) -> Option<(Magazine, usize)> {
        if !self.body.depot.has_full() {
            return None;
        }
        let masks = self.body.policy.masks().into_iter().filter(|&mask| mask >= least);
        masks.into_iter().find_map(|mask| Some((self.take_full_of(mask)?, mask)))
    }

    /// Takes a full magazine of this size from the depot.
    #[inline(never)]
    pub(super) fn take_full_of(&mut self, mask: usize) -> Option<Magazine> {
        self.check_link(List::Full, mask);
        let body = &mut **self.body;
        body.depot.take_full(mask, &mut body.policy)
    }

    /// Fills an empty magazine from full ones of the depot that are smaller, for as long as all of
    /// one's rounds have room in it. It may stay empty.
    ///
    /// # Safety
    /// It has this mask, and nobody else uses it.
    #[inline(never)]
    pub(super) unsafe fn pour_smaller(&mut self, into: &mut Magazine, mask: usize) {
        let smaller = self.body.policy.masks().into_iter().rev().filter(|&smaller| smaller < mask);
        for smaller in smaller {
            while rounds(mask) - into.rounds(mask) >= rounds(smaller) {
                let Some(mut full) = self.take_full_of(smaller) else { break };
                // SAFETY: the caller's promise; the other one was the depot's.
                unsafe {
                    into.pour(mask, &mut full, smaller);
                    self.keep_empty(full, smaller);
                }
            }
        }
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

    /// Notes what the depot holds beyond its share, once that is something else than it was.
    #[inline(never)]
    pub(super) fn note_kept(&mut self) {
        let body = &mut **self.body;
        let full = body.depot.full_rounds();
        let beyond = full.saturating_sub(body.policy.share(body.slabs.out()));
        body.noted.note(beyond * body.geometry.stride as usize);
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
        self.note_kept();
    }
}
