// SPDX-License-Identifier: MIT
//! Pools that nobody uses give way when another one makes the heap grow.
//!
//! One test only: what all pools of the process keep counts together.

use core::mem::MaybeUninit;

use mesa_slab::abi::ext::*;
use mesa_slab::abi::slab::*;

const ITEM_SIZE: u32 = 1000;
const OBJECTS: usize = 3000;

struct Pool {
    parent: MaybeUninit<slab_parent_pool>,
    child: MaybeUninit<slab_child_pool>,
    objects: Vec<*mut core::ffi::c_void>,
}

impl Pool {
    fn create() -> Box<Pool> {
        let mut pool = Box::new(Pool {
            parent: MaybeUninit::uninit(),
            child: MaybeUninit::uninit(),
            objects: Vec::new(),
        });
        // SAFETY: a box stays where it is.
        unsafe {
            slab_create_parent(pool.parent.as_mut_ptr(), ITEM_SIZE, 64);
            slab_create_child(pool.child.as_mut_ptr(), pool.parent.as_mut_ptr());
        }
        pool
    }

    fn fill(&mut self) {
        let child = self.child.as_mut_ptr();
        // SAFETY: the child exists.
        self.objects = (0..OBJECTS).map(|_| unsafe { slab_alloc(child) }).collect();
        assert!(self.objects.iter().all(|object| !object.is_null()));
    }

    fn empty(&mut self) {
        for object in self.objects.drain(..) {
            // SAFETY: the objects are the child's, and freed once.
            unsafe { slab_free(self.child.as_mut_ptr(), object) };
        }
    }

    fn in_depot(&mut self) -> usize {
        let mut stats = MaybeUninit::<slab_parent_stats>::zeroed();
        // SAFETY: all zeroes are statistics; the pool exists.
        unsafe {
            (*stats.as_mut_ptr()).struct_size = size_of::<slab_parent_stats>();
            slab_get_parent_stats(self.parent.as_mut_ptr(), stats.as_mut_ptr());
            stats.assume_init().objects_in_depot
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.empty();
        // SAFETY: both exist, and nobody else uses them.
        unsafe {
            slab_destroy_child(self.child.as_mut_ptr());
            slab_destroy_parent(self.parent.as_mut_ptr());
        }
    }
}

#[test]
fn a_pool_that_is_not_used_gives_way_to_one_that_grows() {
    let mut sleeper = Pool::create();
    // What was given up and is wanted again is kept from then on.
    for _ in 0..20 {
        sleeper.fill();
        sleeper.empty();
    }
    let kept = sleeper.in_depot();
    assert!(kept > OBJECTS / 2, "alone, it loses nothing: {kept}");

    // Each fill asks for as much as the sleeper keeps. At the first it may have been used just now.
    let mut growing: Vec<_> = (0..4).map(|_| Pool::create()).collect();
    growing.iter_mut().for_each(|pool| pool.fill());
    let kept = sleeper.in_depot();
    assert!(kept < OBJECTS / 10, "{kept} objects are kept");

    sleeper.fill();
    sleeper.empty();
    assert!(growing.iter().all(|pool| pool.objects.len() == OBJECTS));
}
