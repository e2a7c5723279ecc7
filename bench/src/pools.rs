//! A parent with children of one allocator, as workloads use them.

use crate::api::{Api, Child, Object, Parent};

/// Pools of one allocator, destroyed with their owner. Objects must have been freed by then.
pub struct Pools {
    api: Api,
    parent: Box<Parent>,
    children: Box<[Child]>,
}

/// One child of [`Pools`], with the calls on it.
///
/// A copy may be moved to another thread; one child is used by one thread at a time, and does not
/// outlive its pools. The workloads keep to that.
#[derive(Clone, Copy)]
pub struct Handle {
    alloc: unsafe extern "C" fn(*mut Child) -> Object,
    free: unsafe extern "C" fn(*mut Child, Object),
    child: *mut Child,
}

// SAFETY: slab.h binds a child to no thread; see the contract above.
unsafe impl Send for Handle {}

impl Handle {
    #[inline(always)]
    pub fn alloc(&self) -> Object {
        // SAFETY: the child exists and is used by this thread alone, by the contract above.
        unsafe { (self.alloc)(self.child) }
    }

    #[inline(always)]
    pub fn free(&self, object: Object) {
        // SAFETY: likewise, and each workload frees an object once.
        unsafe { (self.free)(self.child, object) }
    }
}

impl Pools {
    pub fn new(api: &Api, item_size: u32, num_items: u32, children: usize) -> Self {
        let mut pools =
            Self { api: *api, parent: Box::new(Parent::zeroed()), children: Child::many(children) };
        // SAFETY: the storage is large enough and stays where it is.
        unsafe { (api.create_parent)(&raw mut *pools.parent, item_size, num_items) };
        for child in &mut pools.children {
            // SAFETY: likewise, and the parent was created above.
            unsafe { (api.create_child)(child, &raw mut *pools.parent) };
        }
        pools
    }

    pub fn child(&mut self, index: usize) -> Handle {
        Handle { alloc: self.api.alloc, free: self.api.free, child: &raw mut self.children[index] }
    }

    /// For children that a workload creates and destroys itself.
    pub fn parent(&mut self) -> *mut Parent {
        &raw mut *self.parent
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
