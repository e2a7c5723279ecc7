// SPDX-License-Identifier: MIT
//! How a child's cache exchanges magazines with its parent. What it begins with, and leaves behind, is in
//! [`super::equipment`].
//!
//! | a cache | comes here | and gets |
//! |---|---|---|
//! | with empty ones | to allocate ([`Visit::reload`]) | a full one, or its own is filled from slabs |
//! | with full ones | to free ([`Visit::unload`]) | an empty one, for a full one that the depot gets; or one of its own, of which slabs got some rounds |
//! | with two of either | for the same a third time in a row, or more ([`super::comer`]) | two for both, if the depot has or wants two |
//! | of a busy child | with either of these (`promote`) | a larger one for those it has, if its pool has much in use |
//! | of a child whose pool shrinks | to free (`demote`) | a smaller one; the depot or slabs get the rounds |
//!
//! Invariants, whenever the parent is not locked:
//! - A cache has no magazine and mask 0, or a loaded magazine of the size of its mask, and a
//!   previous one that is none, or empty or full and of the same size.
//! - Without memory nothing changes but that a magazine stays empty, or an object goes to its slab.

use core::mem;

use super::budget;
use super::cache::Cache;
use super::comer::Comer;
use super::depot::List;
use super::policy;
use super::visit::Visit;
use crate::base::geometry::{class_of, rounds};
use crate::heap::HEAP;
use crate::heap::magazine::Magazine;
use crate::hooks;
use crate::sys::probe;

