//! One thread allocates, another frees: what an application's thread and a driver's do.
//!
//! Objects travel in batches, of which there are only as many as the queue may hold, so that neither
//! thread runs far ahead. A thread that has none sleeps.

use super::pinned::spawn_second;
use super::{ITEM_SIZE, NUM_ITEMS, Session, Workload};
use crate::api::Object;
use crate::pools::{Handle, Pools};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

const BATCH: usize = 256;
const QUEUE: usize = 8;
const BATCHES: usize = 256;

struct Parcel(Box<[Object]>);

// SAFETY: objects belong to no thread; whoever has the parcel is the only one to use them.
unsafe impl Send for Parcel {}

struct Handover {
    allocating: Handle,
    /// Emptied parcels; all of them between passes.
    empty: Vec<Parcel>,
    emptied: Receiver<Parcel>,
    /// None while being dropped, which ends the thread.
    filled: Option<Sender<Parcel>>,
    consumer: Option<JoinHandle<()>>,
    _pools: Pools,
}

fn consume(freeing: Handle, filled: Receiver<Parcel>, emptied: Sender<Parcel>) {
    for parcel in filled {
        parcel.0.iter().for_each(|&object| freeing.free(object));
        if emptied.send(parcel).is_err() {
            return;
        }
    }
}

impl Handover {
    fn new(mut pools: Pools) -> Self {
        let (filled, to_free) = channel();
        let (to_refill, emptied) = channel();
        let freeing = pools.child(1);
        let consumer = spawn_second(move || consume(freeing, to_free, to_refill));
        Self {
            allocating: pools.child(0),
            empty: (0..QUEUE).map(|_| Parcel([std::ptr::null_mut(); BATCH].into())).collect(),
            emptied,
            filled: Some(filled),
            consumer: Some(consumer),
            _pools: pools,
        }
    }

    fn wait_for_parcel(&self) -> Parcel {
        self.emptied.recv().expect("the consumer lives as long as the session")
    }
}

impl Session for Handover {
    fn pass(&mut self) {
        for _ in 0..BATCHES {
            let mut parcel = self.empty.pop().unwrap_or_else(|| self.wait_for_parcel());
            parcel.0.iter_mut().for_each(|object| *object = self.allocating.alloc());
            let filled = self.filled.as_ref().expect("it is taken by drop alone");
            filled.send(parcel).expect("the consumer lives as long as the session");
        }
        while self.empty.len() < QUEUE {
            self.empty.push(self.wait_for_parcel());
        }
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        // The consumer uses a child of the pools, which are dropped after this.
        self.filled = None;
        if let Some(consumer) = self.consumer.take() {
            let _ = consumer.join();
        }
    }
}

pub fn workload(name: &str) -> Workload {
    Workload::new(name, "alloc + free", (BATCHES * BATCH) as u64, |api| {
        Handover::new(Pools::new(api, ITEM_SIZE, NUM_ITEMS, 2))
    })
    .with_threads()
}
