//! One child allocates, another of the same parent frees, in batches, on one thread.

use super::{ITEM_SIZE, NUM_ITEMS, Pass, Workload};
use crate::pools::{Handle, Objects, Pools};

struct Sibling {
    objects: Objects,
    allocating: Handle,
    freeing: Handle,
    _pools: Pools,
}

impl Pass for Sibling {
    fn pass(&mut self) {
        self.allocating.alloc_all(&mut self.objects.0);
        self.freeing.free_lifo(&self.objects.0);
    }
}

pub fn workload(name: String, count: usize) -> Workload {
    Workload::new(name, "alloc + free", count as u64, move |allocator| {
        let mut pools = Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, 2);
        Sibling {
            objects: Objects::none(count),
            allocating: pools.child(0),
            freeing: pools.child(1),
            _pools: pools,
        }
    })
}