impl Visit<'_> {
    /// An empty magazine of a size, or none if there is no memory. Its quota is not set.
    #[inline(never)]
    pub(super) fn empty_magazine(&mut self, mask: usize) -> Magazine {
        let body = &mut **self.body;
        let empty = body.depot.take_empty(mask, &body.policy);
        empty.unwrap_or_else(|| HEAP.make_magazine(self.home(), class_of(mask)))
    }

    /// Gives a busy child one magazine of the next size for those it has, with all their rounds in
    /// it: it is not full. Nothing changes if it is not to have a larger one, or objects are sampled,
    /// or there is no memory. `takes` says that it has come to allocate. Returns who has come.
    pub(super) fn promote(&mut self, cache: &mut Cache, takes: bool) -> Comer {
        let mask = cache.mask();
        let comer = self.comer(cache);
        let quota = comer.quota;
        // If it takes both, it does not come for the second one: callers have the first one by then.
        let ahead = if takes && comer.exchanges_both() { rounds(mask) } else { 0 };
        let body = &**self.body;
        // What this child and others have in their magazines, callers do not.
        let others = (body.slabs.holders as usize).saturating_sub(1);
        let own = cache.rounds() + cache.previous.rounds(mask);
        let objects = body.in_use(own + 2 * rounds(mask) * others);
        let larger = body.policy.larger(mask, quota, objects + ahead, &body.geometry);
        let Some(larger_mask) = larger else { return comer };
        if hooks::is_sampling() {
            return comer;
        }
        self.check_link(List::Empty, larger_mask);
        let body = &mut **self.body;
        let empty = body.depot.take_empty(larger_mask, &body.policy);
        let make = || HEAP.make_magazine_if_plenty(self.home(), class_of(larger_mask));
        let larger = empty.unwrap_or_else(make);
        if larger.is_none() {
            return comer;
        }
        // SAFETY: the child's magazines are its own, and two of them have room in the next size.
        let quota = unsafe { self.enlarge(cache, larger, larger_mask, quota) };
        Comer { quota, in_a_row: 1 }
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
                if self.wants_full() {
                    self.keep_full(magazine, mask);
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

    /// Fills the loaded magazine of a cache, which is empty, as is its previous one; or both. They stay
    /// empty if there is no memory.
    pub(crate) fn reload(&mut self, cache: &mut Cache) {
        let mut comer = self.begin_to_give(cache);
        // SAFETY: the child's magazines are its own.
        unsafe {
            self.load(cache, &mut comer);
            comer.leave_to_allocate(cache);
        }
        self.note_kept();
    }

    /// What is done at first for a child that comes to allocate.
    #[inline(always)]
    pub(super) fn begin_to_give(&mut self, cache: &mut Cache) -> Comer {
        let objects = self.body.in_use(0);
        self.body.policy.note_taken(objects);
        self.reap();
        self.promote(cache, true)
    }

    /// Fills the loaded magazine of a cache, or both.
    ///
    /// # Safety
    /// The child's magazines are its own, and empty.
    pub(super) unsafe fn load(&mut self, cache: &mut Cache, comer: &mut Comer) {
        // SAFETY: the caller's promise.
        unsafe {
            if let Some((full, mask)) = self.take_full(cache.mask()) {
                self.exchange(cache, full, mask);
                if comer.exchanges_both() && self.take_another(cache) {
                    comer.raise(mask);
                }
            } else {
                if self.body.depot.has_full() {
                    let mask = cache.mask();
                    self.pour_smaller(&mut cache.loaded, mask);
                }
                if cache.is_empty() {
                    let most = policy::rounds_to_take(comer.quota, cache.mask());
                    cache.loaded.fill(most, |rounds| self.take(rounds));
                    probe::magazine_fill(self.owner(), cache.rounds(), most);
                    self.body.policy.note_wanted(cache.rounds());
                } else {
                    self.count_exchange(cache.mask(), true);
                }
            }
        }
        comer.raise(cache.mask());
    }

    /// Gives a cache a full magazine in place of its empty ones.
    ///
    /// # Safety
    /// The full one is of this mask and nobody else's, and the child's are its own and empty.
    #[inline(never)]
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

    /// Gives a cache another full magazine in place of its empty previous one. Returns false if the
    /// depot has none of that size.
    ///
    /// # Safety
    /// The child's magazines are its own, and the previous one is none or empty.
    unsafe fn take_another(&mut self, cache: &mut Cache) -> bool {
        let mask = cache.mask();
        if cache.previous.is_none() {
            return false;
        }
        let Some(full) = self.take_full_of(mask) else { return false };
        self.count_exchange(mask, true);
        let empty = mem::replace(&mut cache.previous, full);
        // SAFETY: the caller's promise.
        unsafe { self.keep_empty(empty, mask) }
        true
    }

    /// Gives a cache an empty loaded magazine in place of its full one, which becomes its previous
    /// one, or one that has some room; or two empty ones in place of two full ones; or a larger one in
    /// place of both. Returns false if there is no memory and nothing has changed.
    pub(crate) fn unload(&mut self, cache: &mut Cache) -> bool {
        self.check_link(List::Empty, cache.mask());
        let mut comer = self.promote(cache, false);
        let mask = cache.mask();
        if !cache.is_full() {
            return true;
        }
        let objects = self.body.in_use(2 * rounds(mask));
        self.body.policy.note_given(objects, rounds(mask));
        if self.demote(cache, objects) {
            return true;
        }
        // SAFETY: the child's magazines are its own, and the depot's that are drained are nobody's.
        unsafe {
            let empty = if cache.previous.is_none() || self.wants_full() {
                let empty = self.empty_magazine(mask);
                if !empty.is_none() && !cache.previous.is_none() {
                    self.count_exchange(mask, false);
                    self.keep_full(cache.previous, mask);
                    cache.previous = Magazine::NONE;
                }
                empty
            } else {
                Magazine::NONE
            };
            let empty = if !empty.is_none() {
                empty
            } else if !cache.previous.is_none() {
                let most = policy::STEPS_OF_A_DRAIN;
                let drained = self.drain_steps(&mut cache.previous, mask, most);
                self.body.policy.note_drained(drained);
                self.body.policy.note_not_given(rounds(mask) - drained);
                mem::replace(&mut cache.previous, Magazine::NONE)
            } else {
                return false;
            };
            cache.previous = mem::replace(&mut cache.loaded, empty);
            comer.raise(mask);
            if comer.exchanges_both() && self.give_another(cache) {
                comer.raise(mask);
            }
            self.drain_excess(policy::DRAINED_AT_AN_EXCHANGE);
            self.reap();
            comer.leave_to_free(cache);
            self.note_kept();
            true
        }
    }

    /// Gives a cache another empty magazine in place of its full previous one. Returns false if the
    /// depot does not want that, or there is no memory.
    ///
    /// # Safety
    /// The child's magazines are its own, and the previous one is full.
    unsafe fn give_another(&mut self, cache: &mut Cache) -> bool {
        let mask = cache.mask();
        if !self.wants_full() {
            return false;
        }
        self.check_link(List::Empty, mask);
        let empty = self.empty_magazine(mask);
        if empty.is_none() {
            return false;
        }
        self.count_exchange(mask, false);
        self.body.policy.note_another_given(rounds(mask));
        let full = mem::replace(&mut cache.previous, empty);
        // SAFETY: the caller's promise.
        unsafe { self.keep_full(full, mask) }
        true
    }

    /// Whether the depot is to keep a further full magazine.
    #[inline(never)]
    fn wants_full(&self) -> bool {
        let full = self.body.depot.full_rounds();
        self.body.policy.wants_full(full, self.body.slabs.out(), budget::has_room())
    }

    /// Keeps a full magazine.
    ///
    /// # Safety
    /// It is a full one of this parent, and nobody else uses it.
    #[inline(never)]
    unsafe fn keep_full(&mut self, full: Magazine, mask: usize) {
        let body = &mut **self.body;
        // SAFETY: the caller's promise.
        unsafe { body.depot.keep_full(full, mask, &body.policy) }
    }

    pub(super) fn count_exchange(&mut self, mask: usize, to_child: bool) {
        probe::magazine_exchange(self.owner(), rounds(mask), u32::from(to_child));
        self.body.exchanges = self.body.exchanges.wrapping_add(1);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::ffi::c_void;
    use core::mem::MaybeUninit;

    use super::*;
    use crate::heap::chunk::slab_of;
    use crate::pool::child::ChildPool;
    use crate::pool::parent::ParentPool;

    /// Of these a busy child has 511 in a magazine.
    const SMALL: u32 = 16;
    /// So many that other users have that the depot wants ten magazines, whatever other pools keep.
    const OTHERS: usize = 40_000;

    /// A child with magazines of the largest size, of a pool of which others use [`OTHERS`], and which has
    /// ten full ones in its depot.
    struct Busy<'a> {
        parent: &'a ParentPool,
        child: *mut ChildPool,
        objects: Vec<*mut c_void>,
    }

    impl Busy<'_> {
        /// Calls `test` with one.
        fn with(test: impl FnOnce(&mut Busy<'_>)) {
            let mut parent = MaybeUninit::<ParentPool>::uninit();
            let mut children = [const { MaybeUninit::<ChildPool>::uninit() }; 2];
            let [child, other] = children.each_mut().map(|child| child.as_mut_ptr());
            // SAFETY: the pool, its children and their objects are the test's alone.
            unsafe {
                ParentPool::create(parent.as_mut_ptr(), SMALL, 64);
                for child in [child, other] {
                    ChildPool::create(child, parent.as_ptr());
                }
                let others: Vec<_> = (0..OTHERS).map(|_| ChildPool::alloc(other)).collect();
                let mut busy = Busy { parent: &*parent.as_ptr(), child, objects: Vec::new() };
                let largest =
                    busy.parent.pool_or_new().expect("memory").lock().policy.largest_mask();
                while busy.cache().mask() < largest {
                    busy.go(1000);
                    busy.go(-1000);
                }
                busy.go(12 * busy.rounds());
                busy.go(-12 * busy.rounds());
                test(&mut busy);
                busy.go(-(busy.objects.len() as isize));
                others.into_iter().for_each(|object| ChildPool::free(other, object));
                for child in [child, other] {
                    ChildPool::destroy(child);
                }
                ParentPool::destroy(parent.as_mut_ptr());
            }
        }

        fn cache(&self) -> &Cache {
            // SAFETY: the child is the test's alone.
            unsafe { &(*self.child).cache }
        }

        /// Rounds of a magazine.
        fn rounds(&self) -> isize {
            rounds(self.cache().mask()) as isize
        }

        /// What the child holds.
        fn level(&self) -> isize {
            let cache = self.cache();
            (cache.rounds() + cache.previous.rounds(cache.mask())) as isize
        }

        /// Allocates so many objects, or frees so many of them.
        fn go(&mut self, count: isize) {
            // SAFETY: the child and its objects are the test's alone.
            unsafe {
                for _ in 0..count {
                    self.objects.push(ChildPool::alloc(self.child));
                }
                for _ in count..0 {
                    ChildPool::free(self.child, self.objects.pop().expect("an object"));
                }
            }
        }

        /// How many times the child comes to the parent when it does that: so many times what it holds
        /// is not one less or more than before.
        fn visits(&mut self, counts: &[isize]) -> u32 {
            let mut visits = 0;
            for &count in counts {
                for _ in 0..count.abs() {
                    let level = self.level() - count.signum();
                    self.go(count.signum());
                    visits += u32::from(self.level() != level);
                }
            }
            visits
        }

        /// How many times it would if it exchanged one magazine each time.
        fn visits_one_by_one(&self, counts: &[isize]) -> u32 {
            let (rounds, mut level, mut visits) = (self.rounds(), self.level(), 0);
            for &count in counts {
                for _ in 0..count.abs() {
                    let end = if count > 0 { 0 } else { 2 * rounds };
                    if level == end {
                        (level, visits) = (rounds, visits + 1);
                    }
                    level -= count.signum();
                }
            }
            visits
        }
    }

    #[test]
    fn a_child_that_goes_on_in_one_direction_comes_once_in_two_magazines() {
        Busy::with(|busy| {
            let magazines = 9;
            for direction in [1, -1, 1, -1] {
                let run = [direction * magazines * busy.rounds()];
                let one_by_one = busy.visits_one_by_one(&run);
                let visits = busy.visits(&run);
                assert!(one_by_one >= magazines as u32 - 2);
                assert!(visits <= 2 + one_by_one.saturating_sub(2).div_ceil(2), "{visits}");
            }
        });
    }

    #[test]
    fn a_child_that_goes_up_and_down_comes_no_more_often_than_with_one_magazine_each_time() {
        Busy::with(|busy| {
            let rounds = busy.rounds();
            for range in [5, rounds, 3 * rounds / 2, 7 * rounds / 4, 2 * rounds] {
                for start in 0..20 {
                    // It may come from either end, and from anywhere between them.
                    let away = [5 * rounds + start * rounds / 10, start * rounds / 10];
                    busy.go(away[0]);
                    busy.go(-away[1]);
                    busy.go(range);
                    busy.go(-range);
                    let run: Vec<isize> = [range, -range].repeat(20);
                    let one_by_one = busy.visits_one_by_one(&run);
                    let visits = busy.visits(&run);
                    assert!(visits <= one_by_one, "{visits}, {one_by_one} for {range} at {start}");
                    busy.go(away[1] - away[0]);
                }
            }
        });
    }

    #[test]
    fn a_magazine_is_drained_in_steps_of_one_slab_each() {
        Busy::with(|busy| {
            let pool = busy.parent.pool().expect("objects");
            let mut visit = Visit::begin(pool, "a test");
            let (mut full, mask) = visit.take_full(busy.cache().mask()).expect("a full magazine");
            // SAFETY: the magazine was the depot's, whose objects have slabs.
            unsafe {
                let before = full.contents(mask).to_vec();
                let mut left = before.len();
                while left != 0 {
                    let out = visit.body.slabs.out();
                    let drained = visit.drain_steps(&mut full, mask, 1);
                    assert_eq!(visit.body.slabs.out(), out - drained);
                    let step = &before[left - drained..left];
                    assert!(step.iter().all(|&round| slab_of(round) == slab_of(step[0])));
                    left -= drained;
                    assert_eq!(*full.contents(mask), before[..left]);
                }
                assert!(full.is_empty(mask));
                visit.keep_empty(full, mask);
            }
        });
    }

    #[test]
    fn who_takes_over_a_magazine_has_the_quota_of_the_one_before() {
        Busy::with(|busy| {
            let rounds = busy.rounds();
            for count in [6 * rounds + rounds / 2, 5 * rounds, -6 * rounds - rounds / 2, -rounds] {
                busy.go(count);
                // SAFETY: the child is the test's alone, and has magazines as it has come.
                unsafe {
                    ChildPool::destroy(busy.child);
                    ChildPool::create(busy.child, busy.parent);
                    busy.go(1);
                    let (loaded, mask) = (busy.cache().loaded, busy.cache().mask());
                    assert!(!loaded.is_none());
                    assert_eq!(loaded.quota(mask), rounds as usize, "after {count}");
                }
            }
        });
    }
}
