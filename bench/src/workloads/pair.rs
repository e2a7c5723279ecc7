//! Allocate an object, free it: the fast paths and nothing else.

use super::{Pass, Workload};
use crate::pools::{Handle, Pools};

const PAIRS: usize = 1_000;

struct Pair {
    child: Handle,
    _pools: Pools,
}

impl Pass for Pair {
    fn pass(&mut self) {
        self.child.pairs(PAIRS);
    }
}

pub fn workload(name: impl Into<String>, item_size: u32, num_items: u32) -> Workload {
    Workload::new(name, "alloc + free", PAIRS as u64, move |allocator| {
        let mut pools = Pools::new(allocator, item_size, num_items, 1);
        Pair { child: pools.child(0), _pools: pools }
    })
}
