//! Many live objects, of which one after the other, at random, is freed and allocated anew.

use super::{NUM_ITEMS, Pass, Workload};
use crate::pools::{Handle, Objects, Pools};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const STEPS: usize = 16_384;
/// Of more than a million objects, no more than these are replaced in a pass.
const MOST_STEPS: usize = 1_000_000;
const SEED: u64 = 0x5eed;

struct Churn {
    live: Objects,
    /// Drawn beforehand, so that the random numbers cost the harness little.
    indices: Box<[u32]>,
    child: Handle,
    _pools: Pools,
}

impl Pass for Churn {
    fn pass(&mut self) {
        self.child.churn(&mut self.live.0, &self.indices);
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.child.free_lifo(&self.live.0);
    }
}

pub fn workload(name: String, live: usize, item_size: u32) -> Workload {
    // All that are live are met, wherever there are enough of them that it shows.
    let steps = if live > 100_000 { live.min(MOST_STEPS) } else { STEPS };
    Workload::new(name, "alloc + free", steps as u64, move |allocator| {
        let mut pools = Pools::new(allocator, item_size, NUM_ITEMS, 1);
        let child = pools.child(0);
        let mut random = SmallRng::seed_from_u64(SEED);
        let indices = (0..steps).map(|_| random.random_range(0..live as u32)).collect();
        let mut objects = Objects::none(live);
        child.alloc_all(&mut objects.0);
        Churn { live: objects, indices, child, _pools: pools }
    })
    .with_live(live)
}
