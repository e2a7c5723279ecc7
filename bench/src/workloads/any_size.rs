//! Objects of 8 to 1024 bytes, of random sizes, each as likely as the other.

use super::{Pass, Workload};
use crate::groups::{Sizes, SizesHandle};
use crate::pools::Objects;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const BYTES: std::ops::RangeInclusive<u32> = 8..=1024;
const STEPS: usize = 16_384;
/// As in [`super::churn`]: wherever there are enough of them that it shows, all that are live are
/// met.
const SEED: u64 = 0x512e5;

/// So many sizes, drawn beforehand.
pub fn some_sizes(count: usize) -> Box<[u32]> {
    let mut random = SmallRng::seed_from_u64(SEED);
    (0..count).map(|_| random.random_range(BYTES)).collect()
}

struct Pairs {
    bytes: Box<[u32]>,
    child: SizesHandle,
    _sizes: Sizes,
}

impl Pass for Pairs {
    fn pass(&mut self) {
        self.child.pairs(&self.bytes);
    }
}

pub fn pairs(name: &str) -> Workload {
    Workload::new(name, "alloc + free", STEPS as u64, |allocator| {
        let sizes = Sizes::new(allocator, 1);
        Pairs { bytes: some_sizes(STEPS), child: sizes.child(0), _sizes: sizes }
    })
    .without_loops()
}

struct Batch {
    objects: Objects,
    bytes: Box<[u32]>,
    allocating: SizesHandle,
    freeing: SizesHandle,
    _sizes: Sizes,
}

impl Pass for Batch {
    fn pass(&mut self) {
        self.allocating.alloc_all(&mut self.objects.0, &self.bytes);
        self.freeing.free_fifo(&self.objects.0);
    }
}

/// So many are allocated and then freed, by the same child or by another one.
pub fn batch(name: String, count: usize, by_sibling: bool) -> Workload {
    Workload::new(name, "alloc + free", count as u64, move |allocator| {
        let sizes = Sizes::new(allocator, 2);
        Batch {
            objects: Objects::none(count),
            bytes: some_sizes(count),
            allocating: sizes.child(0),
            freeing: sizes.child(usize::from(by_sibling)),
            _sizes: sizes,
        }
    })
    .without_loops()
}

struct Churn {
    live: Objects,
    /// Which object is replaced, and the size of the next one.
    steps: Box<[(u32, u32)]>,
    child: SizesHandle,
    _sizes: Sizes,
}

impl Pass for Churn {
    fn pass(&mut self) {
        self.child.churn(&mut self.live.0, &self.steps);
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.child.free_fifo(&self.live.0);
    }
}

pub fn churn(name: String, live: usize) -> Workload {
    let steps = STEPS.max(live);
    Workload::new(name, "alloc + free", steps as u64, move |allocator| {
        let sizes = Sizes::new(allocator, 1);
        let child = sizes.child(0);
        let mut random = SmallRng::seed_from_u64(!SEED);
        let step = |bytes: u32| (random.random_range(0..live as u32), bytes);
        let steps = some_sizes(steps).into_iter().map(step).collect();
        let mut objects = Objects::none(live);
        child.alloc_all(&mut objects.0, &some_sizes(live));
        Churn { live: objects, steps, child, _sizes: sizes }
    })
    .without_loops()
}
