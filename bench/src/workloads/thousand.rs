//! A parent with a thousand children: each allocates a few objects, then each frees its own.

use super::{ITEM_SIZE, NUM_ITEMS, Pass, Workload};
use crate::pools::{Handle, Objects, Pools};

const CHILDREN: usize = 1_000;
const OBJECTS: usize = 4;

struct Thousand {
    children: Vec<(Handle, Objects)>,
    _pools: Pools,
}

impl Pass for Thousand {
    fn pass(&mut self) {
        for (child, objects) in &mut self.children {
            child.alloc_all(&mut objects.0);
        }
        for (child, objects) in &self.children {
            child.free_lifo(&objects.0);
        }
    }
}

pub fn workload(name: &str) -> Workload {
    Workload::new(name, "alloc + free", (CHILDREN * OBJECTS) as u64, |allocator| {
        let mut pools = Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, CHILDREN);
        let children =
            (0..CHILDREN).map(|index| (pools.child(index), Objects::none(OBJECTS))).collect();
        Thousand { children, _pools: pools }
    })
    // A cache of each may hold many more than are in use.
    .with_live(CHILDREN * 1_000)
}
