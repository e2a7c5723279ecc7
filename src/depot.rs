//! The depot of a parent pool: the magazines that no child has.
//!
//! - *full* magazines, which children exchange for empty ones when they run out of objects;
//! - *empty* ones, for the other way round;
//! - at most one *half*-filled one, from a child that was destroyed, for the next child. It is neither
//!   empty nor full, so that its finder can both allocate and free. With it, a child that lives for a
//!   few objects costs two lock operations in all.
//!
//! Full magazines that no child has wanted for an epoch are reaped: the least number that was there since the
//! last look is what the children did without (Bonwick and Adams call the rest the working set).
//!
//! Everything here belongs to the parent's lock.

use crate::geometry::Geometry;
use crate::magazine::{Magazine, MagazineList};
use crate::surplus::Surplus;

/// How many rounds a new child takes at its first fill; each further fill doubles it. A child that
/// allocates a few objects is not to pay for a whole magazine.
pub const FIRST_QUOTA: usize = 8;

/// Full magazines above their limit are drained once they are one part in so many above it.
const EXCESS_SHARE: usize = 4;

/// See the head of this file.
pub struct Depot {
    full: MagazineList,
    /// The least number of full magazines since `epoch`.
    least: u32,
    /// The second in which it was last looked for what goes unused.
    epoch: u32,
    empty: MagazineList,
    half: Magazine,
}

impl Depot {
    /// No magazines.
    pub const EMPTY: Depot = Depot {
        full: MagazineList::EMPTY,
        least: 0,
        epoch: 0,
        empty: MagazineList::EMPTY,
        half: Magazine::NONE,
    };

    /// Takes a full magazine.
    pub fn take_full(&mut self, geometry: &Geometry) -> Option<Magazine> {
        let magazine = self.full.pop(geometry.magazine_mask())?;
        self.least = self.least.min(self.full.count());
        // SAFETY: it is on no list now.
        unsafe { magazine.set_quota(geometry.magazine_mask(), geometry.rounds()) }
        Some(magazine)
    }

    /// Takes an empty magazine. Its quota is not set.
    pub fn take_empty(&mut self, geometry: &Geometry) -> Option<Magazine> {
        self.empty.pop(geometry.magazine_mask())
    }

    /// Takes the half-filled magazine.
    pub fn take_half(&mut self) -> Option<Magazine> {
        let half = core::mem::replace(&mut self.half, Magazine::NONE);
        if half.is_none() { None } else { Some(half) }
    }

    /// Whether a further full magazine is to be kept while `out` objects are out of the slabs.
    pub fn wants_full(&self, geometry: &Geometry, out: usize) -> bool {
        (self.full.count() as usize) < geometry.full_limit(out)
    }

    /// Whether so many more full magazines are kept than should be that some are to be drained. The margin
    /// keeps a pool whose use goes up and down by a little from draining what it fills again next.
    pub fn has_excess(&self, geometry: &Geometry, out: usize) -> bool {
        let limit = geometry.full_limit(out);
        self.full.count() as usize > limit + limit / EXCESS_SHARE
    }

    /// Keeps a full magazine.
    ///
    /// # Safety
    /// It is a full one of this parent, and nobody else uses it.
    pub unsafe fn keep_full(&mut self, magazine: Magazine, geometry: &Geometry) {
        // SAFETY: the caller's promise.
        unsafe { self.full.push(magazine, geometry.magazine_mask()) }
    }

