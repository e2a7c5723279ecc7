// SPDX-License-Identifier: MIT
//! The slabs of one parent pool, by how full they are.
//!
//! Invariants:
//! - `partial[n]` has the slabs that are between `n` and `n + 1` quarters full and not empty, but for
//!   those that are in the list behind, *aside*: they are to run empty ([`super::shrink`]), and stay
//!   there until they do, or are filed again;
//! - a full slab is in `partial[4]`, as four quarters of it are out, for whoever walks all slabs;
//! - an empty slab is the spare one, or goes to the heap at once;
//! - `slabs` counts all of them, `out` is the sum of their `used`, and `peak` the most it was.
//!
//! Objects are taken from the fullest list first, so that sparse slabs run empty and go back.
//!
//! Everything here belongs to the parent's lock.

use core::ptr;

use super::budget::Grant;
#[cfg(feature = "ext")]
use super::policy;
#[cfg(feature = "ext")]
use crate::base::geometry::CHUNK;
use crate::base::misuse::Misuse;
use crate::heap::slab::{LEAVING, Slab, SlabList};
use crate::heap::surplus::Surplus;

const QUARTERS: usize = 4;
/// The list of those that are aside, in builds where there are such.
const ASIDE: usize = QUARTERS + 1;
/// The quarters, full, and aside.
const LISTS: usize = QUARTERS + 1 + cfg!(feature = "ext") as usize;

/// See the head of this file.
pub(crate) struct Slabs {
    pub(super) partial: [SlabList; LISTS],
    pub(super) spare: *mut Slab,
    /// What the spare one may be of, if no child caches the objects, or the only one that a pool keeps
    /// without children.
    pub(super) grant: Grant,
    pub(super) slabs: u32,
    /// How many children have magazines, and so rounds of these slabs.
    pub(super) holders: u32,
    pub(super) out: usize,
    pub(super) peak: usize,
}

impl Slabs {
    /// No slabs.
    pub(crate) const EMPTY: Slabs = Slabs {
        partial: [SlabList::EMPTY; LISTS],
        spare: ptr::null_mut(),
        grant: Grant::NOTHING,
        slabs: 0,
        holders: 0,
        out: 0,
        peak: 0,
    };

    /// How many slabs there are.
    pub(crate) fn count(&self) -> u32 {
        self.slabs
    }

    /// How many objects are out of the slabs.
    pub(crate) fn out(&self) -> usize {
        self.out
    }

    /// The most objects that were out at a time.
    pub(crate) fn peak(&self) -> usize {
        self.peak
    }

    /// How many slabs are full, partial and empty. Takes time in proportion to the partial ones.
    pub(crate) fn by_state(&self) -> [usize; 3] {
        let lists = self.partial[..QUARTERS].iter().chain(self.partial.get(ASIDE));
        let partial = lists.map(SlabList::count).sum();
        let empty = usize::from(!self.spare.is_null());
        [self.slabs as usize - partial - empty, partial, empty]
    }

    /// Calls `each` with every slab that is on a list, or is the spare one, and whether it is where
    /// it should be.
    pub(crate) fn for_each_listed(&self, mut each: impl FnMut(&Slab, bool)) {
        for (index, list) in self.partial.iter().enumerate() {
            list.for_each(|slab, linked| {
                let is_filed = index == ASIDE || quarter(slab.used(), slab.capacity()) == index;
                let right = !slab.is_empty() && is_filed;
                each(slab, linked && right && slab.list.get() as usize == index);
            });
        }
        if !self.spare.is_null() {
            // SAFETY: the spare slab belongs to the lock that is held.
            unsafe { each(&*self.spare, (*self.spare).is_empty()) }
        }
    }

