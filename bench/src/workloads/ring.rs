//! Threads in a ring: each allocates batches and passes them on to the next one, which frees them.
//!
//! Each thread has as many batches of its own as may be under way, and sleeps when nothing comes.

use super::crew::Crew;
use super::{ITEM_SIZE, NUM_ITEMS, Session, Workload};
use crate::allocators::Allocator;
use crate::pools::{Handle, Objects, Pools};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

const BATCH: usize = 256;
const QUEUE: u64 = 8;
/// Of each thread in a pass.
const BATCHES: u64 = 64;

struct Part {
    child: Handle,
    empty: Vec<Objects>,
    to_next: Sender<Objects>,
    from_previous: Receiver<Objects>,
}

const ALIVE: &str = "all threads live as long as the session";

impl Part {
    fn send(&mut self) {
        let mut objects = self.empty.pop().expect("as many were received as sent");
        self.child.alloc_all(&mut objects.0);
        self.to_next.send(objects).expect(ALIVE);
    }

    fn receive(&mut self) {
        let objects = self.from_previous.recv().expect(ALIVE);
        self.child.free_fifo(&objects.0);
        self.empty.push(objects);
    }

    fn batches(&mut self, batches: u64) -> Duration {
        let start = Instant::now();
        let ahead = QUEUE.min(batches);
        (0..ahead).for_each(|_| self.send());
        for _ in ahead..batches {
            self.receive();
            self.send();
        }
        (0..ahead).for_each(|_| self.receive());
        start.elapsed()
    }
}

struct Ring {
    crew: Crew,
    _pools: Pools,
}

impl Ring {
    fn new(allocator: &Allocator, threads: usize) -> Self {
        let mut pools = Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, threads);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..threads).map(|_| channel()).unzip();
        let part = |(index, from_previous)| {
            let mut part = Part {
                child: pools.child(index),
                empty: (0..QUEUE).map(|_| Objects::none(BATCH)).collect(),
                to_next: senders[(index + 1) % threads].clone(),
                from_previous,
            };
            move |passes| part.batches(passes * BATCHES)
        };
        Self {
            crew: Crew::new(receivers.into_iter().enumerate().map(part).collect()),
            _pools: pools,
        }
    }
}

impl Session for Ring {
    fn run(&mut self, passes: u64) -> Duration {
        self.crew.run(passes).into_iter().max().unwrap_or_default()
    }
}

pub fn workload(threads: usize) -> Workload {
    let name = |threads| format!("ring of {threads}");
    let operations = threads as u64 * BATCHES * BATCH as u64;
    let workload = Workload::new(name(threads), "alloc + free", operations, move |allocator| {
        Ring::new(allocator, threads)
    });
    let workload = workload.with_threads(threads);
    if threads == 1 { workload } else { workload.compared_to(name(1)) }
}
