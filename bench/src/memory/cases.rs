//! The cases: what is allocated and freed, and when memory is sampled.

use super::several_pools;
use super::stage::{Figures, Stage, alloc_written, list};
use crate::allocators::Allocator;
use crate::api::{Child, Object};
use crate::groups::Sizes;
use crate::pools::{Handle, Objects, Pools};
use crate::refusal::{NO_MEMORY, refuse};
use crate::results::{Memory, Timeline};
use crate::trace::{Call, TraceFile};
use crate::workloads::replay::Stage as Driver;
use crate::workloads::{ITEM_SIZE, NUM_ITEMS, some_sizes};
use anyhow::Result;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::thread;
use std::time::{Duration, Instant};

pub struct Case {
    pub name: String,
    what: What,
}

enum What {
    /// So many objects of a size, freed through their own child or a sibling.
    Fill {
        item_size: u32,
        count: usize,
        by_sibling: bool,
    },
    /// So many, of which random ones are replaced.
    Churn {
        count: usize,
    },
    /// So many of 8 to 1024 bytes, of which random ones are replaced by some of other sizes.
    ChurnOfSizes {
        count: usize,
    },
    /// So many, of which one in fifty stays.
    Survivors {
        count: usize,
    },
    /// Children with a few objects each.
    Children {
        count: usize,
    },
    /// Children that are destroyed while one of their objects is out.
    Orphans {
        count: usize,
    },
    /// One thread allocates so many, another frees them, over and over.
    Threads {
        count: usize,
    },
    Replay(TraceFile),
    /// Pools with so many objects each, all freed, and one of them used for some time.
    SleepingPools {
        pools: usize,
        count: usize,
        time: Duration,
    },
    /// So many objects of pools that are used in phases.
    PoolsInPhases {
        pools: usize,
        count: usize,
    },
    /// Two pools that hold so many objects in turns.
    PoolsInTurns {
        count: usize,
    },
    /// A few objects, over and over.
    SmallSet {
        calls: usize,
    },
}

const OBJECTS_OF_A_CHILD: usize = 16;
const SURVIVES: usize = 50;
const HANDOVERS: usize = 20;
/// Of a replay, evenly, beside those where there are more objects than ever before.
const SAMPLES: usize = 200;
const SEED: u64 = 0x5eed;

pub fn all(traces: Vec<TraceFile>, divisor: usize) -> Vec<Case> {
    let mut list = Vec::new();
    let mut add = |name: String, what| list.push(Case { name: format!("memory, {name}"), what });
    for (item_size, count) in
        [(16, 1_000_000), (96, 1_000_000), (512, 200_000), (4096, 20_000), (66_632, 1_000)]
    {
        let count = count / divisor;
        let fill = What::Fill { item_size, count, by_sibling: false };
        add(format!("{item_size} B"), fill);
    }
    let count = 1_000_000 / divisor;
    let fill = What::Fill { item_size: ITEM_SIZE, count, by_sibling: true };
    add("freed by a sibling".into(), fill);
    add("churn".into(), What::Churn { count: 100_000 / divisor });
    for count in [10_000, 100_000] {
        let count = count / divisor;
        add(format!("churn of sizes, {count}"), What::ChurnOfSizes { count });
    }
    add(format!("one in {SURVIVES} stays"), What::Survivors { count });
    add("a thousand children".into(), What::Children { count: 1_000 });
    add("destroyed children".into(), What::Orphans { count: 1_000 });
    add("two threads".into(), What::Threads { count: 100_000 / divisor });
    add("small set".into(), What::SmallSet { calls: 2_000_000 / divisor });
    add("two pools in turns".into(), What::PoolsInTurns { count: 10_000 / divisor });
    for (pools, count) in [(8, 50_000), (60, 50_000), (500, 5_000)] {
        let count = count / divisor;
        add(format!("{pools} pools in phases"), What::PoolsInPhases { pools, count });
    }
    let time = Duration::from_secs(if divisor == 1 { 12 } else { 3 });
    let count = 12_000 / divisor;
    add("60 pools, 59 asleep".into(), What::SleepingPools { pools: 60, count, time });
    for trace in traces {
        add(format!("replay {}", trace.name), What::Replay(trace));
    }
    list
}

impl Case {
    /// Whether it does next to nothing for most of the time, so that all allocators may do it at
    /// once.
    pub fn is_idle(&self) -> bool {
        matches!(self.what, What::SleepingPools { .. })
    }