    /// Takes objects until `rounds` is full or there is no memory, and returns how many. Those
    /// returned are the first of `rounds`, those of each slab in the order of [`Slab::take`].
    /// `make` gives a new slab, or null; it is told how many objects are to be found still, and
    /// whether some were. It is called until as many slabs are there as these need, unless it gives
    /// null.
    pub(crate) fn take(
        &mut self,
        rounds: &mut [*mut u8],
        mut make: impl FnMut(usize, bool) -> *mut Slab,
    ) -> usize {
        let mut left = rounds.len();
        while left != 0 {
            // SAFETY: the slabs of this parent belong to its lock, which whoever has `self` holds.
            unsafe {
                let mut slab = self.fullest();
                let is_filed = !slab.is_null();
                if !is_filed {
                    slab = core::mem::replace(&mut self.spare, ptr::null_mut());
                    if slab.is_null() {
                        slab = make(left, left != rounds.len());
                        if slab.is_null() {
                            break;
                        }
                        self.slabs += 1;
                    }
                }
                left -= (*slab).take(&mut rounds[..left]);
                let used = (*slab).used() as usize;
                // Full is four quarters.
                let next_quarter = ((*slab).list.get() as usize + 1) * (*slab).capacity() as usize;
                if !is_filed || used * QUARTERS >= next_quarter {
                    if is_filed {
                        self.unfile(slab);
                    }
                    self.file(slab);
                }
            }
        }
        let taken = rounds.len() - left;
        if left != 0 {
            rounds.copy_within(left.., 0);
        }
        self.out += taken;
        self.peak = self.peak.max(self.out);
        taken
    }

    /// Takes objects back into `slab`, from the end of `rounds`; see [`Slab::put`] for what is
    /// returned. A slab that runs empty goes to the surplus, unless it is the only one and
    /// `keep_spare`.
    ///
    /// # Safety
    /// The slab is one of these.
    pub(crate) unsafe fn put(
        &mut self,
        slab: *mut Slab,
        rounds: &[*mut u8],
        keep_spare: bool,
        surplus: &mut Surplus,
    ) -> (usize, Result<(), Misuse>) {
        // SAFETY: the caller's promise; the slabs of this parent belong to its lock.
        unsafe {
            let (left, result) = (*slab).put(rounds);
            self.out -= rounds.len() - left;
            if left == rounds.len() || stays(&*slab) {
                return (left, result);
            }
            self.unfile(slab);
            if !(*slab).is_empty() {
                self.file(slab);
            } else if keep_spare && self.spare.is_null() {
                self.spare = slab;
            } else {
                self.slabs -= 1;
                surplus.add_slab(slab);
            }
            (left, result)
        }
    }

    /// Takes in a slab, as the only one.
    ///
    /// # Safety
    /// It is not empty, on no list, and nobody else's.
    pub(crate) unsafe fn adopt(&mut self, slab: *mut Slab) {
        // SAFETY: the caller's promise.
        unsafe {
            self.slabs = 1;
            (*slab).list.set(0);
            self.out = (*slab).used() as usize;
            self.peak = self.peak.max(self.out);
            self.file(slab);
        }
    }

    /// Lets the only slab go.
    ///
    /// # Safety
    /// It is one of these, and not empty.
    pub(crate) unsafe fn abandon(&mut self, slab: *mut Slab) {
        // SAFETY: the caller's promise.
        unsafe {
            self.unfile(slab);
            (*slab).list.set(LEAVING);
        }
        self.slabs = 0;
        self.out = 0;
    }

    /// Gives the spare slab up.
    #[inline(never)]
    pub(crate) fn drop_spare(&mut self, surplus: &mut Surplus) {
        self.grant.give_back();
        let spare = core::mem::replace(&mut self.spare, ptr::null_mut());
        if !spare.is_null() {
            self.slabs -= 1;
            // SAFETY: the spare slab is empty and on no list.
            unsafe { surplus.add_slab(spare) }
        }
    }

    /// Calls `each` with every slab that is not empty. It may change what is in a list.
    pub(crate) fn for_each(&self, each: &mut dyn FnMut(*mut Slab)) {
        self.partial
            .iter()
            .for_each(|list| list.for_each(|slab, _| each(ptr::from_ref(slab).cast_mut())));
    }

