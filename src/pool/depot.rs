// SPDX-License-Identifier: MIT
//! The depot of a parent pool: the magazines that no child has.
//!
//! - *full* magazines, which children exchange for empty ones when they run out of objects;
//! - *empty* ones, for the other way round; both in two sizes ([`Geometry`]);
//! - at most one *half*-filled one, from a child that was destroyed, for the next child. It is
//!   neither empty nor full, so that its finder can both allocate and free. With it, a child that
//!   lives for a few objects costs two lock operations in all.
//!
//! How much may lie here is for [`super::policy`] to say.
//!
//! Everything here belongs to the parent's lock.

use super::policy::Policy;
use crate::base::geometry::rounds;
use crate::heap::magazine::{Magazine, MagazineList};
use crate::heap::surplus::Surplus;

/// The magazines of one size.
struct Shelf {
    full: MagazineList,
    empty: MagazineList,
}

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
    /// Those that a child starts with, and those of busy children.
    shelves: [Shelf; 2],
    half: Magazine,
}

impl Depot {
    /// No magazines.
    pub(crate) const EMPTY: Depot = Depot { shelves: [Shelf::EMPTY; 2], half: Magazine::NONE };

    fn shelf(&mut self, mask: usize, policy: &Policy) -> &mut Shelf {
        &mut self.shelves[usize::from(policy.is_busy_size(mask))]
    }

    /// Rounds in full magazines.
    pub(crate) fn full_rounds(&self, policy: &Policy) -> usize {
        let [first, busy] = &self.shelves;
        first.full.count() as usize * rounds(policy.first_mask())
            + busy.full.count() as usize * rounds(policy.busy_mask())
    }

    /// Whether there is a full magazine, of whatever size.
    pub(crate) fn has_full(&self) -> bool {
        self.shelves.iter().any(|shelf| shelf.full.count() != 0)
    }

    /// Takes a full magazine of a size. Its quota is not set.
    pub(crate) fn take_full(&mut self, mask: usize, policy: &mut Policy) -> Option<Magazine> {
        let magazine = self.shelf(mask, policy).full.pop(mask)?;
        policy.note_left(self.full_rounds(policy));
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
            if policy.wants_empty(self.empty_room(mask, policy), out) {
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
        let empty = &self.shelves[usize::from(policy.is_busy_size(mask))].empty;
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
        let list = match list {
            List::Full => &mut shelf.full,
            List::Empty => &mut shelf.empty,
        };
        let cut = list.cut_unsound(mask, &sound)?;
        policy.note_left(self.full_rounds(policy));
        Some(cut)
    }

    /// How many objects there are in all magazines.
    pub(crate) fn objects(&self, policy: &Policy) -> usize {
        self.full_rounds(policy) + self.half.rounds(self.half_mask())
    }

    /// How many full and empty magazines there are, by size, not counting the half-filled one.
    pub(crate) fn counts(&self) -> [u32; 2] {
        [0, 1].map(|size| {
            let shelf: &Shelf = &self.shelves[size];
            shelf.full.count() + shelf.empty.count()
        })
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
    pub(crate) fn only_filled(&self, policy: &Policy) -> (Magazine, usize) {
        let [first, busy] = &self.shelves;
        match (self.half.is_none(), first.full.count(), busy.full.count()) {
            (false, 0, 0) => self.half(),
            (true, 1, 0) => (first.full.first(), policy.first_mask()),
            (true, 0, 1) => (busy.full.first(), policy.busy_mask()),
            _ => (Magazine::NONE, 0),
        }
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
        assert_eq!(policy.first_mask(), MASK);
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
        assert_eq!(policy.busy_mask(), mask);
        let mut depot = Depot::EMPTY;
        keep_full(&mut depot, &mut block);
        // SAFETY: the block is this magazine's alone; nobody looks at its rounds.
        unsafe { depot.keep_full(Magazine::new((&raw mut larger).cast()), mask, &policy) };
        assert_eq!(depot.objects(&policy), ROUNDS + LARGER - 1);
    }

    #[test]
    fn what_was_taken_for_a_while_was_used() {
        let mut policy = policy();
        let mut depot = Depot::EMPTY;
        let mut blocks: Vec<Block> = (0..10).map(|_| Block([0; WORDS])).collect();
        policy.end_epoch(100, depot.full_rounds(&policy));
        blocks.iter_mut().for_each(|block| keep_full(&mut depot, block));
        policy.end_epoch(101, depot.full_rounds(&policy));
        let taken: Vec<_> = (0..6).filter_map(|_| depot.take_full(MASK, &mut policy)).collect();
        // SAFETY: they were the depot's.
        taken.into_iter().for_each(|full| unsafe { depot.keep_full(full, MASK, &policy) });
        let reaped = policy.end_epoch(102, depot.full_rounds(&policy));
        assert_eq!(reaped, Some(2 * ROUNDS), "half of the other 4");
    }

    #[test]
    fn empty_magazines_that_could_not_be_filled_are_too_many() {
        let policy = policy();
        let limit = policy.limit(0);
        let most = limit.div_ceil(ROUNDS);
        let out = 100_000;
        assert!(policy.limit(out) / ROUNDS > most + 50);
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
        assert_eq!(depot.counts(), [most as u32 + 50, 0]);
        let excess = |depot: &Depot, policy: &Policy, out| {
            policy.has_excess_empty(depot.empty_room(MASK, policy), out)
        };
        assert!(!excess(&depot, &policy, out));
        while excess(&depot, &policy, 0) {
            depot.take_empty(MASK, &policy);
        }
        assert_eq!(depot.counts(), [(limit / ROUNDS) as u32, 0]);
        assert!(surplus.is_empty());
    }
}
