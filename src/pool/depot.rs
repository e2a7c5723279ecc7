//! The depot of a parent pool: the magazines that no child has.
//!
//! - *full* magazines, which children exchange for empty ones when they run out of objects;
//! - *empty* ones, for the other way round; both in two sizes ([`Geometry`]);
//! - at most one *half*-filled one, from a child that was destroyed, for the next child. It is neither
//!   empty nor full, so that its finder can both allocate and free. With it, a child that lives for a
//!   few objects costs two lock operations in all.
//!
//! How much may lie in full magazines: a constant, and a part of what is out of the slabs, and what was
//! *regretted*: rounds that were drained into the slabs as too many, and wanted again soon after. So a pool that
//! is filled and emptied over and over comes to keep what it needs, and one that is emptied once does not.
//!
//! Full magazines that no child has wanted for an epoch are reaped: the least number of rounds that was there since
//! the last look is what the children did without (Bonwick and Adams call the rest the working set). What is reaped
//! is regretted no more.
//!
//! Everything here belongs to the parent's lock.

use crate::base::geometry::{Geometry, rounds};
use crate::heap::magazine::{Magazine, MagazineList};
use crate::heap::surplus::Surplus;

/// Full magazines above their limit are drained once they are one part in so many above it.
const EXCESS_SHARE: usize = 4;

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
pub enum List {
    /// The full ones.
    Full,
    /// The empty ones.
    Empty,
}

/// See the head of this file.
pub struct Depot {
    /// Those that a child starts with, and those of busy children.
    shelves: [Shelf; 2],
    half: Magazine,
    half_mask: u16,
    /// The second in which it was last looked for what goes unused.
    epoch: u32,
    /// The least number of rounds in full magazines since `epoch`.
    least: u32,
    /// Rounds that were drained as too many, lately.
    drained: u32,
    /// How many of them were wanted again.
    regretted: u32,
    /// How many times a child has exchanged magazines here.
    exchanges: u32,
}

impl Depot {
    /// No magazines.
    pub const EMPTY: Depot = Depot {
        shelves: [Shelf::EMPTY; 2],
        half: Magazine::NONE,
        half_mask: 0,
        epoch: 0,
        least: 0,
        drained: 0,
        regretted: 0,
        exchanges: 0,
    };

    fn shelf(&mut self, mask: usize, geometry: &Geometry) -> &mut Shelf {
        &mut self.shelves[usize::from(geometry.is_busy(mask))]
    }

    /// Rounds in full magazines.
    fn full_rounds(&self, geometry: &Geometry) -> usize {
        let [first, busy] = &self.shelves;
        first.full.count() as usize * rounds(geometry.magazine_mask())
            + busy.full.count() as usize * rounds(geometry.busy_mask())
    }

    /// Whether there is a full magazine, of whatever size.
    pub fn has_full(&self) -> bool {
        self.shelves.iter().any(|shelf| shelf.full.count() != 0)
    }

    /// Rounds that may lie in full magazines while `out` objects are out of the slabs.
    fn limit(&self, geometry: &Geometry, out: usize) -> usize {
        geometry.full_limit(out) + self.regretted as usize
    }

    /// Takes a full magazine of a size. Its quota is not set.
    pub fn take_full(&mut self, mask: usize, geometry: &Geometry) -> Option<Magazine> {
        let magazine = self.shelf(mask, geometry).full.pop(mask)?;
        self.least = self.least.min(self.full_rounds(geometry) as u32);
        Some(magazine)
    }

    /// Takes an empty magazine of a size. Its quota is not set.
    pub fn take_empty(&mut self, mask: usize, geometry: &Geometry) -> Option<Magazine> {
        self.shelf(mask, geometry).empty.pop(mask)
    }

    /// Takes the half-filled magazine, and says of what size it is.
    pub fn take_half(&mut self) -> Option<(Magazine, usize)> {
        let half = core::mem::replace(&mut self.half, Magazine::NONE);
        if half.is_none() { None } else { Some((half, self.half_mask as usize)) }
    }

    /// Whether a further full magazine is to be kept while `out` objects are out of the slabs.
    pub fn wants_full(&self, geometry: &Geometry, out: usize) -> bool {
        self.full_rounds(geometry) < self.limit(geometry, out)
    }

