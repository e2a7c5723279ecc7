//! The life of a pool that is filled once: created, many objects allocated and freed, destroyed.
//! Batches are of pools that have been filled before.

use super::{ITEM_SIZE, NUM_ITEMS, Pass, Workload};
use crate::allocators::Allocator;
use crate::pools::{Objects, Pools};

struct NewPool {
    allocator: Allocator,
    objects: Objects,
}

impl Pass for NewPool {
    fn pass(&mut self) {
        let mut pools = Pools::new(&self.allocator, ITEM_SIZE, NUM_ITEMS, 1);
        let child = pools.child(0);
        child.alloc_all(&mut self.objects.0);
        child.free_lifo(&self.objects.0);
    }
}

pub fn workload(name: String, count: usize) -> Workload {
    Workload::new(name, "alloc + free", count as u64, move |allocator| NewPool {
        allocator: allocator.clone(),
        objects: Objects::none(count),
    })
}
