//! A pool that threads call without a child of their own: one thread, and two at the same time.

use super::crew::Crew;
use super::{ITEM_SIZE, NUM_ITEMS, Session, Workload};
use crate::allocators::Allocator;
use crate::groups::Shared;
use crate::pools::Objects;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pairs of each thread in a pass.
const PAIRS: usize = 200_000;

struct AnyThread(Crew);

impl AnyThread {
    /// With batches of one, an object is freed before the next one is allocated.
    fn new(allocator: &Allocator, batch: usize, threads: usize) -> Self {
        let pool = Arc::new(Shared::new(allocator, ITEM_SIZE, NUM_ITEMS));
        let part = |_| {
            let pool = Arc::clone(&pool);
            let mut objects = Objects::none(batch);
            move |passes: u64| {
                let start = Instant::now();
                for _ in 0..passes {
                    if batch == 1 {
                        pool.pairs(PAIRS);
                    } else {
                        for _ in 0..PAIRS / batch {
                            pool.alloc_all(&mut objects);
                            pool.free_all(&objects);
                        }
                    }
                }
                start.elapsed()
            }
        };
        Self(Crew::new((0..threads).map(part).collect()))
    }
}

impl Session for AnyThread {
    fn run(&mut self, passes: u64) -> Duration {
        let taken = self.0.run(passes);
        taken.iter().sum::<Duration>() / taken.len() as u32
    }
}

pub fn workload(what: &str, batch: usize, threads: usize) -> Workload {
    let name = |threads| match threads {
        1 => format!("{what}, 1 thread"),
        _ => format!("{what}, {threads} threads"),
    };
    let operations = (threads * (PAIRS / batch * batch)) as u64;
    let workload = Workload::new(name(threads), "alloc + free", operations, move |allocator| {
        AnyThread::new(allocator, batch, threads)
    });
    let workload = workload.with_threads(threads).without_loops();
    if threads == 1 { workload } else { workload.compared_to(name(1)) }
}