    /// Whether so many more rounds are kept than should be that some are to be drained. The margin keeps a
    /// pool whose use goes up and down by a little from draining what it fills again next.
    pub fn has_excess(&self, geometry: &Geometry, out: usize) -> bool {
        let limit = self.limit(geometry, out);
        self.full_rounds(geometry) > limit + limit / EXCESS_SHARE
    }

    /// Counts an exchange of magazines between a child and the depot.
    pub fn count_exchange(&mut self) {
        self.exchanges = self.exchanges.wrapping_add(1);
    }

    /// How many exchanges there have been.
    pub fn exchanges(&self) -> u32 {
        self.exchanges
    }

    /// Notes that rounds are drained as too many.
    pub fn note_drained(&mut self, rounds: usize) {
        self.drained = self.drained.saturating_add(rounds as u32);
    }

    /// Notes that so many rounds were wanted, and taken from slabs as there was no full magazine.
    pub fn note_wanted(&mut self, rounds: usize) {
        let regretted = self.drained.min(rounds as u32);
        self.drained -= regretted;
        self.regretted = self.regretted.saturating_add(regretted);
    }

    /// Keeps a full magazine.
    ///
    /// # Safety
    /// It is a full one of this parent, and nobody else uses it.
    pub unsafe fn keep_full(&mut self, magazine: Magazine, mask: usize, geometry: &Geometry) {
        // SAFETY: the caller's promise.
        unsafe { self.shelf(mask, geometry).full.push(magazine, mask) }
    }

