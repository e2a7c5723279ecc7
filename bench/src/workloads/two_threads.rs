//! Two threads, each with its own child of one parent, allocate batches, free them, or do both, at
//! the same time; and one thread that does the same alone.
//!
//! Operations of all threads are counted: where two do not disturb each other, one takes half of
//! the time that it takes on one thread.

use super::crew::{Crew, Gate};
use super::{ITEM_SIZE, NUM_ITEMS, Session, Workload};
use crate::allocators::Allocator;
use crate::pools::{Handle, Objects, Pools};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Objects that each thread allocates in a pass.
const PASS: usize = 200_000;

/// What of the life of objects is timed. What is not is done between two gates, so that all threads
/// allocate at a time, and all free.
#[derive(Clone, Copy, PartialEq)]
pub enum Phases {
    Both,
    Alloc,
    Free,
}

struct Part {
    child: Handle,
    objects: Objects,
    phases: Phases,
    gate: Arc<Gate>,
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

impl Part {
    fn batches(&mut self, batches: u64) -> Duration {
        let (child, objects) = (self.child, &mut self.objects.0);
        if self.phases == Phases::Both {
            return timed(|| {
                for _ in 0..batches {
                    child.alloc_all(objects);
                    child.free_lifo(objects);
                }
            });
        }
        let mut taken = Duration::ZERO;
        for _ in 0..batches {
            self.gate.pass();
            let allocating = timed(|| child.alloc_all(objects));
            self.gate.pass();
            let freeing = timed(|| child.free_lifo(objects));
            taken += if self.phases == Phases::Alloc { allocating } else { freeing };
        }
        taken
    }
}

struct TwoThreads {
    crew: Crew,
    _pools: Pools,
}

impl TwoThreads {
    fn new(allocator: &Allocator, phases: Phases, count: usize, threads: usize) -> Self {
        let mut pools = Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, threads);
        let gate = Arc::new(Gate::new(threads));
        let batches = (PASS / count) as u64;
        let part = |index| {
            let gate = Arc::clone(&gate);
            let mut part =
                Part { child: pools.child(index), objects: Objects::none(count), phases, gate };
            move |passes| part.batches(passes * batches)
        };
        Self { crew: Crew::new((0..threads).map(part).collect()), _pools: pools }
    }
}

impl Session for TwoThreads {
    fn run(&mut self, passes: u64) -> Duration {
        let taken = self.crew.run(passes);
        // They begin together; how long each has to wait for the other's end says nothing.
        taken.iter().sum::<Duration>() / taken.len() as u32
    }
}

pub fn workload(batch: &str, phases: Phases, count: usize, threads: usize) -> Workload {
    let (what, operation) = match phases {
        Phases::Both => ("alloc and free", "alloc + free"),
        Phases::Alloc => ("alloc only", "alloc"),
        Phases::Free => ("free only", "free"),
    };
    let name = |threads| match threads {
        1 => format!("{what} {batch}, 1 thread"),
        _ => format!("{what} {batch}, {threads} threads"),
    };
    let operations = (threads * PASS / count * count) as u64;
    let workload = Workload::new(name(threads), operation, operations, move |allocator| {
        TwoThreads::new(allocator, phases, count, threads)
    });
    let workload = workload.with_threads(threads);
    if threads == 1 { workload } else { workload.compared_to(name(1)) }
}
