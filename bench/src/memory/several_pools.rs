//! Cases of several pools: what one of them has freed, and no longer uses, is to serve the others,
//! or the system.

use super::stage::{Figures, Stage, alloc_written, list};
use crate::allocators::Allocator;
use crate::api::Object;
use crate::pools::{Handle, Objects, Pools};
use crate::workloads::NUM_ITEMS;
use std::thread;
use std::time::{Duration, Instant};

/// A pool with one child.
struct Pool {
    child: Handle,
    item_size: u32,
    _pools: Pools,
}

impl Pool {
    fn new(allocator: &Allocator, item_size: u32, num_items: u32) -> Self {
        let mut pools = Pools::new(allocator, item_size, num_items, 1);
        Self { child: pools.child(0), item_size, _pools: pools }
    }

    fn alloc_written(&self, objects: &mut [Object]) {
        alloc_written(self.child, objects, self.item_size);
    }
}

/// How long the calls of the pool that is used are apart, and how many there are each time.
const STEP: Duration = Duration::from_millis(10);
const CALLS: usize = 1_500;

/// Pools are filled and emptied once, as by a loading screen; then only one of them is used, for
/// some time.
pub fn sleeping(
    allocator: &Allocator,
    pools: usize,
    objects: usize,
    time: Duration,
) -> (Stage, Figures) {
    let mut lists: Vec<Objects> = (0..pools).map(|_| list(objects.max(CALLS))).collect();
    let mut stage = Stage::new();
    let sizes = (0..pools as u32).map(|index| 64 + 16 * (index % 20));
    let pools: Vec<_> = sizes.map(|size| Pool::new(allocator, size, NUM_ITEMS)).collect();
    let mut live_bytes = 0;
    for (pool, list) in pools.iter().zip(&mut lists) {
        pool.alloc_written(&mut list.0[..objects]);
        live_bytes += objects as u64 * u64::from(pool.item_size);
    }
    let resident = stage.sample();
    for (pool, list) in pools.iter().zip(&lists) {
        pool.child.free_fifo(&list.0[..objects]);
    }
    let live = pools.len() * objects;
    let start = Instant::now();
    while start.elapsed() < time {
        let objects = &mut lists[0].0[..CALLS];
        pools[0].child.alloc_all(objects);
        pools[0].child.free_fifo(objects);
        thread::sleep(STEP);
    }
    let held = stage.sample();
    drop(pools);
    let left = stage.sample();
    (stage, Figures { live, live_bytes, resident, held, left, samples: Vec::new() })
}

/// Marsaglia's xorshift with his own seed: the sizes of a few pools decide what the figures are, so
/// that they are to be the same in whatever else draws them.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(88_172_645_463_325_252)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

const PHASES: usize = 10;
/// Of the pools, one in so many is used in a phase.
const SHARE: usize = 3;

/// So many objects are live, of pools of 16 to 2015 bytes. In each phase random ones are replaced
/// by objects of another third of the pools.
pub fn in_phases(allocator: &Allocator, pools: usize, live: usize) -> (Stage, Figures) {
    let mut random = Random::new();
    let mut objects = list(live);
    let mut of_pool = vec![0; live];
    let mut stage = Stage::new();
    let pools: Vec<_> = (0..pools)
        .map(|_| {
            let (size, num_items) = (16 + random.below(2000), 16 + random.below(64));
            Pool::new(allocator, size as u32, num_items as u32)
        })
        .collect();
    let bytes = |index: usize| u64::from(pools[index].item_size);
    let mut live_bytes = 0;
    for (object, of_pool) in objects.0.iter_mut().zip(&mut of_pool) {
        *of_pool = random.below(pools.len());
        pools[*of_pool].alloc_written(std::slice::from_mut(object));
        live_bytes += bytes(*of_pool);
    }
    stage.sample();
    for phase in 0..PHASES {
        let (first, width) = (phase * pools.len() / PHASES, pools.len() / SHARE + 1);
        for _ in 0..live {
            let place = random.below(live);
            let (object, of_pool) = (&mut objects.0[place], &mut of_pool[place]);
            pools[*of_pool].child.free(*object);
            live_bytes -= bytes(*of_pool);
            *of_pool = (first + random.below(width)) % pools.len();
            pools[*of_pool].alloc_written(std::slice::from_mut(object));
            live_bytes += bytes(*of_pool);
        }
        stage.sample();
    }
    let resident = stage.sample();
    for (&object, &of_pool) in objects.0.iter().zip(&of_pool) {
        pools[of_pool].child.free(object);
    }
    let held = stage.sample();
    drop(pools);
    let left = stage.sample();
    (stage, Figures { live, live_bytes, resident, held, left, samples: Vec::new() })
}

