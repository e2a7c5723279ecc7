// SPDX-License-Identifier: MIT
//! What the last child of a pool leaves for the next one: in the heap, or, from the second time on, in
//! the pool.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mesa_slab::abi::ext::*;
use mesa_slab::abi::slab::*;

/// The heap keeps kits for all pools, so that only one test may run at a time.
static ONE_TEST: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_TEST.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Pool {
    parent: Box<MaybeUninit<slab_parent_pool>>,
}

impl Pool {
    fn new(item_size: u32, num_items: u32) -> Pool {
        let mut parent = Box::new(MaybeUninit::uninit());
        // SAFETY: the memory is the pool's own.
        unsafe { slab_create_parent(parent.as_mut_ptr(), item_size, num_items) };
        Pool { parent }
    }

    fn address(&mut self) -> *mut slab_parent_pool {
        self.parent.as_mut_ptr()
    }

    /// Runs `life` with a child that lives for it alone.
    fn with_child<T>(&mut self, life: impl FnOnce(*mut slab_child_pool) -> T) -> T {
        let mut child = MaybeUninit::uninit();
        // SAFETY: the pool exists, and the child is used by this thread alone.
        unsafe {
            slab_create_child(child.as_mut_ptr(), self.address());
            let result = life(child.as_mut_ptr());
            slab_destroy_child(child.as_mut_ptr());
            result
        }
    }

    /// A life of a few objects that come back.
    fn short_life(&mut self) -> *mut c_void {
        // SAFETY: the child is this thread's.
        self.with_child(|child| unsafe {
            let objects = [slab_alloc(child), slab_alloc(child), slab_alloc(child)];
            assert!(objects.iter().all(|object| !object.is_null()));
            objects.into_iter().for_each(|object| slab_free(child, object));
            objects[0]
        })
    }

    fn stats(&mut self) -> slab_parent_stats {
        // SAFETY: all zeroes is a valid value; the pool exists.
        unsafe {
            let mut stats: slab_parent_stats = MaybeUninit::zeroed().assume_init();
            stats.struct_size = size_of::<slab_parent_stats>();
            assert_eq!(slab_get_parent_stats(self.address(), &mut stats), 0);
            assert_eq!(slab_validate(self.address()), 0);
            stats
        }
    }

    /// How many slabs a pool without children keeps, and that no object is missing there.
    fn kept_slabs(&mut self) -> usize {
        let stats = self.stats();
        assert_eq!((stats.children, stats.objects_out), (0, stats.objects_in_depot));
        stats.slabs_full + stats.slabs_partial + stats.slabs_empty
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: nobody uses the pool any more.
        unsafe { slab_destroy_parent(self.address()) }
    }
}

#[test]
fn a_pool_whose_only_child_goes_again_keeps_one_slab_for_the_next() {
    let _alone = alone();
    for (size, hint) in [(96, 64), (1000, 16), (66_632, 4)] {
        let mut pool = Pool::new(size, hint);
        let first = pool.short_life();
        assert_eq!(pool.kept_slabs(), 0, "it is in the heap, for the child of any pool");
        for _ in 0..3 {
            let again = pool.short_life();
            assert!(again.addr().abs_diff(first.addr()) < pool.stats().slab_bytes, "{size}");
            assert_eq!(pool.kept_slabs(), 1);
        }
        // SAFETY: the pool exists.
        unsafe { slab_trim_parent(pool.address()) };
        assert_eq!(pool.kept_slabs(), 0);
    }
}

#[test]
fn a_pool_of_which_objects_are_in_use_or_many_were_keeps_nothing_for_the_next_child() {
    let _alone = alone();
    let mut pool = Pool::new(96, 64);
    let mut used = Vec::new();
    for _ in 0..3 {
        // SAFETY: the child is this thread's.
        used.push(pool.with_child(|child| unsafe { slab_alloc(child) }));
        assert_eq!(pool.stats().objects_out, used.len());
    }
    pool.with_child(|child| {
        // SAFETY: as above; they are the pool's objects.
        used.into_iter().for_each(|object| unsafe { slab_free(child, object) });
    });
    assert_eq!(pool.kept_slabs(), 0, "it could have kept something for the first time");
    pool.short_life();
    assert_eq!(pool.kept_slabs(), 1);
    for _ in 0..3 {
        pool.with_child(|child| {
            // SAFETY: as above.
            let objects: Vec<_> = (0..10_000).map(|_| unsafe { slab_alloc(child) }).collect();
            // SAFETY: as above.
            objects.into_iter().for_each(|object| unsafe { slab_free(child, object) });
        });
        assert_eq!(pool.kept_slabs(), 0);
    }
}

#[test]
fn pools_without_children_do_not_keep_much_together() {
    let _alone = alone();
    slab_trim_heap();
    let mut pools: Vec<Pool> = (0..20).map(|_| Pool::new(66_632, 4)).collect();
    for pool in &mut pools {
        pool.short_life();
        pool.short_life();
    }
    let kept: usize =
        pools.iter_mut().map(|pool| pool.kept_slabs() * pool.stats().slab_bytes).sum();
    assert!(kept > 0 && kept <= 2 << 20, "{kept}");
    // What one had others may have once it has ended.
    drop(pools);
    let mut pool = Pool::new(66_632, 4);
    pool.short_life();
    pool.short_life();
    assert_eq!(pool.kept_slabs(), 1);
}

