//! Allocate an object, free it: the fast paths and nothing else.

use super::{NUM_ITEMS, Session, Workload};
use crate::pools::{Handle, Pools};
use std::hint::black_box;

const PAIRS: u64 = 1_000;

struct Pair {
    child: Handle,
    _pools: Pools,
}

impl Session for Pair {
    fn pass(&mut self) {
        for _ in 0..PAIRS {
            self.child.free(black_box(self.child.alloc()));
        }
    }
}

pub fn workload(name: impl Into<String>, item_size: u32) -> Workload {
    Workload::new(name, "alloc + free", PAIRS, move |api| {
        let mut pools = Pools::new(api, item_size, NUM_ITEMS, 1);
        Pair { child: pools.child(0), _pools: pools }
    })
}
