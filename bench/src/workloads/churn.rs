//! Many live objects, of which one after the other, at random, is freed and allocated anew.

use super::{ITEM_SIZE, NUM_ITEMS, Session, Workload};
use crate::api::Object;
use crate::pools::{Handle, Pools};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const STEPS: usize = 16_384;
const SEED: u64 = 0x5eed;

struct Churn {
    live: Box<[Object]>,
    /// Drawn beforehand, so that the random numbers cost the harness little.
    indices: Box<[u32]>,
    child: Handle,
    _pools: Pools,
}

impl Session for Churn {
    fn pass(&mut self) {
        for &index in &self.indices {
            let object = &mut self.live[index as usize];
            self.child.free(*object);
            *object = self.child.alloc();
        }
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.live.iter().for_each(|&object| self.child.free(object));
    }
}

pub fn workload(name: &str, live: u32) -> Workload {
    Workload::new(name, "alloc + free", STEPS as u64, move |api| {
        let mut pools = Pools::new(api, ITEM_SIZE, NUM_ITEMS, 1);
        let child = pools.child(0);
        let mut random = SmallRng::seed_from_u64(SEED);
        let indices = (0..STEPS).map(|_| random.random_range(0..live)).collect();
        Churn { live: (0..live).map(|_| child.alloc()).collect(), indices, child, _pools: pools }
    })
}
