//! A parent with children of one allocator, as workloads use them.

use crate::allocators::Allocator;
use crate::api::{Api, Child, Loops, Object, Parent};
use crate::refusal::refuse;
use std::ptr;

/// Pools of one allocator, destroyed with their owner. Objects must have been freed by then.
pub struct Pools {
    api: Api,
    loops: &'static Loops,
    parent: Box<Parent>,
    children: Box<[Child]>,
}

/// One child of [`Pools`], with the loops of calls on it.
///
/// A copy may be moved to another thread; one child is used by one thread at a time, and does not
/// outlive its pools. Objects come from these pools, and each is freed once. The workloads keep to
/// that.
#[derive(Clone, Copy)]
pub struct Handle {
    api: Api,
    loops: &'static Loops,
    child: *mut Child,
}

// SAFETY: slab.h binds a child to no thread; see the contract above.
unsafe impl Send for Handle {}

/// Objects on their way between threads.
pub struct Objects(pub Box<[Object]>);

// SAFETY: objects belong to no thread; whoever has the list is the only one to use them.
unsafe impl Send for Objects {}

impl Objects {
    pub fn none(count: usize) -> Self {
        Self(vec![ptr::null_mut(); count].into())
    }
}

impl Handle {
    pub fn alloc(&self) -> Object {
        // SAFETY: the child exists and is used by this thread alone, by the contract above; so in
        // all that follow.
        unsafe { (self.api.alloc)(self.child) }
    }

    pub fn free(&self, object: Object) {
        // SAFETY: as above.
        unsafe { (self.api.free)(self.child, object) }
    }

    /// Allocates and frees an object, so many times.
    pub fn pairs(&self, count: usize) {
        // SAFETY: as above.
        unsafe { (self.loops.pairs)(&self.api, self.child, count) }
    }

    /// The same, where each call needs the address that the one before has given or taken.
    pub fn chained_pairs(&self, count: usize) {
        // SAFETY: as above.
        unsafe { (self.loops.chained_pairs)(&self.api, self.child, count) }
    }

    /// Allocates the objects and frees them, each call with the address of the one before.
    pub fn chained_batch(&self, objects: &mut [Object]) {
        let (pointers, count) = (objects.as_mut_ptr(), objects.len());
        // SAFETY: as above.
        unsafe { (self.loops.chained_batch)(&self.api, self.child, pointers, count) }
    }

    pub fn alloc_all(&self, objects: &mut [Object]) {
        // SAFETY: as above.
        unsafe { (self.loops.alloc)(&self.api, self.child, objects.as_mut_ptr(), objects.len()) }
    }

    /// Frees the last one first.
    pub fn free_lifo(&self, objects: &[Object]) {
        // SAFETY: as above.
        unsafe { (self.loops.free_lifo)(&self.api, self.child, objects.as_ptr(), objects.len()) }
    }

    /// Frees the first one first.
    pub fn free_fifo(&self, objects: &[Object]) {
        // SAFETY: as above.
        unsafe { (self.loops.free_fifo)(&self.api, self.child, objects.as_ptr(), objects.len()) }
    }

    /// Frees the object at each index, and allocates another in its place.
    pub fn churn(&self, live: &mut [Object], indices: &[u32]) {
        debug_assert!(indices.iter().all(|&index| (index as usize) < live.len()));
        let (objects, count) = (live.as_mut_ptr(), indices.len());
        // SAFETY: as above, and the indices are of the objects.
        unsafe { (self.loops.churn)(&self.api, self.child, objects, indices.as_ptr(), count) }
    }
}

fn refuse_if_failed(allocator: &Allocator) {
    if let Some(why) = allocator.failed() {
        refuse(why);
    }
}

impl Pools {
    pub fn new(allocator: &Allocator, item_size: u32, num_items: u32, children: usize) -> Self {
        let Allocator { api, loops, .. } = *allocator;
        let mut pools = Self {
            api,
            loops,
            parent: Box::new(Parent::zeroed()),
            children: Child::many(children),
        };
        // SAFETY: the storage is large enough and stays where it is.
        unsafe { (api.create_parent)(&raw mut *pools.parent, item_size, num_items) };
        // Children are of a pool that is there.
        refuse_if_failed(allocator);
        for child in &mut pools.children {
            // SAFETY: likewise, and the parent was created above.
            unsafe { (api.create_child)(child, &raw mut *pools.parent) };
        }
        refuse_if_failed(allocator);
        pools
    }

    pub fn child(&mut self, index: usize) -> Handle {
        Handle { api: self.api, loops: self.loops, child: &raw mut self.children[index] }
    }

    /// Creates a further child, which is there until [`Pools::destroy`].
    pub fn create(&mut self, child: &mut Child) -> Handle {
        // SAFETY: the parent exists; the child is nobody else's.
        unsafe { (self.api.create_child)(child, &raw mut *self.parent) };
        Handle { api: self.api, loops: self.loops, child }
    }

    pub fn destroy(&mut self, child: &mut Child) {
        // SAFETY: zeroed memory and a destroyed child may be destroyed; this one is nobody else's.
        unsafe { (self.api.destroy_child)(child) }
    }

    /// The whole life of a child, so many times: it is created, allocates the objects, frees them,
    /// and is destroyed.
    pub fn lives(&mut self, child: &mut Child, objects: &mut [Object], count: usize) {
        let (parent, pointers) = (&raw mut *self.parent, objects.as_mut_ptr());
        // SAFETY: the parent exists; the child is nobody else's, and does not exist before or
        // after.
        unsafe { (self.loops.lives)(&self.api, child, parent, pointers, objects.len(), count) }
    }
}

impl Drop for Pools {
    fn drop(&mut self) {
        for child in &mut self.children {
            // SAFETY: it was created by `new`, and nobody uses it any more.
            unsafe { (self.api.destroy_child)(child) };
        }
        // SAFETY: likewise; its children are gone.
        unsafe { (self.api.destroy_parent)(&raw mut *self.parent) };
    }
}
