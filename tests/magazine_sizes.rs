// SPDX-License-Identifier: MIT
//! A child goes on with larger magazines as it needs them, and stays with them.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use mesa_slab::abi::ext::*;
use mesa_slab::abi::slab::*;

/// Allocates and frees so many objects at a time, many times. Returns how many exchanges with the
/// depot the last time took, and how many objects are in the depot then.
fn batches(item_size: u32, count: usize) -> (usize, usize) {
    let mut parent = MaybeUninit::<slab_parent_pool>::uninit();
    let mut child = MaybeUninit::<slab_child_pool>::uninit();
    let mut stats = MaybeUninit::<slab_parent_stats>::zeroed();
    let mut exchanges = [0; 2];
    // SAFETY: the pool and its child exist until they are destroyed, and each object is freed once;
    // all zeroes are statistics.
    unsafe {
        slab_create_parent(parent.as_mut_ptr(), item_size, 64);
        slab_create_child(child.as_mut_ptr(), parent.as_mut_ptr());
        for _ in 0..1000 {
            let take = |_| slab_alloc(child.as_mut_ptr());
            let objects: Vec<*mut c_void> = (0..count).map(take).collect();
            objects.into_iter().rev().for_each(|object| slab_free(child.as_mut_ptr(), object));
            (*stats.as_mut_ptr()).struct_size = size_of::<slab_parent_stats>();
            slab_get_parent_stats(parent.as_mut_ptr(), stats.as_mut_ptr());
            exchanges = [exchanges[1], stats.assume_init_ref().exchanges];
        }
        slab_destroy_child(child.as_mut_ptr());
        slab_destroy_parent(parent.as_mut_ptr());
        (exchanges[1] - exchanges[0], stats.assume_init().objects_in_depot)
    }
}

#[test]
fn what_is_used_at_a_time_comes_to_lie_in_a_childs_own_magazines() {
    for item_size in [96, 512, 1000, 4096, 66_632] {
        assert_eq!(batches(item_size, 64), (0, 0), "objects of {item_size} bytes");
    }
}

#[test]
fn a_thousand_objects_take_a_few_exchanges() {
    for item_size in [96, 256, 512, 1000] {
        let (exchanges, _) = batches(item_size, 1000);
        assert!(exchanges <= 4, "{exchanges} for objects of {item_size} bytes");
    }
}
