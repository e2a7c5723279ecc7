// SPDX-License-Identifier: MIT
//! The depot of a parent pool: the magazines that no child has.
//!
//! - *full* magazines, which children exchange for empty ones when they run out of objects;
//! - *empty* ones, for the other way round; both in several sizes ([`Policy::masks`]);
//! - at most one *half*-filled one, from a child that was destroyed, for the next child. It is
//!   neither empty nor full, so that its finder can both allocate and free. With it, a child that
//!   lives for a few objects costs two lock operations in all.
//!
//! How much may lie here is for [`super::policy`] to say.
//!
//! Everything here belongs to the parent's lock.

use super::policy::{Policy, SIZES};
use crate::base::geometry::rounds;
use crate::base::layout::{Field, layout};
use crate::heap::magazine::{Magazine, MagazineList};
use crate::heap::surplus::Surplus;

/// The magazines of one size.
pub(super) struct Shelf {
    full: MagazineList,
    empty: MagazineList,
}

/// For a walker outside of the process.
pub(crate) const LAYOUT: &[Field] = layout!("shelf", Shelf: full, empty);

impl Shelf {
    const EMPTY: Shelf = Shelf { full: MagazineList::EMPTY, empty: MagazineList::EMPTY };
}

/// Which magazines of a size.
#[derive(Clone, Copy)]
pub(crate) enum List {
    /// The full ones.
    Full,
    /// The empty ones.
    Empty,
}

/// See the head of this file.
pub(crate) struct Depot {
    /// By size. Of sizes that are the same, the first one's is used.
    pub(super) shelves: [Shelf; SIZES],
    pub(super) half: Magazine,
    /// Rounds in full magazines.
    full: usize,
}

impl Depot {
    /// No magazines.
    pub(crate) const EMPTY: Depot =
        Depot { shelves: [Shelf::EMPTY; SIZES], half: Magazine::NONE, full: 0 };

    fn shelf(&mut self, mask: usize, policy: &Policy) -> &mut Shelf {
        &mut self.shelves[policy.size_of(mask)]
    }

    /// Rounds in full magazines.
    pub(crate) fn full_rounds(&self) -> usize {
        self.full
    }

    /// Whether there is a full magazine, of whatever size.
    pub(crate) fn has_full(&self) -> bool {
        self.full != 0
    }

    /// Takes a full magazine of a size. Its quota is not set.
    pub(crate) fn take_full(&mut self, mask: usize, policy: &mut Policy) -> Option<Magazine> {
        let magazine = self.shelf(mask, policy).full.pop(mask)?;
        self.full -= rounds(mask);
        policy.note_left(self.full);
        Some(magazine)
    }

    /// Takes an empty magazine of a size. Its quota is not set.
    pub(crate) fn take_empty(&mut self, mask: usize, policy: &Policy) -> Option<Magazine> {
        self.shelf(mask, policy).empty.pop(mask)
    }

    /// The mask of the half-filled magazine, 0 if there is none.
    fn half_mask(&self) -> usize {
        // SAFETY: the magazines of the depot are nobody else's, and in blocks of the heap's.
        unsafe { self.half.mask() }
    }

    /// Takes the half-filled magazine, and says of what size it is.
    pub(crate) fn take_half(&mut self) -> Option<(Magazine, usize)> {
        let mask = self.half_mask();
        let half = core::mem::replace(&mut self.half, Magazine::NONE);
        if half.is_none() { None } else { Some((half, mask)) }
    }

    /// Keeps a full magazine.
    ///
    /// # Safety
    /// It is a full one of this parent, and nobody else uses it.
    pub(crate) unsafe fn keep_full(&mut self, magazine: Magazine, mask: usize, policy: &Policy) {
        self.full += rounds(mask);
        // SAFETY: the caller's promise.
        unsafe { self.shelf(mask, policy).full.push(magazine, mask) }
    }