    /// Keeps an empty magazine, or gives its block up if there are more of them than could be filled.
    ///
    /// # Safety
    /// It is an empty one of this parent, and nobody else uses it.
    pub unsafe fn keep_empty(
        &mut self,
        magazine: Magazine,
        mask: usize,
        geometry: &Geometry,
        out: usize,
        surplus: &mut Surplus,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let limit = self.limit(geometry, out);
            let empty = &mut self.shelf(mask, geometry).empty;
            if empty.count() as usize * rounds(mask) < limit {
                empty.push(magazine, mask);
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
    pub unsafe fn keep(
        &mut self,
        magazine: Magazine,
        mask: usize,
        geometry: &Geometry,
        out: usize,
        surplus: &mut Surplus,
    ) {
        if self.half.is_none() && !magazine.is_empty(mask) && !magazine.is_full(mask) {
            self.set_half(magazine, mask);
        } else if !magazine.is_none() {
            // SAFETY: the caller's promise.
            unsafe { self.sort(magazine, mask, geometry, out, surplus) }
        }
    }

    fn set_half(&mut self, magazine: Magazine, mask: usize) {
        self.half = magazine;
        self.half_mask = mask as u16;
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
        geometry: &Geometry,
        out: usize,
        surplus: &mut Surplus,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if !magazine.is_empty(mask) && !magazine.is_full(mask) && !self.half.is_none() {
                let half_mask = self.half_mask as usize;
                self.half.pour(half_mask, &mut magazine, mask);
                if self.half.is_full(half_mask) {
                    self.keep_full(self.half, half_mask, geometry);
                    self.half = Magazine::NONE;
                }
            }
            if magazine.is_empty(mask) {
                self.keep_empty(magazine, mask, geometry, out, surplus);
            } else if magazine.is_full(mask) {
                self.keep_full(magazine, mask, geometry);
            } else {
                self.set_half(magazine, mask);
            }
        }
    }

    /// If an epoch, a second, is over: how many rounds are to be reaped. That is half of those that went
    /// unused, so that it never takes long; and for each further epoch, in which nobody came, half of what
    /// there is.
    pub fn end_epoch(&mut self, now: u32, geometry: &Geometry) -> Option<usize> {
        let epochs = now.wrapping_sub(self.epoch);
        if epochs == 0 {
            return None;
        }
        self.epoch = now;
        self.drained = self.drained.checked_shr(epochs).unwrap_or(0);
        let count = self.full_rounds(geometry) as u32;
        let kept = count - self.least.min(count).div_ceil(2);
        let kept = kept.checked_shr(epochs - 1).unwrap_or(0);
        self.least = kept;
        let reaped = count - kept;
        self.regretted = self.regretted.saturating_sub(reaped);
        Some(reaped as usize)
    }

    /// Whether there are more empty magazines of a size than could be filled.
    pub fn has_excess_empty(&self, mask: usize, geometry: &Geometry, out: usize) -> bool {
        let empty = &self.shelves[usize::from(geometry.is_busy(mask))].empty;
        empty.count() as usize * rounds(mask) > self.limit(geometry, out)
    }

    /// Whether there is no magazine.
    pub fn is_empty(&self) -> bool {
        let none = |shelf: &Shelf| shelf.full.count() == 0 && shelf.empty.count() == 0;
        self.half.is_none() && self.shelves.iter().all(none)
    }

    /// If the first magazine of a list has an unsound link, cuts the list there, and returns it; see
    /// [`MagazineList::cut_unsound`].
    pub fn cut_unsound(
        &mut self,
        list: List,
        mask: usize,
        geometry: &Geometry,
        sound: impl Fn(Magazine) -> bool,
    ) -> Option<Magazine> {
        let shelf = self.shelf(mask, geometry);
        let list = match list {
            List::Full => &mut shelf.full,
            List::Empty => &mut shelf.empty,
        };
        let cut = list.cut_unsound(mask, &sound)?;
        self.least = self.least.min(self.full_rounds(geometry) as u32);
        Some(cut)
    }

    /// How many objects there are in all magazines.
    pub fn objects(&self, geometry: &Geometry) -> usize {
        self.full_rounds(geometry) + self.half.rounds(self.half_mask as usize)
    }

    /// How many full and empty magazines there are, by size, not counting the half-filled one.
    pub fn counts(&self) -> [u32; 2] {
        [0, 1].map(|size| {
            let shelf: &Shelf = &self.shelves[size];
            shelf.full.count() + shelf.empty.count()
        })
    }

    /// Calls `each` with every magazine, its mask, and the list that it is on: none for the half-filled one.
    pub(crate) fn for_each(
        &self,
        geometry: &Geometry,
        mut each: impl FnMut(Magazine, usize, Option<List>),
    ) {
        for (shelf, mask) in self.shelves.iter().zip(geometry.masks()) {
            shelf.full.iter(mask).for_each(|full| each(full, mask, Some(List::Full)));
            shelf.empty.iter(mask).for_each(|empty| each(empty, mask, Some(List::Empty)));
        }
        if !self.half.is_none() {
            each(self.half, self.half_mask as usize, None);
        }
    }

    /// The half-filled magazine, or none, and its mask.
    pub(crate) fn half(&self) -> (Magazine, usize) {
        (self.half, self.half_mask as usize)
    }

    /// The magazine that has rounds, and its mask, if there is only one; else none.
    pub(crate) fn only_filled(&self, geometry: &Geometry) -> (Magazine, usize) {
        let [first, busy] = &self.shelves;
        match (self.half.is_none(), first.full.count(), busy.full.count()) {
            (false, 0, 0) => self.half(),
            (true, 1, 0) => (first.full.first(), geometry.magazine_mask()),
            (true, 0, 1) => (busy.full.first(), geometry.busy_mask()),
            _ => (Magazine::NONE, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: usize = 8;
    const MASK: usize = WORDS * size_of::<usize>() - 1;
    const ROUNDS: usize = WORDS - 1;

    #[repr(align(64))]
    struct Block(#[expect(dead_code, reason = "only its place is used")] [usize; WORDS]);

    /// For magazines of [`MASK`].
    fn geometry() -> Geometry {
        let geometry = Geometry::new(4096, 1);
        assert_eq!(geometry.magazine_mask(), MASK);
        geometry
    }

    fn keep_full(depot: &mut Depot, block: &mut Block) {
        // SAFETY: the block is this magazine's alone; nobody looks at its rounds.
        unsafe { depot.keep_full(Magazine::new((&raw mut *block).cast()), MASK, &geometry()) };
    }

    #[test]
    fn what_goes_unused_is_reaped_by_halves_for_each_epoch() {
        let geometry = geometry();
        let mut depot = Depot::EMPTY;
        let mut blocks: Vec<Block> = (0..10).map(|_| Block([0; WORDS])).collect();
        assert_eq!(depot.end_epoch(100, &geometry), Some(0));
        blocks.iter_mut().for_each(|block| keep_full(&mut depot, block));
        assert_eq!(depot.end_epoch(100, &geometry), None);
        assert_eq!(depot.end_epoch(101, &geometry), Some(0), "they came within the epoch");
        let mut take = |count| {
            for _ in 0..count {
                depot.take_full(MASK, &geometry);
            }
        };
        take(2);
        assert_eq!(
            depot.end_epoch(102, &geometry),
            Some(4 * ROUNDS),
            "of the 8 that were there all the time"
        );
        for _ in 0..4 {
            depot.take_full(MASK, &geometry);
        }
        assert_eq!(
            depot.end_epoch(104, &geometry),
            Some(3 * ROUNDS),
            "2 for the first epoch, and half of 2"
        );
    }

    const LARGER: usize = 256;

    #[cfg_attr(target_pointer_width = "64", repr(align(2048)))]
    #[cfg_attr(target_pointer_width = "32", repr(align(1024)))]
    struct Larger(#[expect(dead_code, reason = "only its place is used")] [usize; LARGER]);

    #[test]
    fn a_larger_magazine_counts_for_all_of_its_rounds() {
        let geometry = geometry();
        let (mut block, mut larger) = (Block([0; WORDS]), Larger([0; LARGER]));
        let mask = size_of::<Larger>() - 1;
        assert_eq!(geometry.busy_mask(), mask);
        let mut depot = Depot::EMPTY;
        keep_full(&mut depot, &mut block);
        // SAFETY: the block is this magazine's alone; nobody looks at its rounds.
        unsafe { depot.keep_full(Magazine::new((&raw mut larger).cast()), mask, &geometry) };
        assert_eq!(depot.objects(&geometry), ROUNDS + LARGER - 1);
    }

    #[test]
    fn what_was_taken_for_a_while_was_used() {
        let geometry = geometry();
        let mut depot = Depot::EMPTY;
        let mut blocks: Vec<Block> = (0..10).map(|_| Block([0; WORDS])).collect();
        depot.end_epoch(100, &geometry);
        blocks.iter_mut().for_each(|block| keep_full(&mut depot, block));
        depot.end_epoch(101, &geometry);
        let taken: Vec<_> = (0..6).filter_map(|_| depot.take_full(MASK, &geometry)).collect();
        // SAFETY: they were the depot's.
        taken.into_iter().for_each(|full| unsafe { depot.keep_full(full, MASK, &geometry) });
        assert_eq!(depot.end_epoch(102, &geometry), Some(2 * ROUNDS), "half of the other 4");
    }

    #[test]
    fn what_was_drained_and_wanted_again_raises_the_limit_until_it_is_reaped() {
        let geometry = geometry();
        let mut depot = Depot::EMPTY;
        let limit = depot.limit(&geometry, 0);
        depot.end_epoch(100, &geometry);
        depot.note_wanted(50);
        assert_eq!(depot.limit(&geometry, 0), limit, "nothing was drained before");
        depot.note_drained(70);
        depot.note_wanted(30);
        assert_eq!(depot.limit(&geometry, 0), limit + 30);
        depot.note_wanted(100);
        assert_eq!(depot.limit(&geometry, 0), limit + 70, "no more than was drained");
        depot.note_drained(40);
        depot.end_epoch(101, &geometry);
        depot.note_wanted(40);
        assert_eq!(depot.limit(&geometry, 0), limit + 90, "half of it is forgotten");

        let mut blocks: Vec<Block> = (0..10).map(|_| Block([0; WORDS])).collect();
        blocks.iter_mut().for_each(|block| keep_full(&mut depot, block));
        depot.end_epoch(102, &geometry);
        assert_eq!(depot.end_epoch(103, &geometry), Some(5 * ROUNDS));
        assert_eq!(depot.limit(&geometry, 0), limit + 90 - 5 * ROUNDS);
    }

    #[test]
    fn empty_magazines_that_could_not_be_filled_are_too_many() {
        let geometry = geometry();
        let limit = geometry.full_limit(0);
        let most = limit.div_ceil(ROUNDS);
        let out = 100_000;
        assert!(geometry.full_limit(out) / ROUNDS > most + 50);
        let mut depot = Depot::EMPTY;
        let mut surplus = Surplus::EMPTY;
        let mut blocks: Vec<Block> = (0..most + 50).map(|_| Block([0; WORDS])).collect();
        for block in &mut blocks {
            // SAFETY: the block is this magazine's alone.
            unsafe {
                let empty = Magazine::new((&raw mut *block).cast());
                depot.keep_empty(empty, MASK, &geometry, out, &mut surplus);
            }
        }
        assert_eq!(depot.counts(), [most as u32 + 50, 0]);
        assert!(!depot.has_excess_empty(MASK, &geometry, out));
        while depot.has_excess_empty(MASK, &geometry, 0) {
            depot.take_empty(MASK, &geometry);
        }
        assert_eq!(depot.counts(), [(limit / ROUNDS) as u32, 0]);
        assert!(surplus.is_empty());
    }
}
