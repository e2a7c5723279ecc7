//! The recorded calls of a real driver, made again by one thread, and by several.

use super::crew::{Crew, Gate, wait_until};
use super::{Pass, Session, Workload};
use crate::allocators::Allocator;
use crate::api::{Api, Child, Mempool, Object, Parent};
use crate::refusal::{NO_MEMORY, refuse};
use crate::trace::schedule::{Step, schedule};
use crate::trace::{Call, Trace};
use std::cell::UnsafeCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The pools and objects of a trace.
pub struct Stage {
    api: Api,
    parents: Box<[UnsafeCell<Parent>]>,
    mempools: Box<[UnsafeCell<Mempool>]>,
    children: Box<[UnsafeCell<Child>]>,
    objects: Box<[UnsafeCell<Object>]>,
}

// SAFETY: its only function is unsafe, and asks callers for an order in which no two threads use
// one pool or object at the same time in another way than slab.h allows.
unsafe impl Sync for Stage {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Stage {}

impl Stage {
    pub fn new(allocator: &Allocator, trace: &Trace) -> Self {
        fn many<T>(count: usize, new: impl Fn() -> T) -> Box<[UnsafeCell<T>]> {
            (0..count).map(|_| UnsafeCell::new(new())).collect()
        }
        Self {
            api: allocator.api,
            parents: many(trace.parents, Parent::zeroed),
            mempools: many(trace.parents, Mempool::zeroed),
            children: many(trace.children, Child::zeroed),
            objects: many(trace.objects, std::ptr::null_mut),
        }
    }

    /// # Safety
    /// The calls before this one in the trace on the same child, mempool and object have been made,
    /// and happened before this one; a call on a parent comes after all before it, and before all
    /// after it.
    pub unsafe fn make(&self, call: Call) {
        let api = &self.api;
        // SAFETY: `Trace` has checked that the calls are in a legal order: what is used exists, or
        // is zeroed or destroyed where slab.h allows it, and an object is freed once.
        unsafe {
            match call {
                Call::CreateParent { parent, item_size, num_items } => {
                    (api.create_parent)(self.parents[parent].get(), item_size, num_items);
                }
                Call::DestroyParent { parent } => (api.destroy_parent)(self.parents[parent].get()),
                Call::CreateChild { child, parent } => {
                    (api.create_child)(self.children[child].get(), self.parents[parent].get());
                }
                Call::DestroyChild { child } => (api.destroy_child)(self.children[child].get()),
                Call::Alloc { child, object } => {
                    *self.objects[object].get() = (api.alloc)(self.children[child].get());
                }
                Call::Zalloc { child, object } => {
                    *self.objects[object].get() = (api.zalloc)(self.children[child].get());
                }
                Call::Free { child, object } => {
                    (api.free)(self.children[child].get(), *self.objects[object].get());
                }
                Call::Create { mempool, item_size, num_items } => {
                    (api.create)(self.mempools[mempool].get(), item_size, num_items);
                }
                Call::Destroy { mempool } => (api.destroy)(self.mempools[mempool].get()),
                Call::AllocSt { mempool, object } => {
                    *self.objects[object].get() = (api.alloc_st)(self.mempools[mempool].get());
                }
                Call::FreeSt { mempool, object } => {
                    (api.free_st)(self.mempools[mempool].get(), *self.objects[object].get());
                }
            }
        }
    }
}

impl Stage {
    /// Writes the object that a call has allocated, as its user does.
    ///
    /// # Safety
    /// The call was made last on this object, which has so many bytes.
    pub unsafe fn write(&self, call: Call, item_size: u32) {
        if let Call::Alloc { object, .. }
        | Call::Zalloc { object, .. }
        | Call::AllocSt { object, .. } = call
        {
            // SAFETY: the caller's.
            unsafe {
                let object = *self.objects[object].get();
                if object.is_null() {
                    refuse(NO_MEMORY);
                }
                object.cast::<u8>().write_bytes(0x5a, item_size as usize);
            }
        }
    }
}

struct Replay {
    stage: Stage,
    trace: Rc<Trace>,
}

impl Pass for Replay {
    fn pass(&mut self) {
        for &call in &self.trace.calls {
            // SAFETY: they are made in order, and a trace leaves nothing behind.
            unsafe { self.stage.make(call) };
        }
    }
}

pub fn workload(trace: &Rc<Trace>) -> Workload {
    let trace = Rc::clone(trace);
    Workload::new(name(&trace), "call", trace.calls.len() as u64, move |allocator| Replay {
        stage: Stage::new(allocator, &trace),
        trace: Rc::clone(&trace),
    })
    .without_loops()
}

fn name(trace: &Trace) -> String {
    format!("replay {}", trace.name)
}

/// How many steps a thread has made, on a line of the cache of its own.
#[repr(align(128))]
struct Progress(AtomicUsize);

struct Part {
    index: usize,
    stage: Arc<Stage>,
    schedule: Arc<[Vec<Step>]>,
    progress: Arc<[Progress]>,
    gate: Arc<Gate>,
    passes: usize,
}

impl Part {
    fn pass(&mut self) {
        // The numbers of steps go on from pass to pass, in strides that every thread has in common.
        let stride = self.schedule.iter().map(Vec::len).max().unwrap_or(0);
        let start = self.passes * stride;
        for (index, step) in self.schedule[self.index].iter().enumerate() {
            for &(other, steps) in &step.after {
                let progress = &self.progress[other].0;
                wait_until(|| progress.load(Ordering::Acquire) >= start + steps);
            }
            // SAFETY: `schedule` lets each step wait for those that have to come before it, and the
            // gate lets a pass begin when all have ended the one before.
            unsafe { self.stage.make(step.call) };
            if step.is_awaited {
                self.progress[self.index].0.store(start + index + 1, Ordering::Release);
            }
        }
        self.passes += 1;
        self.gate.pass();
    }
}

struct Threaded(Crew);

impl Threaded {
    fn new(allocator: &Allocator, trace: &Trace, steps: &Arc<[Vec<Step>]>) -> Self {
        let stage = Arc::new(Stage::new(allocator, trace));
        let threads = steps.len();
        let progress: Arc<[Progress]> =
            (0..threads).map(|_| Progress(AtomicUsize::new(0))).collect();
        let gate = Arc::new(Gate::new(threads));
        let part = |index| {
            let mut part = Part {
                index,
                stage: Arc::clone(&stage),
                schedule: Arc::clone(steps),
                progress: Arc::clone(&progress),
                gate: Arc::clone(&gate),
                passes: 0,
            };
            move |passes| {
                let start = Instant::now();
                (0..passes).for_each(|_| part.pass());
                start.elapsed()
            }
        };
        Self(Crew::new((0..threads).map(part).collect()))
    }
}

impl Session for Threaded {
    fn run(&mut self, passes: u64) -> Duration {
        self.0.run(passes).into_iter().max().unwrap_or_default()
    }
}

/// The same with the threads of the program, if it had several.
pub fn threaded(trace: &Rc<Trace>) -> Option<Workload> {
    let steps: Arc<[Vec<Step>]> = schedule(trace).into();
    let threads = steps.len();
    let one_thread = name(trace);
    let trace = Rc::clone(trace);
    (threads > 1).then(|| {
        let name = format!("{one_thread}, {threads} threads");
        Workload::new(name, "call", trace.calls.len() as u64, move |allocator| {
            Threaded::new(allocator, &trace, &steps)
        })
        .with_threads(threads)
        .without_loops()
    })
}