const ROUNDS: usize = 12;
const TURNS: [u32; 2] = [4096, 3000];

/// Two pools are filled and emptied in turns, as by two phases of a frame; never are both in use.
pub fn in_turns(allocator: &Allocator, count: usize) -> (Stage, Figures) {
    let mut objects = list(count);
    let mut stage = Stage::new();
    let pools = TURNS.map(|size| Pool::new(allocator, size, 16));
    let (mut resident, mut held) = (0, 0);
    for _ in 0..ROUNDS {
        for pool in &pools {
            pool.alloc_written(&mut objects.0);
            // What counts is the first of the two, in the last round.
            let now = stage.sample();
            resident = if pool.item_size == TURNS[0] { now } else { resident };
            pool.child.free_fifo(&objects.0);
            held = stage.sample();
        }
    }
    drop(pools);
    let left = stage.sample();
    (stage, Figures::of(TURNS[0], count, resident, held, left))
}

const SMALL_SET: usize = 280;
const SMALL_ITEM: u32 = 88;

/// A few objects, allocated from one child and freed through another, over and over.
pub fn small_set(allocator: &Allocator, calls: usize) -> (Stage, Figures) {
    let mut objects = list(SMALL_SET);
    let mut stage = Stage::new();
    let mut pools = Pools::new(allocator, SMALL_ITEM, 16, 2);
    let (allocating, freeing) = (pools.child(0), pools.child(1));
    for call in 0..calls {
        let object = &mut objects.0[call % SMALL_SET];
        if !object.is_null() {
            freeing.free(*object);
        }
        alloc_written(allocating, std::slice::from_mut(object), SMALL_ITEM);
        if call % (calls / 10) == 0 {
            stage.sample();
        }
    }
    let resident = stage.sample();
    freeing.free_fifo(&objects.0);
    let held = stage.sample();
    drop(pools);
    let left = stage.sample();
    (stage, Figures::of(SMALL_ITEM, SMALL_SET, resident, held, left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_marsaglia_s() {
        let mut random = Random::new();
        let all = usize::MAX;
        assert_eq!(random.below(all), 8_748_534_153_485_358_512);
        assert_eq!(random.below(all), 3_040_900_993_826_735_515);
    }

    #[test]
    fn every_object_is_freed_and_every_figure_is_there() {
        let malloc = crate::allocators::tests::malloc();
        let cases = [
            sleeping(&malloc, 3, 200, Duration::from_millis(20)),
            in_phases(&malloc, 5, 300),
            in_turns(&malloc, 100),
            small_set(&malloc, 1_000),
        ];
        let live = cases.each_ref().map(|(_, figures)| figures.live);
        assert_eq!(live, [600, 300, 100, SMALL_SET]);
        let first = 200 * (64 + 80 + 96);
        let bytes = cases.each_ref().map(|(_, figures)| figures.live_bytes);
        assert_eq!((bytes[0], bytes[2], bytes[3]), (first, 409_600, 24_640));
        assert!((300 * 16..300 * 2016).contains(&bytes[1]));
    }
}