    /// Puts the slabs aside that are to run empty: sparse ones, the emptiest quarter first, as many as
    /// the others have room for. Of a quarter of which some are to stay, those stay that are nearest to
    /// the pool's body, whose chunk stays, so that the others' chunks may run empty as well. What was
    /// aside before is filed again.
    #[cfg(feature = "ext")]
    pub(crate) fn put_sparse_aside(&mut self) {
        while !self.aside().is_null() {
            self.file_first_aside();
        }
        // An empty one has nothing to be moved.
        let slabs = self.slabs as usize - usize::from(!self.spare.is_null());
        for quarter in 0..QUARTERS {
            let (mut sparse, mut farthest, mut capacity) = (0, 0, 1);
            self.partial[quarter].for_each(|slab, _| {
                capacity = slab.capacity();
                if policy::is_sparse(slab.used(), capacity) {
                    sparse += 1;
                    farthest = farthest.max(self.distance(slab));
                }
            });
            let aside = self.partial[ASIDE].count();
            let wanted = policy::slabs_to_empty(slabs, self.out, capacity).saturating_sub(aside);
            if sparse == 0 || wanted == 0 {
                continue;
            }
            self.put_farthest_aside(quarter, farthest, wanted.min(sparse));
        }
    }

    /// Puts so many sparse slabs of a quarter aside, those farthest from the pool's body.
    #[cfg(feature = "ext")]
    fn put_farthest_aside(&mut self, quarter: usize, farthest: usize, mut count: usize) {
        /// How many distances are told from each other.
        const RINGS: usize = 512;
        let ring = |distance: usize| distance * RINGS / (farthest + 1);
        let mut in_ring = [0u32; RINGS];
        self.partial[quarter].for_each(|slab, _| {
            if policy::is_sparse(slab.used(), slab.capacity()) {
                in_ring[ring(self.distance(slab))] += 1;
            }
        });
        // How many go of each ring.
        for slabs in in_ring.iter_mut().rev() {
            *slabs = count.min(*slabs as usize) as u32;
            count -= *slabs as usize;
        }
        let mut next = self.partial[quarter].first();
        // SAFETY: the slabs of this parent belong to its lock, which whoever has `self` holds.
        while let Some(slab) = unsafe { next.as_ref() } {
            next = slab.next.get();
            if !policy::is_sparse(slab.used(), slab.capacity()) {
                continue;
            }
            let left = &mut in_ring[ring(self.distance(slab))];
            if *left != 0 {
                *left -= 1;
                let slab = ptr::from_ref(slab).cast_mut();
                // SAFETY: the slab is one of these, on this list.
                unsafe {
                    self.unfile(slab);
                    (*slab).list.set(ASIDE as u8);
                    self.partial[ASIDE].insert(slab);
                }
            }
        }
    }

    /// How many chunks a slab is away from the pool's body, which this is a part of.
    #[cfg(feature = "ext")]
    fn distance(&self, slab: &Slab) -> usize {
        ptr::from_ref(self).addr().abs_diff(ptr::from_ref(slab).addr()) / CHUNK
    }

    /// The first slab that is aside, or null.
    #[cfg(feature = "ext")]
    pub(crate) fn aside(&self) -> *mut Slab {
        self.partial[ASIDE].first()
    }

    /// Files the first slab that is aside again, if there is one.
    #[cfg(feature = "ext")]
    pub(crate) fn file_first_aside(&mut self) {
        let slab = self.aside();
        if !slab.is_null() {
            // SAFETY: the slab is one of these, and not empty as it is on a list.
            unsafe {
                self.unfile(slab);
                self.file(slab);
            }
        }
    }

    fn fullest(&self) -> *mut Slab {
        let list = self.partial[..QUARTERS].iter().rev().find(|list| !list.first().is_null());
        list.map_or(ptr::null_mut(), |list| list.first())
    }

    /// Puts a slab that is not empty on the list of its quarter.
    ///
    /// # Safety
    /// It is one of these, on no list.
    unsafe fn file(&mut self, slab: *mut Slab) {
        // SAFETY: the caller's promise.
        unsafe {
            let quarter = quarter((*slab).used(), (*slab).capacity());
            (*slab).list.set(quarter as u8);
            self.partial[quarter].insert(slab);
        }
    }

    /// Takes a slab off its list.
    ///
    /// # Safety
    /// It is one of these, on the list that its number says.
    unsafe fn unfile(&mut self, slab: *mut Slab) {
        // SAFETY: the caller's promise.
        unsafe { self.partial[(*slab).list.get() as usize].remove(slab) }
    }
}

/// Which quarter a slab with `used` of `capacity` objects out is in.
fn quarter(used: u16, capacity: u16) -> usize {
    used as usize * QUARTERS / capacity as usize
}