    pub fn measure(&self, allocator: &Allocator) -> Result<Memory> {
        let (stage, figures) = match &self.what {
            What::Fill { item_size, count, by_sibling } => {
                fill(allocator, *item_size, *count, *by_sibling)
            }
            What::Churn { count } => churn(allocator, *count),
            What::ChurnOfSizes { count } => churn_of_sizes(allocator, *count),
            What::Survivors { count } => survivors(allocator, *count),
            What::Children { count } => children(allocator, *count),
            What::Orphans { count } => orphans(allocator, *count),
            What::Threads { count } => threads(allocator, *count),
            What::Replay(trace) => replay(allocator, trace)?,
            What::SleepingPools { pools, count, time } => {
                several_pools::sleeping(allocator, *pools, *count, *time)
            }
            What::PoolsInPhases { pools, count } => {
                several_pools::in_phases(allocator, *pools, *count)
            }
            What::PoolsInTurns { count } => several_pools::in_turns(allocator, *count),
            What::SmallSet { calls } => several_pools::small_set(allocator, *calls),
        };
        Ok(stage.memory(self, &allocator.name, figures))
    }
}

fn fill(allocator: &Allocator, item_size: u32, count: usize, by_sibling: bool) -> (Stage, Figures) {
    let mut objects = list(count);
    let mut stage = Stage::new();
    let mut pools = Pools::new(allocator, item_size, NUM_ITEMS, 2);
    alloc_written(pools.child(0), &mut objects.0, item_size);
    let resident = stage.sample();
    pools.child(usize::from(by_sibling)).free_fifo(&objects.0);
    let held = stage.sample();
    drop(pools);
    let left = stage.sample();
    (stage, Figures::of(item_size, count, resident, held, left))
}

fn churn(allocator: &Allocator, count: usize) -> (Stage, Figures) {
    let mut random = SmallRng::seed_from_u64(SEED);
    let mut objects = list(count);
    let mut stage = Stage::new();
    let mut pools = Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, 1);
    let child = pools.child(0);
    alloc_written(child, &mut objects.0, ITEM_SIZE);
    for step in 0..10 * count {
        let object = &mut objects.0[random.random_range(0..count)];
        child.free(*object);
        alloc_written(child, std::slice::from_mut(object), ITEM_SIZE);
        if step % (count / 10) == 0 {
            stage.sample();
        }
    }
    let resident = stage.sample();
    child.free_fifo(&objects.0);
    let held = stage.sample();
    drop(pools);
    let left = stage.sample();
    (stage, Figures::of(ITEM_SIZE, count, resident, held, left))
}

fn churn_of_sizes(allocator: &Allocator, count: usize) -> (Stage, Figures) {
    let mut random = SmallRng::seed_from_u64(SEED);
    // The first ones, and those that take their places.
    let bytes = some_sizes(11 * count);
    let mut live_bytes: Vec<u32> = bytes[..count].to_vec();
    let mut objects = list(count);
    let mut stage = Stage::new();
    let sizes = Sizes::new(allocator, 1);
    let child = sizes.child(0);
    let written = |bytes: u32| {
        let object = child.alloc(bytes);
        if object.is_null() {
            refuse(NO_MEMORY);
        }
        // SAFETY: it is an object of so many bytes, and nobody else's.
        unsafe { object.cast::<u8>().write_bytes(0x5a, bytes as usize) };
        object
    };
    for (object, &bytes) in objects.0.iter_mut().zip(&live_bytes) {
        *object = written(bytes);
    }
    for (step, &bytes) in bytes[count..].iter().enumerate() {
        let place = random.random_range(0..count);
        child.free(objects.0[place]);
        objects.0[place] = written(bytes);
        live_bytes[place] = bytes;
        if step % (count / 10) == 0 {
            stage.sample();
        }
    }
    let resident = stage.sample();
    child.free_fifo(&objects.0);
    let held = stage.sample();
    drop(sizes);
    let left = stage.sample();
    let live_bytes = live_bytes.into_iter().map(u64::from).sum();
    (stage, Figures { live_bytes, ..Figures::of(0, count, resident, held, left) })
}

fn survivors(allocator: &Allocator, count: usize) -> (Stage, Figures) {
    let mut random = SmallRng::seed_from_u64(SEED);
    let mut objects = list(count);
    let mut stage = Stage::new();
    let mut pools = Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, 1);
    let child = pools.child(0);
    alloc_written(child, &mut objects.0, ITEM_SIZE);
    stage.sample();
    let (mut stay, mut live) = (|| random.random_range(0..SURVIVES) == 0, 0);
    for object in &mut objects.0 {
        if stay() {
            live += 1;
        } else {
            child.free(*object);
            *object = std::ptr::null_mut();
        }
    }
    let resident = stage.sample();
    objects.0.iter().filter(|object| !object.is_null()).for_each(|&object| child.free(object));
    let held = stage.sample();
    drop(pools);
    let left = stage.sample();
    (stage, Figures::of(ITEM_SIZE, live, resident, held, left))
}