/// Bytes of slabs: of objects, and of magazines and kits.
fn slab_bytes() -> [usize; 2] {
    // SAFETY: all zeroes is a valid value.
    unsafe {
        let mut stats: slab_heap_stats = MaybeUninit::zeroed().assume_init();
        stats.struct_size = size_of::<slab_heap_stats>();
        slab_get_heap_stats(&mut stats);
        [stats.object_slabs, stats.magazine_slabs]
    }
}

#[test]
fn if_the_heap_is_to_keep_nothing_it_keeps_no_kit() {
    let _alone = alone();
    let before = slab_set_decay(0);
    let mut pool = Pool::new(96, 64);
    pool.short_life();
    let without = slab_bytes();
    slab_set_decay(before);
    pool.short_life();
    let with = slab_bytes();
    assert!(with[0] == without[0] && with[1] > without[1], "{without:?}, {with:?}");
    pool.short_life();
    assert_eq!(pool.kept_slabs(), 1);
    slab_set_decay(0);
    assert_eq!(pool.kept_slabs(), 0);
    assert_eq!(slab_bytes()[0], without[0]);
    for _ in 0..3 {
        pool.short_life();
        assert_eq!((slab_bytes(), pool.kept_slabs()), (without, 0));
    }
    slab_set_decay(before);
}

/// Children of all these pools that live at the same time, each for one object. Returns the objects.
fn overlapping_lives(pools: &mut [Pool]) -> Vec<*mut c_void> {
    let mut children: Vec<_> = pools.iter().map(|_| MaybeUninit::uninit()).collect();
    let mut objects = Vec::new();
    for (pool, child) in pools.iter_mut().zip(&mut children) {
        // SAFETY: the pool exists, and the child is used by this thread alone.
        unsafe {
            slab_create_child(child.as_mut_ptr(), pool.address());
            objects.push(slab_alloc(child.as_mut_ptr()));
        }
    }
    for (child, &object) in children.iter_mut().zip(&objects) {
        // SAFETY: as above; it is the child's object.
        unsafe {
            slab_free(child.as_mut_ptr(), object);
            slab_destroy_child(child.as_mut_ptr());
        }
    }
    objects.sort();
    objects
}

#[test]
fn pools_that_overlap_leave_one_each() {
    let _alone = alone();
    slab_trim_heap();
    let mut pools: Vec<Pool> = (0..4).map(|_| Pool::new(96, 64)).collect();
    let objects = overlapping_lives(&mut pools);
    let held = slab_bytes();
    for _ in 0..2 {
        // In the heap, and then in the pools.
        assert_eq!(overlapping_lives(&mut pools), objects);
        assert_eq!(slab_bytes().iter().sum::<usize>(), held.iter().sum());
    }
    slab_trim_heap();
    assert!(slab_bytes().iter().sum::<usize>() < held.iter().sum());
}

#[test]
fn a_pool_at_the_same_address_with_other_objects_does_not_get_it() {
    let _alone = alone();
    let mut pool = Pool::new(96, 64);
    for size in [96, 40, 200, 8, 96] {
        pool.short_life();
        // SAFETY: nobody else uses the pool; the old one is not destroyed, on purpose.
        unsafe { slab_create_parent(pool.address(), size, 64) };
        let objects = pool.with_child(|child| {
            // SAFETY: the child is this thread's.
            let alloc = |_| unsafe { slab_alloc(child).addr() };
            let mut objects: Vec<_> = (0..300).map(alloc).collect();
            objects.sort_unstable();
            objects
        });
        assert!(objects.windows(2).all(|pair| pair[1] - pair[0] >= size as usize), "{size}");
    }
}

#[test]
fn an_object_in_use_is_not_given_away_because_another_was_freed_twice() {
    let _alone = alone();
    let mut pool = Pool::new(96, 64);
    // SAFETY: the children are this thread's; the second free is the misuse under test.
    unsafe {
        let used = pool.with_child(|child| {
            let (freed, used) = (slab_alloc(child), slab_alloc(child));
            // Everything that the child has cached is taken, so that all that is out is what it
            // gets back.
            let cached: Vec<_> = (0..6).map(|_| slab_alloc(child)).collect();
            assert_eq!(pool_objects_out(child), 8);
            slab_free(child, freed);
            slab_free(child, freed);
            for object in cached {
                slab_free(child, object);
            }
            used
        });
        used.cast::<u64>().write(0x1234_5678);
        let other = Pool::new(96, 64).short_life();
        assert_ne!(other, used, "the slab was given away");
        pool.with_child(|child| {
            for _ in 0..300 {
                let object = slab_zalloc(child);
                assert_ne!(object, used);
            }
        });
        assert_eq!(used.cast::<u64>().read(), 0x1234_5678);
    }
}

fn pool_objects_out(child: *mut slab_child_pool) -> usize {
    // SAFETY: the child exists, and so its parent; all zeroes is a valid value.
    unsafe {
        let mut stats: slab_parent_stats = MaybeUninit::zeroed().assume_init();
        stats.struct_size = size_of::<slab_parent_stats>();
        assert_eq!(slab_get_parent_stats((*child).parent, &mut stats), 0);
        stats.objects_out
    }
}

#[test]
fn children_of_many_pools_come_and_go_in_turns() {
    let _alone = alone();
    let mut pools: Vec<Pool> = (1..10).map(|words| Pool::new(words * 24, 64)).collect();
    for round in 0..1000 {
        let pool = &mut pools[round * 7 % 9];
        pool.short_life();
        if round % 3 == 0 {
            pool.short_life();
        }
        assert!(pool.kept_slabs() <= 1);
    }
}
