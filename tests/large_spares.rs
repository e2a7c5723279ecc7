// SPDX-License-Identifier: MIT
//! The empty slabs that pools keep of objects that no child caches: how much they are together, when
//! they go, and who gets their memory when the system has none.
//!
//! One test only: they count together, and it limits the address space of its process.
#![cfg(target_os = "linux")]

mod address_space;

use core::mem::MaybeUninit;

use address_space::allow;
use mesa_slab::abi::ext::*;
use mesa_slab::abi::slab::*;

const MIB: usize = 1 << 20;
const ITEM_SIZE: usize = 3 * MIB;
/// What they may have together (`src/pool/budget.rs`).
const MOST: usize = 32 * MIB;

struct Pool(Box<MaybeUninit<slab_mempool>>);

impl Pool {
    fn create(item_size: usize) -> Pool {
        let mut pool = Box::new(MaybeUninit::uninit());
        // SAFETY: a box stays where it is.
        unsafe { slab_create(pool.as_mut_ptr(), item_size as u32, 1) };
        Pool(pool)
    }

    /// Allocates an object and frees it; false if there is no memory.
    fn use_once(&mut self) -> bool {
        // SAFETY: the pool exists.
        unsafe {
            let object = slab_alloc_st(self.0.as_mut_ptr());
            slab_free_st(self.0.as_mut_ptr(), object);
            !object.is_null()
        }
    }

    fn spare(&mut self) -> usize {
        let mut stats = MaybeUninit::<slab_parent_stats>::zeroed();
        // SAFETY: all zeroes are statistics; the pool exists.
        unsafe {
            (*stats.as_mut_ptr()).struct_size = size_of::<slab_parent_stats>();
            slab_get_parent_stats(&raw mut (*self.0.as_mut_ptr()).parent, stats.as_mut_ptr());
            stats.assume_init().slabs_empty
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: nobody else uses it.
        unsafe { slab_destroy(self.0.as_mut_ptr()) }
    }
}

fn spares(pools: &mut [Pool]) -> usize {
    pools.iter_mut().map(Pool::spare).sum()
}

#[test]
fn pools_of_large_objects_keep_so_much_together_and_give_it_when_it_is_wanted() {
    let mut pools: Vec<_> = (0..20).map(|_| Pool::create(ITEM_SIZE)).collect();
    assert!(pools.iter_mut().all(Pool::use_once));
    assert_eq!(spares(&mut pools), MOST / ITEM_SIZE);

    // What is given back may be granted to others.
    slab_trim_heap();
    assert_eq!(spares(&mut pools), 0);
    assert!(pools.iter_mut().rev().all(Pool::use_once));
    assert_eq!(spares(&mut pools), MOST / ITEM_SIZE);

    // Nor is anything kept while nothing is to be.
    let before = slab_set_decay(0);
    assert_eq!(spares(&mut pools), 0);
    assert!(pools.iter_mut().all(Pool::use_once));
    assert_eq!(spares(&mut pools), 0);
    slab_set_decay(before);
    assert!(pools.iter_mut().all(Pool::use_once));
    assert_eq!(spares(&mut pools), MOST / ITEM_SIZE);

    // What they keep is had when the system has no more.
    let mut other = Pool::create(MOST / 2);
    allow(MOST / 4);
    assert!(other.use_once(), "the memory is there");
    assert_eq!(spares(&mut pools), 0);
    let mut huge = Pool::create(2 * MOST);
    assert!(!huge.use_once(), "it is not");
    assert!(other.use_once());
}
