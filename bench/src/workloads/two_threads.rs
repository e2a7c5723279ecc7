//! Two threads, each with its own child of one parent, allocate batches and free them at the same time.
//!
//! Operations of both threads are counted: where they do not disturb each other, one takes half the
//! time of one in a batch on a single thread.

use super::pinned::spawn_second;
use super::{ITEM_SIZE, NUM_ITEMS, Session, Workload};
use crate::api::Object;
use crate::pools::{Handle, Pools};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// Objects that each thread allocates in a pass: much work against two wake-ups.
const PASS: usize = 200_000;

struct TwoThreads {
    child: Handle,
    objects: Box<[Object]>,
    rounds: usize,
    /// None while being dropped, which ends the thread.
    start: Option<Sender<()>>,
    done: Receiver<()>,
    second: Option<JoinHandle<()>>,
    _pools: Pools,
}

fn run(child: Handle, objects: &mut [Object], rounds: usize) {
    for _ in 0..rounds {
        objects.iter_mut().for_each(|object| *object = child.alloc());
        objects.iter().rev().for_each(|&object| child.free(object));
    }
}

impl TwoThreads {
    fn new(mut pools: Pools, count: usize, rounds: usize) -> Self {
        let (start, started) = channel();
        let (finished, done) = channel();
        let child = pools.child(1);
        let second = spawn_second(move || {
            let mut objects = vec![std::ptr::null_mut(); count];
            while started.recv().is_ok() {
                run(child, &mut objects, rounds);
                if finished.send(()).is_err() {
                    return;
                }
            }
        });
        Self {
            child: pools.child(0),
            objects: vec![std::ptr::null_mut(); count].into(),
            rounds,
            start: Some(start),
            done,
            second: Some(second),
            _pools: pools,
        }
    }
}

impl Session for TwoThreads {
    fn pass(&mut self) {
        let start = self.start.as_ref().expect("it is taken by drop alone");
        start.send(()).expect("the second thread lives as long as the session");
        run(self.child, &mut self.objects, self.rounds);
        self.done.recv().expect("the second thread lives as long as the session");
    }
}

impl Drop for TwoThreads {
    fn drop(&mut self) {
        // The thread uses a child of the pools, which are dropped after this.
        self.start = None;
        if let Some(second) = self.second.take() {
            let _ = second.join();
        }
    }
}

pub fn workload(name: &str, count: usize) -> Workload {
    let rounds = PASS / count;
    Workload::new(name, "alloc + free", (2 * rounds * count) as u64, move |api| {
        TwoThreads::new(Pools::new(api, ITEM_SIZE, NUM_ITEMS, 2), count, rounds)
    })
    .with_threads()
}