    /// Keeps an empty magazine, or gives its block up if there are more of them than could be
    /// filled.
    ///
    /// # Safety
    /// It is an empty one of this parent, and nobody else uses it.
    pub(crate) unsafe fn keep_empty(
        &mut self,
        magazine: Magazine,
        mask: usize,
        policy: &Policy,
        out: usize,
        surplus: &mut Surplus,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if policy.wants_empty(self.empty_room(mask, policy), out, true) {
                self.shelf(mask, policy).empty.push(magazine, mask);
            } else {
                surplus.add_magazine(magazine, mask);
            }
        }
    }

    /// Keeps a magazine of a child that goes, however full it is.
    ///
    /// # Safety
    /// It is none or one of this parent, and nobody else uses it.
    #[inline(never)]
    pub(crate) unsafe fn keep(
        &mut self,
        magazine: Magazine,
        mask: usize,
        policy: &Policy,
        out: usize,
        surplus: &mut Surplus,
    ) {
        if self.half.is_none() && !magazine.is_empty(mask) && !magazine.is_full(mask) {
            self.half = magazine;
        } else if !magazine.is_none() {
            // SAFETY: the caller's promise.
            unsafe { self.sort(magazine, mask, policy, out, surplus) }
        }
    }

    /// Puts a magazine where it belongs by how full it is, which the half-filled one may change.
    ///
    /// # Safety
    /// It is one of this parent, and nobody else uses it.
    #[inline(never)]
    unsafe fn sort(
        &mut self,
        mut magazine: Magazine,
        mask: usize,
        policy: &Policy,
        out: usize,
        surplus: &mut Surplus,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if !magazine.is_empty(mask) && !magazine.is_full(mask) && !self.half.is_none() {
                let half_mask = self.half_mask();
                self.half.pour(half_mask, &mut magazine, mask);
                if self.half.is_full(half_mask) {
                    self.keep_full(self.half, half_mask, policy);
                    self.half = Magazine::NONE;
                }
            }
            if magazine.is_empty(mask) {
                self.keep_empty(magazine, mask, policy, out, surplus);
            } else if magazine.is_full(mask) {
                self.keep_full(magazine, mask, policy);
            } else {
                self.half = magazine;
            }
        }
    }

    /// Rounds for which empty magazines of a size have room.
    pub(crate) fn empty_room(&self, mask: usize, policy: &Policy) -> usize {
        let empty = &self.shelves[policy.size_of(mask)].empty;
        empty.count() as usize * rounds(mask)
    }

    /// Whether there is no magazine.
    pub(crate) fn is_empty(&self) -> bool {
        let none = |shelf: &Shelf| shelf.full.count() == 0 && shelf.empty.count() == 0;
        self.half.is_none() && self.shelves.iter().all(none)
    }

    /// If the first magazine of a list has an unsound link, cuts the list there, and returns it;
    /// see [`MagazineList::cut_unsound`].
    pub(crate) fn cut_unsound(
        &mut self,
        list: List,
        mask: usize,
        policy: &mut Policy,
        sound: impl Fn(Magazine) -> bool,
    ) -> Option<Magazine> {
        let shelf = self.shelf(mask, policy);
        let before = shelf.full.count();
        let list = match list {
            List::Full => &mut shelf.full,
            List::Empty => &mut shelf.empty,
        };
        let cut = list.cut_unsound(mask, &sound)?;
        self.full -= (before - shelf.full.count()) as usize * rounds(mask);
        policy.note_left(self.full);
        Some(cut)
    }

    /// How many objects there are in all magazines.
    pub(crate) fn objects(&self) -> usize {
        self.full_rounds() + self.half.rounds(self.half_mask())
    }

    /// How many full and empty magazines there are, by size, not counting the half-filled one.
    pub(crate) fn counts(&self) -> [u32; SIZES] {
        self.shelves.each_ref().map(|shelf| shelf.full.count() + shelf.empty.count())
    }

    /// Calls `each` with every magazine, its mask, and the list that it is on: none for the
    /// half-filled one.
    pub(crate) fn for_each(
        &self,
        policy: &Policy,
        mut each: impl FnMut(Magazine, usize, Option<List>),
    ) {
        for (shelf, mask) in self.shelves.iter().zip(policy.masks()) {
            shelf.full.iter(mask).for_each(|full| each(full, mask, Some(List::Full)));
            shelf.empty.iter(mask).for_each(|empty| each(empty, mask, Some(List::Empty)));
        }
        if !self.half.is_none() {
            each(self.half, self.half_mask(), None);
        }
    }

    /// The half-filled magazine, or none, and its mask.
    pub(crate) fn half(&self) -> (Magazine, usize) {
        (self.half, self.half_mask())
    }

    /// The magazine that has rounds, and its mask, if there is only one; else none.
    #[cfg_attr(feature = "ext", inline(never))]
    pub(crate) fn only_filled(&self, policy: &Policy) -> (Magazine, usize) {
        let mut only = self.half();
        for (shelf, mask) in self.shelves.iter().zip(policy.masks()) {
            match (only.0.is_none(), shelf.full.count()) {
                (_, 0) => (),
                (true, 1) => only = (shelf.full.first(), mask),
                _ => return (Magazine::NONE, 0),
            }
        }
        only
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::geometry::Geometry;

    const WORDS: usize = 8;
    const MASK: usize = WORDS * size_of::<usize>() - 1;
    const ROUNDS: usize = WORDS - 1;

    #[repr(align(64))]
    struct Block(#[expect(dead_code, reason = "only its place is used")] [usize; WORDS]);

    /// For magazines of [`MASK`].
    fn policy() -> Policy {
        let policy = Policy::new(&Geometry::new(4096, 1), true);
        assert_eq!(policy.masks()[1], MASK);
        policy
    }

    fn keep_full(depot: &mut Depot, block: &mut Block) {
        // SAFETY: the block is this magazine's alone; nobody looks at its rounds.
        unsafe { depot.keep_full(Magazine::new((&raw mut *block).cast()), MASK, &policy()) };
    }

    const LARGER: usize = 256;

    #[cfg_attr(target_pointer_width = "64", repr(align(2048)))]
    #[cfg_attr(target_pointer_width = "32", repr(align(1024)))]
    struct Larger(#[expect(dead_code, reason = "only its place is used")] [usize; LARGER]);

    #[test]
    fn a_larger_magazine_counts_for_all_of_its_rounds() {
        let policy = policy();
        let (mut block, mut larger) = (Block([0; WORDS]), Larger([0; LARGER]));
        let mask = size_of::<Larger>() - 1;
        assert_eq!(policy.largest_mask(), mask);
        let mut depot = Depot::EMPTY;
        keep_full(&mut depot, &mut block);
        // SAFETY: the block is this magazine's alone; nobody looks at its rounds.
        unsafe { depot.keep_full(Magazine::new((&raw mut larger).cast()), mask, &policy) };
        assert_eq!(depot.objects(), ROUNDS + LARGER - 1);
    }

    #[test]
    fn what_was_taken_for_a_while_was_used() {
        let mut policy = policy();
        let mut depot = Depot::EMPTY;
        let mut blocks: Vec<Block> = (0..10).map(|_| Block([0; WORDS])).collect();
        policy.end_epoch(100, depot.full_rounds());
        blocks.iter_mut().for_each(|block| keep_full(&mut depot, block));
        policy.end_epoch(101, depot.full_rounds());
        let taken: Vec<_> = (0..6).filter_map(|_| depot.take_full(MASK, &mut policy)).collect();
        // SAFETY: they were the depot's.
        taken.into_iter().for_each(|full| unsafe { depot.keep_full(full, MASK, &policy) });
        policy.end_epoch(102, depot.full_rounds());
        policy.note_reaped(2 * ROUNDS - 1);
        assert!(policy.is_reaping());
        policy.note_reaped(1);
        assert!(!policy.is_reaping(), "half of the other 4");
    }

    #[test]
    fn empty_magazines_that_could_not_be_filled_are_too_many() {
        let policy = policy();
        let limit = policy.limit(0, true);
        let most = limit.div_ceil(ROUNDS);
        let out = 100_000;
        assert!(policy.limit(out, true) / ROUNDS > most + 50);
        let mut depot = Depot::EMPTY;
        let mut surplus = Surplus::EMPTY;
        let mut blocks: Vec<Block> = (0..most + 50).map(|_| Block([0; WORDS])).collect();
        for block in &mut blocks {
            // SAFETY: the block is this magazine's alone.
            unsafe {
                let empty = Magazine::new((&raw mut *block).cast());
                depot.keep_empty(empty, MASK, &policy, out, &mut surplus);
            }
        }
        assert_eq!(depot.counts()[1], most as u32 + 50);
        let excess = |depot: &Depot, policy: &Policy, out| {
            policy.has_excess_empty(depot.empty_room(MASK, policy), out, true)
        };
        assert!(!excess(&depot, &policy, out));
        while excess(&depot, &policy, 0) {
            depot.take_empty(MASK, &policy);
        }
        assert_eq!(depot.counts()[1], (limit / ROUNDS) as u32);
        assert!(surplus.is_empty());
    }
}