fn children(allocator: &Allocator, count: usize) -> (Stage, Figures) {
    let mut objects = list(count * OBJECTS_OF_A_CHILD);
    // The structs of the pools are their user's memory.
    let mut pools = Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, count);
    let mut stage = Stage::new();
    for (index, objects) in objects.0.chunks_mut(OBJECTS_OF_A_CHILD).enumerate() {
        alloc_written(pools.child(index), objects, ITEM_SIZE);
    }
    let resident = stage.sample();
    for (index, objects) in objects.0.chunks(OBJECTS_OF_A_CHILD).enumerate() {
        pools.child(index).free_lifo(objects);
    }
    let held = stage.sample();
    drop(pools);
    let left = stage.sample();
    let live = objects.0.len();
    (stage, Figures::of(ITEM_SIZE, live, resident, held, left))
}

fn orphans(allocator: &Allocator, count: usize) -> (Stage, Figures) {
    let mut kept = list(count);
    let mut stage = Stage::new();
    let mut pools = Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, 1);
    let mut child = Box::new(Child::zeroed());
    for kept in &mut kept.0 {
        let mut objects: [Object; OBJECTS_OF_A_CHILD] = [std::ptr::null_mut(); OBJECTS_OF_A_CHILD];
        let handle = pools.create(&mut child);
        alloc_written(handle, &mut objects, ITEM_SIZE);
        *kept = objects[0];
        handle.free_lifo(&objects[1..]);
        pools.destroy(&mut child);
    }
    let resident = stage.sample();
    pools.child(0).free_lifo(&kept.0);
    let held = stage.sample();
    drop(pools);
    let left = stage.sample();
    (stage, Figures::of(ITEM_SIZE, count, resident, held, left))
}

fn threads(allocator: &Allocator, count: usize) -> (Stage, Figures) {
    fn free(child: Handle, objects: Objects) -> Objects {
        child.free_fifo(&objects.0);
        objects
    }
    let mut objects = list(count);
    let mut stage = Stage::new();
    let mut pools = Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, 2);
    let (allocating, freeing) = (pools.child(0), pools.child(1));
    let mut resident = 0;
    for _ in 0..HANDOVERS {
        alloc_written(allocating, &mut objects.0, ITEM_SIZE);
        resident = stage.sample();
        objects = thread::spawn(move || free(freeing, objects)).join().expect("it has no panic");
    }
    let held = stage.sample();
    drop(pools);
    let left = stage.sample();
    (stage, Figures::of(ITEM_SIZE, count, resident, held, left))
}

fn replay(allocator: &Allocator, trace: &TraceFile) -> Result<(Stage, Figures)> {
    let trace = trace.read()?;
    let driver = Driver::new(allocator, &trace);
    let mut samples = Vec::with_capacity(2 * SAMPLES);
    let mut object_bytes = 0;
    let (mut live, mut most) = (0_usize, (0, 0));
    // What closes the trace is the last: the children, and the parents.
    let end = trace.calls.iter().rposition(|call| matches!(call, Call::Free { .. }));
    let mut held = 0;
    let every = trace.calls.len().div_ceil(SAMPLES);
    let mut stage = Stage::new();
    for (number, &call) in trace.calls.iter().enumerate() {
        match call {
            Call::CreateParent { item_size, .. } | Call::Create { item_size, .. } => {
                object_bytes = item_size;
            }
            Call::Alloc { .. } | Call::Zalloc { .. } | Call::AllocSt { .. } => live += 1,
            Call::Free { .. } | Call::FreeSt { .. } => live -= 1,
            _ => {}
        }
        // SAFETY: they are made in order, by one thread, and a trace has objects of one size.
        unsafe {
            driver.make(call);
            driver.write(call, object_bytes);
        }
        if number % every == 0 || live > most.0 || Some(number) == end {
            let resident = stage.sample();
            if live > most.0 {
                most = (live, resident);
            }
            if number % every == 0 {
                samples.push((number as f64, resident as f64));
            }
            if Some(number) == end {
                held = resident;
            }
        }
    }
    let left = stage.sample();
    let (live, resident) = most;
    Ok((stage, Figures { samples, ..Figures::of(object_bytes, live, resident, held, left) }))
}

/// How long the calls are apart, and how many there are each time.
const STEP: Duration = Duration::from_millis(100);
const CALLS: usize = 300;

pub fn after_freeing(allocator: &Allocator, count: usize, time: Duration) -> Timeline {
    let mut objects = list(count);
    let mut samples = Vec::with_capacity((time.as_millis() / STEP.as_millis()) as usize + 8);
    let mut stage = Stage::new();
    let mut pools = Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, 2);
    let child = pools.child(0);
    alloc_written(child, &mut objects.0, ITEM_SIZE);
    samples.push((-STEP.as_secs_f64(), stage.sample() as f64));
    child.free_fifo(&objects.0);
    let start = Instant::now();
    while start.elapsed() < time {
        samples.push((start.elapsed().as_secs_f64(), stage.sample() as f64));
        thread::sleep(STEP);
        let objects = &mut objects.0[..CALLS];
        child.alloc_all(objects);
        child.free_lifo(objects);
    }
    Timeline { allocator: allocator.name.clone(), samples }
}
