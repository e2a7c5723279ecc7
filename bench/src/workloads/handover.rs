//! One thread allocates, another frees: what an application's thread and a driver's do.
//!
//! Objects travel in batches, of which there are only as many as the queue may hold, so that
//! neither thread runs far ahead. A thread that has none sleeps.

use super::crew::Crew;
use super::{ITEM_SIZE, NUM_ITEMS, Session, Workload};
use crate::pools::{Handle, Objects, Pools};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

const BATCH: usize = 256;
const QUEUE: usize = 8;
const BATCHES: u64 = 256;

type Part = Box<dyn FnMut(u64) -> Duration + Send>;

struct Handover {
    crew: Crew,
    _pools: Pools,
}

const ALIVE: &str = "both threads live as long as the session";

fn producer(child: Handle, filled: Sender<Objects>, emptied: Receiver<Objects>) -> Part {
    Box::new(move |passes| {
        let start = Instant::now();
        for _ in 0..passes * BATCHES {
            let mut objects = emptied.recv().expect(ALIVE);
            child.alloc_all(&mut objects.0);
            filled.send(objects).expect(ALIVE);
        }
        start.elapsed()
    })
}

fn consumer(child: Handle, filled: Receiver<Objects>, emptied: Sender<Objects>) -> Part {
    Box::new(move |passes| {
        let start = Instant::now();
        for _ in 0..passes * BATCHES {
            let objects = filled.recv().expect(ALIVE);
            child.free_fifo(&objects.0);
            emptied.send(objects).expect(ALIVE);
        }
        start.elapsed()
    })
}

impl Handover {
    fn new(mut pools: Pools) -> Self {
        let (filled, to_free) = channel();
        let (emptied, to_fill) = channel();
        for _ in 0..QUEUE {
            emptied.send(Objects::none(BATCH)).expect("the other end is here");
        }
        let parts = vec![
            producer(pools.child(0), filled, to_fill),
            consumer(pools.child(1), to_free, emptied),
        ];
        Self { crew: Crew::new(parts), _pools: pools }
    }
}

impl Session for Handover {
    fn run(&mut self, passes: u64) -> Duration {
        // That of the consumer, which ends last.
        self.crew.run(passes).into_iter().max().unwrap_or_default()
    }
}

pub fn workload(name: &str) -> Workload {
    Workload::new(name, "alloc + free", BATCHES * BATCH as u64, |allocator| {
        Handover::new(Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, 2))
    })
    .with_threads(2)
}
