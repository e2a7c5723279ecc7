//! Pools that fall asleep, and what they keep then.

use mesa_slab::abi::ext::{slab_get_parent_stats, slab_parent_stats, slab_set_decay};
use mesa_slab::abi::slab::{slab_alloc_st, slab_create, slab_destroy, slab_free_st, slab_mempool};

use super::{Life, World, heap_stats};
use crate::operation::{CHILDREN, Child, Door, POOLS, Pick};
use crate::system;

/// Bytes of objects of which a magazine holds a few, so that most calls need the pool.
const LARGE: u32 = 100_000;
/// So many of them come and go in each second in which other pools sleep.
const CALLS_A_SECOND: usize = 32;
/// So many seconds later all of them keep nothing, whatever they had: two magazines go with a call.
const MOST_SECONDS: usize = 200;
/// Bytes that the heap may keep then, for the pool that was awake.
const KEPT_AWAKE: usize = 4 << 20;

impl World {
    pub(super) fn take_turns(&mut self, count: usize) {
        for pool in 0..POOLS {
            for child in 0..CHILDREN {
                if self.pools[pool].children[child] == Life::Live {
                    self.cycle(Child(pool, child), count);
                }
            }
        }
    }

    /// What has no parent any more that exists, or was destroyed, could not be freed.
    pub(super) fn forget(&mut self, pool: usize) {
        let count = self.pools[pool].objects.len();
        self.free(pool, Child(pool, 0), count, Pick::Oldest, Door::Exported);
        for child in 0..CHILDREN {
            self.destroy_child(Child(pool, child));
        }
        let pool = &mut self.pools[pool];
        // SAFETY: zeroes are a pool that was never created.
        pool.memory = unsafe { std::mem::zeroed() };
        pool.is_forgotten |= pool.item_size.take().is_some();
    }

    /// While another pool is used, those that sleep come to keep nothing, and after the decay time the
    /// heap does neither.
    pub(super) fn fall_asleep(&mut self) {
        system::recover();
        let decay = slab_set_decay(1);
        // SAFETY: zeroes are a pool that was never created.
        let mut awake: slab_mempool = unsafe { std::mem::zeroed() };
        // SAFETY: nobody else uses the pool.
        unsafe { slab_create(&raw mut awake, LARGE, 1) }
        let pass_a_second = |awake: *mut slab_mempool| {
            system::pass_time(1);
            // SAFETY: the pool exists, and nobody else uses it.
            let objects: [_; CALLS_A_SECOND] =
                std::array::from_fn(|_| unsafe { slab_alloc_st(awake) });
            for object in objects {
                assert!(!object.is_null(), "NULL although there is memory");
                // SAFETY: as above.
                unsafe { slab_free_st(awake, object) }
            }
        };
        let mut seconds = 0;
        while let Some(stats) = self.all_stats().find(keeps_something) {
            assert!(
                seconds < MOST_SECONDS,
                "a pool of {} bytes keeps {} objects and {} empty slabs in its sleep",
                stats.item_size,
                stats.objects_in_depot,
                stats.slabs_empty
            );
            seconds += 1;
            pass_a_second(&raw mut awake);
        }
        // What is free is due a second later, and goes in slices.
        while heap_stats().dirty > KEPT_AWAKE {
            assert!(seconds < MOST_SECONDS, "{} bytes are kept for reuse", heap_stats().dirty);
            seconds += 1;
            pass_a_second(&raw mut awake);
        }
        // SAFETY: nobody else uses the pool.
        unsafe { slab_destroy(&raw mut awake) }
        let has_groups = !self.sizes.set.is_null() || !self.shared.pool.is_null();
        if self.orphans.is_empty() && !has_groups {
            let slabs: usize = self.all_stats().map(|stats| stats.bytes_held).sum();
            let beyond = heap_stats().object_slabs.saturating_sub(slabs);
            assert!(beyond <= KEPT_AWAKE, "{beyond} bytes of slabs are no pool's");
        }
        slab_set_decay(decay);
    }

    /// The numbers of all pools that exist.
    pub(super) fn all_stats(&mut self) -> impl Iterator<Item = slab_parent_stats> {
        self.pools.iter_mut().filter(|pool| pool.item_size.is_some()).map(|pool| {
            // SAFETY: zeroes are numbers; the pool exists.
            unsafe {
                let mut stats: slab_parent_stats = std::mem::zeroed();
                stats.struct_size = size_of::<slab_parent_stats>();
                assert_eq!(slab_get_parent_stats(pool.parent(), &mut stats), 0);
                stats
            }
        })
    }
}

/// Whether a pool has more than slabs with objects that callers or children have.
fn keeps_something(stats: &slab_parent_stats) -> bool {
    stats.objects_in_depot != 0 || stats.slabs_empty != 0
}
