//! Threads that write their objects: where an allocator gives two threads objects on one line of
//! the cache, each write of one waits for the other core.
//!
//! Each thread writes an object many times, frees it, and allocates the next one, through its own
//! child.

use super::crew::Crew;
use super::{NUM_ITEMS, Session, Workload};
use crate::allocators::Allocator;
use crate::api::Object;
use crate::pools::{Handle, Pools};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const THREADS: usize = 2;
/// Four to a line of the cache.
const ITEM_SIZE: u32 = 16;
const OBJECTS: u64 = 500;
const WRITES: u32 = 100;

/// Where a thread's first object comes from.
#[derive(Clone, Copy, PartialEq)]
pub enum Origin {
    /// From its own child, while the other thread allocates as well.
    Own,
    /// From one thread, which allocated the objects of all, one after the other.
    Handed,
}

struct Part {
    child: Handle,
    /// Null until the thread has allocated its first, unless it was handed one.
    object: Object,
}

// SAFETY: the object is this thread's alone, and so is the child.
unsafe impl Send for Part {}

fn write(object: Object) {
    // SAFETY: an object has 16 bytes and is aligned for a number. It is written as an atomic since
    // the null allocator gives the same address to several.
    let number = unsafe { &*object.cast::<AtomicU64>() };
    for value in 0..WRITES {
        number.store(u64::from(value), Ordering::Relaxed);
        // Each of them is made.
        std::hint::black_box(number);
    }
}

impl Part {
    fn objects(&mut self, objects: u64) -> Duration {
        if self.object.is_null() {
            self.object = self.child.alloc();
        }
        let start = Instant::now();
        for _ in 0..objects {
            write(self.object);
            self.child.free(self.object);
            self.object = self.child.alloc();
        }
        start.elapsed()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.object.is_null() {
            self.child.free(self.object);
        }
    }
}

struct FalseSharing {
    crew: Crew,
    _pools: Pools,
}

impl FalseSharing {
    fn new(allocator: &Allocator, origin: Origin) -> Self {
        let mut pools = Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, THREADS);
        let first = pools.child(0);
        let part = |index| {
            let object = match origin {
                Origin::Own => std::ptr::null_mut(),
                Origin::Handed => first.alloc(),
            };
            let mut part = Part { child: pools.child(index), object };
            move |passes| part.objects(passes * OBJECTS)
        };
        Self { crew: Crew::new((0..THREADS).map(part).collect()), _pools: pools }
    }
}

impl Session for FalseSharing {
    fn run(&mut self, passes: u64) -> Duration {
        self.crew.run(passes).iter().sum::<Duration>() / THREADS as u32
    }
}

pub fn workload(name: &str, origin: Origin) -> Workload {
    let operations = THREADS as u64 * OBJECTS;
    Workload::new(name, "object written", operations, move |allocator| {
        FalseSharing::new(allocator, origin)
    })
    .with_threads(THREADS)
    .without_loops()
}
