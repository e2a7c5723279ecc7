//! One child allocates, another of the same parent frees, in batches, on one thread.

use super::{ITEM_SIZE, NUM_ITEMS, Session, Workload};
use crate::api::Object;
use crate::pools::{Handle, Pools};

struct Sibling {
    objects: Box<[Object]>,
    allocating: Handle,
    freeing: Handle,
    _pools: Pools,
}

impl Session for Sibling {
    fn pass(&mut self) {
        for object in &mut self.objects {
            *object = self.allocating.alloc();
        }
        self.objects.iter().rev().for_each(|&object| self.freeing.free(object));
    }
}

pub fn workload(name: &str, count: usize) -> Workload {
    Workload::new(name, "alloc + free", count as u64, move |api| {
        let mut pools = Pools::new(api, ITEM_SIZE, NUM_ITEMS, 2);
        Sibling {
            objects: vec![std::ptr::null_mut(); count].into(),
            allocating: pools.child(0),
            freeing: pools.child(1),
            _pools: pools,
        }
    })
}
