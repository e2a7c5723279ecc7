//! Several pools of one process: used in turns, or one of them far more than the others.

use super::{NUM_ITEMS, Pass, Workload};
use crate::pools::{Handle, Objects, Pools};

/// Objects of a batch, which is allocated and freed before the next pool has its turn.
const BATCH: usize = 1_000;
/// What each pool has held before, as after a loading screen.
const FILLED: usize = 5_000;
/// Batches of the hot pool for each one of another.
const HOT: usize = 64;
const IN_TURNS: usize = 20;
const BESIDE_A_HOT_ONE: usize = 60;

/// Pools of 64 to 368 bytes, of which each was filled and emptied once.
fn pools(allocator: &crate::allocators::Allocator, count: usize) -> Vec<(Handle, Pools)> {
    let mut filled = Objects::none(FILLED);
    (0..count as u32)
        .map(|index| {
            let mut pools = Pools::new(allocator, 64 + 16 * (index % 20), NUM_ITEMS, 1);
            let child = pools.child(0);
            child.alloc_all(&mut filled.0);
            child.free_lifo(&filled.0);
            (child, pools)
        })
        .collect()
}

struct InTurns {
    objects: Objects,
    pools: Vec<(Handle, Pools)>,
}

impl Pass for InTurns {
    fn pass(&mut self) {
        for (child, _) in &self.pools {
            child.alloc_all(&mut self.objects.0);
            child.free_lifo(&self.objects.0);
        }
    }
}

struct OneHot {
    objects: Objects,
    /// The hot one is the first.
    pools: Vec<(Handle, Pools)>,
    /// Which of the others is next.
    other: usize,
}

impl Pass for OneHot {
    fn pass(&mut self) {
        let (hot, others) = self.pools.split_first().expect("there are some");
        let once = [others[self.other % others.len()].0];
        for child in std::iter::repeat_n(&hot.0, HOT).chain(&once) {
            child.alloc_all(&mut self.objects.0);
            child.free_lifo(&self.objects.0);
        }
        self.other += 1;
    }
}

pub fn in_turns() -> Workload {
    let name = format!("{IN_TURNS} pools in turns");
    Workload::new(name, "alloc + free", (IN_TURNS * BATCH) as u64, |allocator| InTurns {
        objects: Objects::none(BATCH),
        pools: pools(allocator, IN_TURNS),
    })
    .with_live(FILLED)
}

pub fn one_hot() -> Workload {
    let name = format!("{BESIDE_A_HOT_ONE} pools, one hot");
    Workload::new(name, "alloc + free", ((HOT + 1) * BATCH) as u64, |allocator| OneHot {
        objects: Objects::none(BATCH),
        pools: pools(allocator, BESIDE_A_HOT_ONE),
        other: 0,
    })
    .with_live(FILLED)
}
