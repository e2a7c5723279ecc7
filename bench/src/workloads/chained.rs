//! Pairs and batches in which each call needs the address that the one before has given or taken,
//! so that a processor cannot do the work of one while it is busy with the call and return of
//! another.

use super::{ITEM_SIZE, NUM_ITEMS, Pass, Workload};
use crate::pools::{Handle, Objects, Pools};

const PAIRS: usize = 1_000;

struct Chained {
    /// None of them for pairs.
    objects: Objects,
    child: Handle,
    _pools: Pools,
}

impl Pass for Chained {
    fn pass(&mut self) {
        if self.objects.0.is_empty() {
            self.child.chained_pairs(PAIRS);
        } else {
            self.child.chained_batch(&mut self.objects.0);
        }
    }
}

fn workload(name: String, count: usize, operations: usize) -> Workload {
    Workload::new(name, "alloc + free", operations as u64, move |allocator| {
        let mut pools = Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, 1);
        Chained { objects: Objects::none(count), child: pools.child(0), _pools: pools }
    })
}

pub fn pairs() -> Workload {
    workload("chained pair".into(), 0, PAIRS)
}

pub fn batch(name: String, count: usize) -> Workload {
    workload(name, count, count)
}
