// SPDX-License-Identifier: MIT
//! Many objects in one call, and objects that are put by for later calls.
//!
//! | call | as | but |
//! |---|---|---|
//! | [`ChildPool::alloc_bulk`] | so many calls of [`ChildPool::alloc`] | a magazine's rounds are copied as a run; what its caller needs at least comes in one visit to the parent, in whole magazines of the depot and straight from slabs |
//! | [`ChildPool::free_bulk`] | so many calls of [`ChildPool::free`] | the loaded magazine is looked at once for a run of objects |
//! | [`ChildPool::prefill`] | no call | the magazines are filled, and exchanged for larger ones if need be |
//!
//! What is said of a cache in [`super::exchange`] holds here, too: the previous magazine is none,
//! empty or full. So a cache holds two magazines' worth at most, and what it holds can be allocated
//! without its parent.
//!
//! In pools with modes, and while objects are sampled, an object at a time goes the way that it goes
//! without these.

use core::mem::MaybeUninit;
use core::ptr;

use super::cache::Cache;
use super::child::{
    ChildPool, alloc_far, finds_more, free_slow, has_more, owner_on_free, time_to_exchange,
};
use super::comer::Comer;
use super::depot::List;
use super::policy;
use super::visit::Visit;
use crate::base::geometry::rounds;
use crate::hooks;

/// Room for objects that are yet to be written.
type Places<'a> = &'a mut [MaybeUninit<*mut u8>];

impl ChildPool {
    /// Allocates as many objects as there are places, and writes them there from the first place on.
    /// Returns how many: fewer if there is no memory, or no pool.
    ///
    /// # Safety
    /// As for [`ChildPool::alloc`].
    pub(crate) unsafe fn alloc_bulk(this: *mut ChildPool, places: Places<'_>) -> usize {
        // SAFETY: the caller's promise.
        let child = unsafe { &mut *this };
        let wanted = places.len();
        let mut left = places;
        loop {
            let taken = child.cache.pop_into(left);
            left = &mut left[taken..];
            if left.is_empty() {
                return wanted;
            }
            if child.cache.can_swap_to_alloc() && !hooks::is_sampling() {
                child.cache.swap();
                continue;
            }
            // SAFETY: the caller's promise.
            let taken = unsafe { alloc_bulk_far(child, left) };
            left = &mut left[taken..];
            // SAFETY: the caller's promise.
            if left.is_empty() || taken == 0 && !unsafe { finds_more(child) } {
                return wanted - left.len();
            }
        }
    }

    /// Frees objects, or nulls.
    ///
    /// # Safety
    /// As for [`ChildPool::free`], for each of them.
    pub(crate) unsafe fn free_bulk(this: *mut ChildPool, objects: &[*mut u8]) {
        // SAFETY: the caller's promise; an object lies in a chunk.
        unsafe {
            let child = &mut *this;
            let parent = child.parent.addr();
            let mut left = objects;
            loop {
                let mut loaded = child.cache.loaded;
                let room = rounds(child.cache.mask()) - child.cache.rounds();
                let run = left[..room.min(left.len())]
                    .iter()
                    .take_while(|object| !object.is_null() && owner_on_free(**object) == parent)
                    .inspect(|object| loaded.push(**object))
                    .count();
                child.cache.loaded = loaded;
                let [object, others @ ..] = &left[run..] else { return };
                free_slow(child, *object);
                left = others;
            }
        }
    }

