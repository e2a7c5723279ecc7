//! Forty pools, a few of which are awake at a time.
//!
//! Those that are awake are filled and emptied by all threads, through a child for each thread. Each
//! time one has run empty the library's clock is put forward by a second. After a few times the pool
//! that was awake longest falls asleep, empty or with half of its objects, and the next one awakes:
//! a *turn*. At each second turn a pool that fell asleep lately ends in one of the ways of [`ends`],
//! and another one begins in its place.
//!
//! What the library holds is measured as a multiple of what it may: what callers and children have, and
//! what `docs/design.md` allows it to keep beside that. There is a problem if
//!
//! - in some minute the mean multiple is above [`MOST`];
//! - that of what is held, or resident, grew by more than a tenth from the second minute to the last;
//! - a pool that sleeps since [`SLEPT`] turns has anything in its depot, or an empty slab;
//! - in the end more is left than children kept that were forgotten with what they had.

mod ends;
mod place;
mod worker;

use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::thread;
use std::time::{Duration, Instant};

use mesa_slab::abi::ext::{slab_trim_heap, slab_validate};
use mesa_slab::abi::slab::{slab_child_pool, slab_destroy_parent};

use crate::Arguments;
use crate::memory::resident;
use crate::share::{Object, free, heap_stats, problem, problems, watch_reports};
use ends::Ends;
use place::{MOST_CHILDREN, Measure, Place};

const POOLS: usize = 40;
/// So many are awake.
const AWAKE: usize = 4;
/// A pool that slept for so many turns keeps nothing: more than twenty seconds of the library's, and
/// hundreds of calls in each.
const SLEPT: usize = 20;
/// What is held, as a multiple of what may be.
const MOST: f64 = 1.0;

/// Sizes of objects, and hints.
const SIZES: [(u32, u32); 20] = [
    (96, 64),
    (16, 512),
    (24, 16),
    (40, 100),
    (64, 32),
    (88, 16),
    (128, 64),
    (200, 64),
    (256, 16),
    (257, 64),
    (368, 32),
    (500, 200),
    (768, 16),
    (1024, 64),
    (1500, 16),
    (2000, 32),
    (4096, 8),
    (5000, 16),
    (8192, 4),
    (20_000, 8),
];
/// Of a full pool's objects.
const FULL_BYTES: usize = 2 << 20;
const FULL_MOST: usize = 10_000;
/// Of the objects of a pool that falls asleep nearly empty.
const KEPT: usize = 10;

/// What the threads share.
struct World {
    threads: usize,
    places: Vec<Place>,
    /// The pools of this turn and of the next ones are awake.
    turn: AtomicUsize,
    ends: Mutex<Ends>,
    /// Objects whose pools have ended.
    orphans: Mutex<Vec<Object>>,
    /// Bytes of objects in use.
    live: AtomicUsize,
    operations: AtomicU64,
    stop: AtomicBool,
}

impl World {
    fn new(threads: usize) -> World {
        let measure = |index: usize| {
            let (item_size, num_items) = SIZES[index % SIZES.len()];
            let full = (FULL_BYTES / item_size as usize).min(FULL_MOST);
            let kept = if index % 4 == 0 { full / 2 } else { KEPT };
            Measure { item_size, num_items, full, kept }
        };
        World {
            threads,
            places: (0..POOLS).map(|index| Place::new(measure(index), threads)).collect(),
            turn: AtomicUsize::new(0),
            ends: Mutex::new(Ends::default()),
            orphans: Mutex::new(Vec::new()),
            live: AtomicUsize::new(0),
            operations: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    /// The place whose turn that is.
    fn place(&self, turn: usize) -> &Place {
        &self.places[turn % POOLS]
    }

    /// Frees and destroys everything, and returns how many bytes are held, and by how many too many.
    fn take_down(&self) -> (usize, usize) {
        let mut ends = self.ends.lock().unwrap();
        // SAFETY: zeroes are a child that was never created; the threads have ended.
        unsafe {
            let mut nobody: slab_child_pool = std::mem::zeroed();
            for object in self.orphans.lock().unwrap().drain(..) {
                free(&mut nobody, object);
            }
            for place in &self.places {
                let memory = place.alone();
                place.free_beyond(&memory, 0, 0);
                place.destroy_children(&memory, 0, self.threads);
                slab_destroy_parent(memory.parent());
            }
            ends.take_down();
            slab_trim_heap();
            if slab_validate(std::ptr::null_mut()) != 0 {
                problem("the heap is broken in the end");
            }
        }
        let heap = heap_stats();
        let left = heap.object_slabs + heap.magazine_slabs;
        (left, left.saturating_sub(ends.lost_slabs))
    }
}

/// Stops the threads, whatever happens to the one that watches them.
struct Stop<'a>(&'a World);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Relaxed);
    }
}

/// What was held and resident in a minute, as sums of multiples of what may be.
#[derive(Clone, Copy, Default)]
struct Minute {
    held: f64,
    resident: f64,
    samples: f64,
}

