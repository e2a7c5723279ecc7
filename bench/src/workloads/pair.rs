//! Allocate an object, free it: the fast paths and nothing else.

use super::{Pass, Workload};
use crate::pools::{Handle, Pools};

/// In a pass: of large objects fewer, as some allocators take milliseconds for one.
const PAIRS: usize = 1_000;
const PAIRS_OF_LARGE: usize = 16;
const LARGE: u32 = 100_000;

struct Pair {
    pairs: usize,
    child: Handle,
    _pools: Pools,
}

impl Pass for Pair {
    fn pass(&mut self) {
        self.child.pairs(self.pairs);
    }
}

pub fn workload(name: impl Into<String>, item_size: u32, num_items: u32) -> Workload {
    let pairs = if item_size < LARGE { PAIRS } else { PAIRS_OF_LARGE };
    Workload::new(name, "alloc + free", pairs as u64, move |allocator| {
        let mut pools = Pools::new(allocator, item_size, num_items, 1);
        Pair { pairs, child: pools.child(0), _pools: pools }
    })
}
