//! Objects of any size, and objects for any thread, of one allocator, as workloads use them.

use crate::allocators::Allocator;
use crate::api::{Groups, Object};
use crate::pools::Objects;
use std::ffi::c_void;
use std::hint::black_box;

const NONE: &str = "the workload is not for an allocator without";

/// A set of sizes with children of one allocator, destroyed with their owner. Objects must have been
/// freed by then.
pub struct Sizes {
    functions: Groups,
    set: *mut c_void,
    children: Vec<*mut c_void>,
}

/// One child of [`Sizes`]. A copy is used by one thread at a time, and does not outlive its set.
/// Objects come from this set, and each is freed once. The workloads keep to that.
#[derive(Clone, Copy)]
pub struct SizesHandle {
    functions: Groups,
    child: *mut c_void,
}

impl Sizes {
    pub fn new(allocator: &Allocator, children: usize) -> Self {
        let functions = allocator.groups.expect(NONE);
        // SAFETY: there are no options; the set is destroyed with its owner.
        let set = unsafe { (functions.create_sizes)(std::ptr::null()) };
        // SAFETY: the set was created just now.
        let child = |_| unsafe { (functions.create_sizes_child)(set) };
        Self { functions, set, children: (0..children).map(child).collect() }
    }

    pub fn child(&self, index: usize) -> SizesHandle {
        SizesHandle { functions: self.functions, child: self.children[index] }
    }
}

impl Drop for Sizes {
    fn drop(&mut self) {
        // SAFETY: they were created by `new`, and nobody uses them any more.
        unsafe {
            for &child in &self.children {
                (self.functions.destroy_sizes_child)(child);
            }
            (self.functions.destroy_sizes)(self.set);
        }
    }
}

impl SizesHandle {
    pub fn alloc(&self, bytes: u32) -> Object {
        // SAFETY: the child exists and is used by this thread alone, by the contract above; so in
        // all that follow.
        unsafe { (self.functions.sizes_alloc)(self.child, bytes as usize) }
    }

    pub fn free(&self, object: Object) {
        // SAFETY: as above.
        unsafe { (self.functions.sizes_free)(self.child, object) }
    }

    /// Allocates and frees an object of each size.
    pub fn pairs(&self, bytes: &[u32]) {
        for &bytes in bytes {
            self.free(black_box(self.alloc(bytes)));
        }
    }

    pub fn alloc_all(&self, objects: &mut [Object], bytes: &[u32]) {
        for (object, &bytes) in objects.iter_mut().zip(bytes) {
            *object = self.alloc(bytes);
        }
    }

    /// Frees the first one first.
    pub fn free_fifo(&self, objects: &[Object]) {
        objects.iter().for_each(|&object| self.free(object));
    }

    /// Frees the object at each index, and allocates one of another size in its place.
    pub fn churn(&self, live: &mut [Object], steps: &[(u32, u32)]) {
        for &(index, bytes) in steps {
            let object = &mut live[index as usize];
            self.free(*object);
            *object = self.alloc(bytes);
        }
    }
}

/// A pool for any thread, destroyed with its last owner.
pub struct Shared {
    functions: Groups,
    pool: *mut c_void,
}

// SAFETY: that is what such a pool is for.
unsafe impl Send for Shared {}
// SAFETY: likewise.
unsafe impl Sync for Shared {}

impl Shared {
    pub fn new(allocator: &Allocator, item_size: u32, num_items: u32) -> Self {
        let functions = allocator.groups.expect(NONE);
        let options = crate::api::Options::of(item_size, num_items);
        // SAFETY: the options are whole; the pool is destroyed with its owner.
        let pool = unsafe { (functions.create_shared)(&options) };
        Self { functions, pool }
    }

    /// Allocates and frees an object, so many times.
    pub fn pairs(&self, count: usize) {
        for _ in 0..count {
            // SAFETY: the pool exists, and the object is freed once.
            unsafe {
                let object = black_box((self.functions.shared_alloc)(self.pool));
                (self.functions.shared_free)(self.pool, object);
            }
        }
    }

    pub fn alloc_all(&self, objects: &mut Objects) {
        for object in &mut objects.0 {
            // SAFETY: the pool exists.
            *object = unsafe { (self.functions.shared_alloc)(self.pool) };
        }
    }

    pub fn free_all(&self, objects: &Objects) {
        for &object in objects.0.iter().rev() {
            // SAFETY: the pool exists, and workloads free each object once.
            unsafe { (self.functions.shared_free)(self.pool, object) }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: it was created by `new`, and nobody uses it any more.
        unsafe { (self.functions.destroy_shared)(self.pool) }
    }
}