    /// Keeps an empty magazine, or gives its block up if there are more of them than could be filled.
    ///
    /// # Safety
    /// It is an empty one of this parent, and nobody else uses it.
    pub unsafe fn keep_empty(
        &mut self,
        magazine: Magazine,
        geometry: &Geometry,
        out: usize,
        surplus: &mut Surplus,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if (self.empty.count() as usize) < geometry.full_limit(out) {
                self.empty.push(magazine, geometry.magazine_mask());
            } else {
                surplus.add_magazine(magazine);
            }
        }
    }

    /// Keeps a magazine of a child that goes, however full it is.
    ///
    /// # Safety
    /// It is none or one of this parent, and nobody else uses it.
    #[inline]
    pub unsafe fn keep(
        &mut self,
        magazine: Magazine,
        geometry: &Geometry,
        out: usize,
        surplus: &mut Surplus,
    ) {
        let mask = geometry.magazine_mask();
        if self.half.is_none() && !magazine.is_empty(mask) && !magazine.is_full(mask) {
            self.half = magazine;
        } else if !magazine.is_none() {
            // SAFETY: the caller's promise.
            unsafe { self.sort(magazine, geometry, out, surplus) }
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
        geometry: &Geometry,
        out: usize,
        surplus: &mut Surplus,
    ) {
        let mask = geometry.magazine_mask();
        // SAFETY: the caller's promise.
        unsafe {
            if !magazine.is_empty(mask) && !magazine.is_full(mask) && !self.half.is_none() {
                self.half.pour(&mut magazine, mask);
                if self.half.is_full(mask) {
                    self.full.push(self.half, mask);
                    self.half = Magazine::NONE;
                }
            }
            if magazine.is_empty(mask) {
                self.keep_empty(magazine, geometry, out, surplus);
            } else if magazine.is_full(mask) {
                self.full.push(magazine, mask);
            } else {
                self.half = magazine;
            }
        }
    }

    /// If an epoch, a second, is over: how many full magazines are to be reaped. That is half of those that
    /// went unused, so that it never takes long; and for each further epoch, in which nobody came, half of
    /// what there is.
    pub fn end_epoch(&mut self, now: u32) -> Option<usize> {
        let epochs = now.wrapping_sub(self.epoch);
        if epochs == 0 {
            return None;
        }
        self.epoch = now;
        let count = self.full.count();
        let kept = count - core::mem::replace(&mut self.least, count).div_ceil(2);
        let kept = kept.checked_shr(epochs - 1).unwrap_or(0);
        self.least = kept;
        Some((count - kept) as usize)
    }

    /// Gives empty magazines up that are more than could be filled.
    pub fn drop_excess_empty(&mut self, geometry: &Geometry, out: usize, surplus: &mut Surplus) {
        while self.empty.count() as usize > geometry.full_limit(out) {
            let Some(magazine) = self.take_empty(geometry) else { return };
            // SAFETY: it was on the list, and is no more.
            unsafe { surplus.add_magazine(magazine) }
        }
    }

    /// How many full and empty magazines there are, not counting the half-filled one.
    pub fn counts(&self) -> (u32, u32) {
        (self.full.count(), self.empty.count())
    }

    /// How many objects there are in all magazines.
    pub fn objects(&self, geometry: &Geometry) -> usize {
        let half = self.half.rounds(geometry.magazine_mask());
        self.full.count() as usize * geometry.rounds() + half
    }

    /// The full magazines and the empty ones.
    pub(crate) fn lists(&self) -> [&MagazineList; 2] {
        [&self.full, &self.empty]
    }

    /// The half-filled magazine, or none.
    pub(crate) fn half(&self) -> Magazine {
        self.half
    }

    /// Takes any magazine that has rounds.
    pub fn take_filled(&mut self, geometry: &Geometry) -> Option<Magazine> {
        self.take_half().or_else(|| self.full.pop(geometry.magazine_mask()))
    }

    /// Gives all empty magazines up.
    pub fn drop_empty(&mut self, geometry: &Geometry, surplus: &mut Surplus) {
        while let Some(magazine) = self.take_empty(geometry) {
            // SAFETY: it was on the list, and is no more.
            unsafe { surplus.add_magazine(magazine) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: usize = 8;
    const MASK: usize = WORDS * size_of::<usize>() - 1;

    #[repr(align(64))]
    struct Block(#[expect(dead_code, reason = "only its place is used")] [usize; WORDS]);

    #[test]
    fn what_goes_unused_is_reaped_by_halves_for_each_epoch() {
        let geometry = Geometry::new(4096, 1);
        assert_eq!(geometry.magazine_mask(), MASK);
        let mut depot = Depot::EMPTY;
        let mut blocks: Vec<Block> = (0..10).map(|_| Block([0; WORDS])).collect();
        assert_eq!(depot.end_epoch(100), Some(0));
        for block in &mut blocks {
            // SAFETY: the block is this magazine's alone; nobody looks at its rounds.
            unsafe { depot.keep_full(Magazine::new((&raw mut *block).cast()), &geometry) };
        }
        assert_eq!(depot.end_epoch(100), None);
        assert_eq!(depot.end_epoch(101), Some(0), "they came within the epoch");
        depot.take_full(&geometry);
        depot.take_full(&geometry);
        assert_eq!(depot.end_epoch(102), Some(4), "of the 8 that were there all the time");
        for _ in 0..4 {
            depot.take_full(&geometry);
        }
        assert_eq!(depot.end_epoch(104), Some(3), "2 for the first epoch, and half of 2");
    }

    #[test]
    fn empty_magazines_that_could_not_be_filled_are_given_up() {
        let geometry = Geometry::new(4096, 1);
        let most = geometry.full_limit(0);
        let out = 100_000;
        assert!(geometry.full_limit(out) > most + 50);
        let mut depot = Depot::EMPTY;
        let mut surplus = Surplus::new(MASK);
        let mut blocks: Vec<Block> = (0..most + 50).map(|_| Block([0; WORDS])).collect();
        for block in &mut blocks {
            // SAFETY: the block is this magazine's alone.
            unsafe {
                let empty = Magazine::new((&raw mut *block).cast());
                depot.keep_empty(empty, &geometry, out, &mut surplus);
            }
        }
        depot.drop_excess_empty(&geometry, out, &mut surplus);
        assert_eq!(depot.counts(), (0, most as u32 + 50));
        depot.drop_excess_empty(&geometry, 0, &mut surplus);
        assert_eq!(depot.counts(), (0, most as u32));
    }
}
