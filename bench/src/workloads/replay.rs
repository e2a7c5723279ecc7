//! The recorded calls of a real driver, made again by one thread.

use super::{Pass, Workload};
use crate::api::{Api, Child, Mempool, Object, Parent};
use crate::trace::{Call, Trace};
use std::rc::Rc;

struct Replay {
    api: Api,
    trace: Rc<Trace>,
    parents: Box<[Parent]>,
    mempools: Box<[Mempool]>,
    children: Box<[Child]>,
    objects: Box<[Object]>,
}

impl Replay {
    /// # Safety
    /// The calls before this one in the trace have been made.
    unsafe fn make(&mut self, call: Call) {
        let api = &self.api;
        // SAFETY: `Trace` has checked that the calls are in a legal order: what is used exists, or
        // is zeroed or destroyed where slab.h allows it, and an object is freed once.
        unsafe {
            match call {
                Call::CreateParent { parent, item_size, num_items } => {
                    (api.create_parent)(&mut self.parents[parent], item_size, num_items);
                }
                Call::DestroyParent { parent } => (api.destroy_parent)(&mut self.parents[parent]),
                Call::CreateChild { child, parent } => {
                    (api.create_child)(&mut self.children[child], &mut self.parents[parent]);
                }
                Call::DestroyChild { child } => (api.destroy_child)(&mut self.children[child]),
                Call::Alloc { child, object } => {
                    self.objects[object] = (api.alloc)(&mut self.children[child]);
                }
                Call::Zalloc { child, object } => {
                    self.objects[object] = (api.zalloc)(&mut self.children[child]);
                }
                Call::Free { child, object } => {
                    (api.free)(&mut self.children[child], self.objects[object]);
                }
                Call::Create { mempool, item_size, num_items } => {
                    (api.create)(&mut self.mempools[mempool], item_size, num_items);
                }
                Call::Destroy { mempool } => (api.destroy)(&mut self.mempools[mempool]),
                Call::AllocSt { mempool, object } => {
                    self.objects[object] = (api.alloc_st)(&mut self.mempools[mempool]);
                }
                Call::FreeSt { mempool, object } => {
                    (api.free_st)(&mut self.mempools[mempool], self.objects[object]);
                }
            }
        }
    }
}

impl Pass for Replay {
    fn pass(&mut self) {
        let trace = Rc::clone(&self.trace);
        for &call in &trace.calls {
            // SAFETY: they are made in order, and a trace leaves nothing behind.
            unsafe { self.make(call) };
        }
    }
}

pub fn workload(trace: Rc<Trace>) -> Workload {
    Workload::new(
        format!("replay {}", trace.name),
        "call",
        trace.calls.len() as u64,
        move |allocator| Replay {
            api: allocator.api,
            parents: Parent::many(trace.parents),
            mempools: Mempool::many(trace.parents),
            children: Child::many(trace.children),
            objects: vec![std::ptr::null_mut(); trace.objects].into(),
            trace: Rc::clone(&trace),
        },
    )
    .without_loops()
}