    /// Puts by so many objects that can be allocated without the parent, and returns how many of them
    /// there are: fewer if there is no memory for more, or if the child cannot have as many.
    ///
    /// # Safety
    /// As for [`ChildPool::alloc`].
    pub(crate) unsafe fn prefill(this: *mut ChildPool, count: usize) -> usize {
        const FUNCTION: &str = "slab_prefill";
        // SAFETY: the caller's promise; the child's magazines are its own.
        unsafe {
            let child = &mut *this;
            let mut missed = false;
            while child.cache.at_hand() < count {
                let before = child.cache.at_hand();
                if let Some(parent) = child.live_parent() {
                    let cache = &mut child.cache;
                    parent.visit(FUNCTION, |visit| {
                        // One with modes is uncached.
                        if !cache.is_none() || visit.equip(cache) {
                            visit.put_by(cache, count);
                        }
                    });
                }
                // It may be that the child cannot have more.
                let stuck = child.cache.at_hand() == before;
                if stuck && missed || !has_more(child) {
                    break;
                }
                missed = stuck;
            }
            child.cache.at_hand().min(count)
        }
    }
}

impl Cache {
    /// How many objects can be allocated without the parent. While objects are sampled, each swap of
    /// magazines may draw one, which takes a lock.
    fn at_hand(&self) -> usize {
        let previous = if hooks::is_sampling() { 0 } else { self.previous.rounds(self.mask()) };
        self.rounds() + previous
    }
}

/// Allocates some of so many objects when no magazine of the child's has any: at least one, unless
/// there is no memory, or no pool. Writes them to the first places, and returns how many they are.
///
/// # Safety
/// As for [`ChildPool::alloc`].
#[cold]
#[inline(never)]
unsafe fn alloc_bulk_far(child: &mut ChildPool, places: Places<'_>) -> usize {
    const FUNCTION: &str = "slab_alloc_bulk";
    // SAFETY: the caller's promise; the child's magazines are its own.
    unsafe {
        let parent = child.live_parent();
        if let Some(parent) = parent.filter(|_| !hooks::is_sampling()) {
            let cache = &mut child.cache;
            let now = time_to_exchange(cache);
            let taken = parent.visit(FUNCTION, |visit| {
                visit.surplus.set_now(now);
                if !parent.modes.get().is_empty() {
                    None
                } else if cache.is_none() && !visit.equip(cache) {
                    Some(visit.take_all(places))
                } else {
                    Some(visit.supply(cache, places))
                }
            });
            match taken {
                Some(Some(taken)) => return taken,
                Some(None) => {}
                None => return 0,
            }
        }
        let object = alloc_far(child, None).cast::<u8>();
        if object.is_null() {
            return 0;
        }
        let place = ptr::from_mut(places[0].write(object));
        hooks::initialised(place.cast(), size_of::<*mut u8>());
        1
    }
}