/// Whether a slab of which objects were put back, but are not all back, is on the right list still.
fn stays(slab: &Slab) -> bool {
    let used = slab.used() as usize;
    if cfg!(feature = "ext") && slab.list.get() as usize == ASIDE {
        return used != 0;
    }
    used != 0 && used * QUARTERS >= slab.list.get() as usize * slab.capacity() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::HARDENED;
    use crate::base::geometry::Geometry;
    use crate::heap::HEAP;
    use crate::heap::chunk::slab_of;
    use crate::heap::slab::tests::slab;

    #[test]
    fn a_slab_stays_on_its_list_for_as_long_as_it_is_in_its_quarter() {
        for (item_size, num_items) in [(8, 512), (96, 64), (1024, 4), (2048, 1)] {
            let slab = slab(item_size, num_items);
            let mut rounds = [ptr::null_mut(); 512];
            let taken = slab.take(&mut rounds);
            let mut left = &rounds[512 - taken..];
            while slab.used() > 1 {
                assert_eq!(slab.put(&left[..1]), (0, Ok(())));
                left = &left[1..];
                let now = quarter(slab.used(), slab.capacity());
                assert!(now < QUARTERS);
                for list in now..QUARTERS {
                    slab.list.set(list as u8);
                    assert_eq!(stays(&slab), list == now);
                }
            }
            assert_eq!(slab.put(&left[..1]), (0, Ok(())));
            slab.list.set(0);
            assert!(slab.is_empty() && !stays(&slab));
        }
    }

    fn take_all(slabs: &mut Slabs, count: usize, mut from: Vec<*mut Slab>) -> Vec<*mut u8> {
        let mut rounds = vec![ptr::null_mut(); count];
        let taken = slabs.take(&mut rounds, |_, _| from.pop().unwrap_or(ptr::null_mut()));
        rounds.truncate(taken);
        rounds
    }

    #[test]
    fn without_memory_what_there_is_is_handed_out_in_front() {
        let mut one = slab(1024, 4);
        let mut slabs = Slabs::EMPTY;
        let rounds = take_all(&mut slabs, 10, vec![&raw mut one]);
        assert_eq!(rounds.len(), 4);
        assert_eq!(slabs.out(), 4);
        assert!(HARDENED || rounds.is_sorted_by(|a, b| a > b), "lowest address last");
        assert!(one.out_are(&rounds), "each once");
        assert!(take_all(&mut slabs, 1, vec![]).is_empty());
    }

    #[test]
    fn the_fullest_slab_is_refilled_first_and_an_empty_one_leaves() {
        let geometry = Geometry::new(1024, 4);
        // Those of the heap: slabs that share a list lie in chunks.
        let [a, b] = [(); 2].map(|()| HEAP.make_slab(0x1000, &geometry));
        let mut slabs = Slabs::EMPTY;
        let mut surplus = Surplus::EMPTY;
        let all = take_all(&mut slabs, 8, vec![b, a]);
        // SAFETY: an object is in a chunk.
        let of = |object: *mut u8| unsafe { slab_of(object) };
        // SAFETY: the slabs are this test's alone.
        unsafe {
            let (first, second): (Vec<_>, Vec<_>) =
                all.iter().partition(|object| of(**object) == a);
            let mut put = |slabs: &mut Slabs, slab, rounds: &[*mut u8]| {
                slabs.put(slab, rounds, true, &mut surplus)
            };
            assert_eq!(put(&mut slabs, a, &first[..3]), (0, Ok(())));
            assert_eq!(put(&mut slabs, b, &second[..1]), (0, Ok(())));
            assert_eq!(of(take_all(&mut slabs, 1, vec![])[0]), b, "three quarters full");
            assert_eq!(put(&mut slabs, a, &first[3..]), (0, Ok(())));
            assert_eq!(slabs.spare, a);
            assert_eq!(put(&mut slabs, a, &first[3..]), (1, Err(Misuse::DoubleFree)));
            assert_eq!(put(&mut slabs, b, &second), (0, Ok(())));
            assert_eq!((slabs.count(), slabs.out()), (1, 0), "one spare is kept, the other goes");
            slabs.drop_spare(&mut surplus);
            assert_eq!(slabs.count(), 0);
        }
        HEAP.take_back(&mut surplus);
    }
}