impl Minute {
    fn held(&self) -> f64 {
        self.held / self.samples
    }

    fn resident(&self) -> f64 {
        self.resident / self.samples
    }
}

/// What the library may hold while so much is out of slabs and of depots: depots together 4 MiB and an
/// eighth, free memory 6 MiB and a sixteenth.
fn allowed(out: usize) -> usize {
    out + (4 << 20) + out / 8 + (6 << 20) + out / 16
}

/// Looks at a pool, and returns how many bytes of objects callers and children have.
fn look(world: &World, place: &Place, closely: bool) -> usize {
    let memory = place.memory.read().unwrap();
    // SAFETY: the pool exists.
    if closely && unsafe { slab_validate(memory.parent()) } != 0 {
        problem("a structure is broken");
    }
    let stats = place.stats(&memory);
    // Who lets it sleep, or end, waits for this thread; who lets it awake does not.
    let asleep_from = place.asleep_from.load(Relaxed);
    let turn = world.turn.load(Relaxed);
    let sleeps = asleep_from != 0 && turn < asleep_from + POOLS - AWAKE;
    let is_kept = stats.objects_in_depot != 0 || stats.slabs_empty != 0;
    if sleeps && turn >= asleep_from + SLEPT && is_kept {
        problem(&format!(
            "pool of {} bytes, asleep for {} turns: {} objects in the depot, {} empty slabs",
            stats.item_size,
            turn - asleep_from,
            stats.objects_in_depot,
            stats.slabs_empty,
        ));
    }
    (stats.objects_out - stats.objects_in_depot) * stats.element_size
}

/// Runs it, prints what it shows, and returns how many problems there were.
pub fn run(arguments: &Arguments) -> u64 {
    watch_reports();
    let threads = arguments.threads.clamp(1, MOST_CHILDREN);
    let world = World::new(threads);
    let resident_before = resident();
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(60.0 * arguments.minutes);
    let mut minutes: Vec<Minute> = Vec::new();
    let (mut looks, mut peak) = (0, 0);

    println!("minute   operations    turns  live KiB  held KiB   held  resident  problems");
    thread::scope(|scope| {
        let _stop = Stop(&world);
        for index in 0..threads {
            let (world, seed) = (&world, arguments.seed);
            scope.spawn(move || worker::run(world, index, seed));
        }
        while Instant::now() < end {
            let minute_end = end.min(start + Duration::from_secs(60 * (minutes.len() as u64 + 1)));
            let mut minute = Minute::default();
            let (mut live_sum, mut held_sum) = (0, 0);
            while minute.samples == 0.0 || Instant::now() < minute_end {
                thread::sleep(Duration::from_millis(20));
                let mut out = world.ends.lock().unwrap().lost_slabs;
                for (index, place) in world.places.iter().enumerate() {
                    out += look(&world, place, index == looks % POOLS);
                }
                looks += 1;
                // SAFETY: null is no pool.
                if looks % POOLS == 0 && unsafe { slab_validate(std::ptr::null_mut()) } != 0 {
                    problem("the heap is broken");
                }
                let (live, held) = (world.live.load(Relaxed), heap_stats().held);
                let may_be = allowed(out) as f64;
                minute.held += held as f64 / may_be;
                minute.resident += resident().saturating_sub(resident_before) as f64 / may_be;
                minute.samples += 1.0;
                (live_sum, held_sum, peak) = (live_sum + live, held_sum + held, peak.max(held));
            }
            let samples = minute.samples as usize;
            println!(
                "{:6} {:12} {:8} {:9} {:9} {:6.2} {:9.2} {:9}",
                minutes.len() + 1,
                world.operations.load(Relaxed),
                world.turn.load(Relaxed),
                (live_sum / samples) >> 10,
                (held_sum / samples) >> 10,
                minute.held(),
                minute.resident(),
                problems(),
            );
            if minute.held() > MOST {
                problem("more is held than may be");
            }
            minutes.push(minute);
        }
    });

    if let [_, second, .., last] = &minutes[..] {
        if last.held() > 1.1 * second.held() || last.resident() > 1.1 * second.resident() {
            problem("memory has grown");
        }
    }
    let (left, too_many) = world.take_down();
    if too_many != 0 {
        problem("something is left in the end");
    }
    let ends = world.ends.lock().unwrap();
    println!("operations: {}", world.operations.load(Relaxed));
    println!("pools that fell asleep: {}", world.turn.load(Relaxed));
    println!(
        "pools that ended: {} destroyed, {} with memory that was overwritten, {} with memory that was gone",
        ends.destroyed, ends.overwritten, ends.taken_away
    );
    println!("structures checked: {looks} times; peak: {} KiB held", peak >> 10);
    println!(
        "left in the end: {left} bytes, by children that were forgotten with {} at most",
        ends.lost_slabs
    );
    problems()
}