impl Visit<'_> {
    /// Takes objects from slabs, as many as there are places, and returns how many: fewer if there is
    /// no memory. Slabs are made for all of them, as they were all asked for. They come in the order in
    /// which a magazine would hand them out.
    fn take_all(&mut self, places: Places<'_>) -> usize {
        places.iter_mut().for_each(|place| {
            place.write(ptr::null_mut());
        });
        // SAFETY: they were just written.
        let objects = unsafe { &mut *(ptr::from_mut(places) as *mut [*mut u8]) };
        let mut taken = 0;
        while let left @ [_, ..] = &mut objects[taken..] {
            let more = self.take(left);
            if more == 0 {
                break;
            }
            left[..more].reverse();
            self.hand_out(&objects[taken..taken + more]);
            taken += more;
        }
        // Slabs fill the places from the end, before they are moved to where they belong.
        objects[taken..].fill(ptr::null_mut());
        taken
    }

    /// Gives a child as many objects as there are places, and returns how many: fewer if there is no
    /// memory.
    ///
    /// # Safety
    /// The cache has magazines of this parent, and the previous one is none or empty.
    unsafe fn supply(&mut self, cache: &mut Cache, places: Places<'_>) -> usize {
        let mut comer = self.begin_to_give(cache);
        let wanted = places.len();
        // SAFETY: the caller's promise.
        let left = unsafe {
            let left = self.supply_from_all(cache, &mut comer, places);
            comer.raise(cache.mask());
            comer.leave_to_allocate(cache);
            left
        };
        self.note_kept();
        wanted - left
    }

    /// The same from the child's magazine, the depot and slabs. If it needs few, its magazine is filled
    /// with more. Returns how many are missing.
    ///
    /// # Safety
    /// As above.
    unsafe fn supply_from_all(
        &mut self,
        cache: &mut Cache,
        comer: &mut Comer,
        mut left: Places<'_>,
    ) -> usize {
        loop {
            let taken = cache.pop_into(left);
            left = &mut left[taken..];
            if left.is_empty() {
                return 0;
            }
            // SAFETY: the caller's promise: the magazines are empty now, and what was the depot's is
            // nobody's.
            unsafe {
                if left.len() < policy::rounds_to_take(comer.quota, cache.mask()) {
                    self.load(cache, comer);
                    if cache.is_empty() {
                        return left.len();
                    }
                    continue;
                }
                match self.take_full(cache.mask()) {
                    Some((mut full, mask)) if rounds(mask) <= left.len() => {
                        let taken = full.pop_into(mask, left);
                        left = &mut left[taken..];
                        self.count_exchange(mask, true);
                        self.keep_empty(full, mask);
                    }
                    Some((full, mask)) => self.exchange(cache, full, mask),
                    None => {
                        if self.body.depot.has_full() {
                            let mask = cache.mask();
                            self.pour_smaller(&mut cache.loaded, mask);
                            if !cache.is_empty() {
                                continue;
                            }
                        }
                        let taken = self.take_all(left);
                        self.body.policy.note_wanted(taken);
                        return left.len() - taken;
                    }
                }
            }
        }
    }

    /// Fills the magazines of a cache until it has `count` objects, in larger ones if these cannot hold
    /// as many. It gets as many as there is memory for, and as magazines hold. While objects are sampled
    /// that is the loaded one.
    ///
    /// # Safety
    /// The cache has magazines of this parent.
    unsafe fn put_by(&mut self, cache: &mut Cache, count: usize) {
        let objects = self.body.in_use(cache.at_hand());
        self.body.policy.note_taken(objects);
        self.reap();
        let quota = self.promote(cache, false).quota;
        let both = !hooks::is_sampling();
        let largest = self.body.policy.largest_mask();
        let enough = |mask: &usize| 2 * rounds(*mask) >= count;
        let wanted = self.body.policy.masks().into_iter().find(enough).unwrap_or(largest);
        // SAFETY: the caller's promise; the child's magazines are its own, and two of them have room
        // in a larger one.
        unsafe {
            if both && wanted > cache.mask() {
                self.check_link(List::Empty, wanted);
                let larger = self.empty_magazine(wanted);
                if !larger.is_none() {
                    self.enlarge(cache, larger, wanted, quota);
                }
            }
            let full = rounds(cache.mask());
            let aside = cache.at_hand() - cache.rounds();
            self.top_up(cache, count.saturating_sub(aside).min(full));
            // The previous magazine is to be full before the loaded one is filled again.
            if both && cache.is_full() && count > cache.at_hand() && self.set_full_one_aside(cache)
            {
                self.top_up(cache, (count - full).min(full));
            }
        }
        self.note_kept();
    }

    /// Makes the full loaded magazine the previous one, and an empty one the loaded one. Returns false
    /// if both are full, or there is no memory.
    ///
    /// # Safety
    /// The cache has magazines of this parent, and the loaded one is full.
    unsafe fn set_full_one_aside(&mut self, cache: &mut Cache) -> bool {
        let mask = cache.mask();
        if cache.previous.is_none() {
            let empty = self.empty_magazine(mask);
            if empty.is_none() {
                return false;
            }
            // SAFETY: the magazines are the child's own.
            unsafe { empty.set_quota(mask, cache.loaded.quota(mask)) };
            cache.previous = empty;
        } else if !cache.previous.is_empty(mask) {
            return false;
        }
        cache.swap();
        true
    }

    /// Fills the loaded magazine of a cache to so many rounds, or to more, with what lies in the depot,
    /// and else from slabs. It stays as it is if there is no memory.
    ///
    /// # Safety
    /// The cache has magazines of this parent, which can hold as many.
    unsafe fn top_up(&mut self, cache: &mut Cache, count: usize) {
        while let Some(missing @ 1..) = count.checked_sub(cache.rounds()) {
            let mask = cache.mask();
            // SAFETY: the child's magazines are its own, and what was the depot's is nobody's.
            unsafe {
                if let Some((mut filled, filled_mask)) = self.take_filled() {
                    cache.loaded.pour(mask, &mut filled, filled_mask);
                    self.drain(&mut filled, filled_mask);
                    self.keep_empty(filled, filled_mask);
                    continue;
                }
                let before = cache.rounds();
                cache.loaded.fill(missing, |rounds| self.take(rounds));
                let taken = cache.rounds() - before;
                self.body.policy.note_wanted(taken);
                if taken == 0 {
                    return;
                }
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::heap::HEAP;
    use crate::pool::parent::ParentPool;

    /// Calls `test` with a pool of such objects and a child of it.
    fn with_pool(item_size: u32, test: impl FnOnce(&ParentPool, *mut ChildPool)) {
        let mut parent = MaybeUninit::<ParentPool>::uninit();
        let mut child = MaybeUninit::<ChildPool>::uninit();
        // SAFETY: the pool and its child are the test's alone.
        unsafe {
            ParentPool::create(parent.as_mut_ptr(), item_size, 64);
            ChildPool::create(child.as_mut_ptr(), parent.as_ptr());
            test(&*parent.as_ptr(), child.as_mut_ptr());
            ChildPool::destroy(child.as_mut_ptr());
            ParentPool::destroy(parent.as_mut_ptr());
        }
    }

    #[test]
    fn what_is_put_by_is_allocated_while_the_pool_and_the_heap_are_locked() {
        for (item_size, count) in
            [(96, 1), (96, 127), (96, 200), (96, 1022), (4096, 300), (9000, 2)]
        {
            with_pool(item_size, |parent, child| {
                let mut objects = vec![ptr::null_mut::<u8>(); count];
                // SAFETY: the child and its objects are the test's alone.
                unsafe {
                    assert_eq!(ChildPool::prefill(child, count), count, "{item_size}");
                    let body = parent.pool().expect("it has objects").lock();
                    // Who waits for the pool now waits for ever, and who holds the heap's lock takes
                    // none (asserted in debug builds).
                    HEAP.with_state(|_| {
                        let (single, rest) = objects.split_at_mut(count / 2);
                        for (index, object) in single.iter_mut().enumerate() {
                            *object = match index % 2 {
                                0 => ChildPool::alloc(child).cast(),
                                _ => ChildPool::zalloc(child).cast(),
                            };
                        }
                        let places = &mut *(ptr::from_mut(rest) as *mut [MaybeUninit<*mut u8>]);
                        assert_eq!(ChildPool::alloc_bulk(child, places), rest.len());
                    });
                    drop(body);
                    let mut sorted = objects.clone();
                    sorted.sort();
                    assert!(!sorted[0].is_null() && sorted.is_sorted_by(|a, b| a < b));
                    ChildPool::free_bulk(child, &objects);
                }
            });
        }
    }

    #[test]
    fn a_child_caches_so_many_objects_at_most() {
        for item_size in [8, 256, 257, 4096, 8192, 66_632, 300_000] {
            with_pool(item_size, |parent, child| {
                let most = parent.numbers().objects_per_child;
                // SAFETY: the child is the test's alone.
                unsafe {
                    assert_eq!(ChildPool::prefill(child, usize::MAX), most, "{item_size}");
                    assert_eq!(ChildPool::trim(child), most * parent.numbers().element_size);
                }
            });
        }
    }
}
