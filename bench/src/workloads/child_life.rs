//! The whole life of a child: created, used for a few objects, destroyed. Some drivers have one per
//! submit.

use super::{ITEM_SIZE, NUM_ITEMS, Session, Workload};
use crate::api::{Api, Child, Object, Parent};
use crate::pools::{Handle, Pools};

const LIVES: u64 = 256;

/// What else the parent has, on which it depends what it may keep for the next child.
#[derive(Clone, Copy, PartialEq)]
pub enum Company {
    /// Another child with an object of its own, as where each context has a child.
    Another,
    /// Nothing: the pool is empty between two lives.
    Alone,
}

struct ChildLife {
    api: Api,
    parent: *mut Parent,
    child: Box<Child>,
    objects: Box<[Object]>,
    other: Option<(Handle, Object)>,
    _pools: Pools,
}

impl ChildLife {
    fn new(api: &Api, mut pools: Pools, objects: usize, company: Company) -> Self {
        let other = (company == Company::Another).then(|| {
            let handle = pools.child(0);
            (handle, handle.alloc())
        });
        Self {
            api: *api,
            parent: pools.parent(),
            child: Box::new(Child::zeroed()),
            objects: vec![std::ptr::null_mut(); objects].into(),
            other,
            _pools: pools,
        }
    }
}

impl Session for ChildLife {
    fn pass(&mut self) {
        let child = &raw mut *self.child;
        for _ in 0..LIVES {
            // SAFETY: the parent lives as long as the session; the child is created, used for
            // objects of its own, and destroyed.
            unsafe {
                (self.api.create_child)(child, self.parent);
                self.objects.iter_mut().for_each(|object| *object = (self.api.alloc)(child));
                self.objects.iter().rev().for_each(|&object| (self.api.free)(child, object));
                (self.api.destroy_child)(child);
            }
        }
    }
}

impl Drop for ChildLife {
    fn drop(&mut self) {
        if let Some((handle, object)) = self.other {
            handle.free(object);
        }
    }
}

pub fn workload(name: String, objects: usize, company: Company) -> Workload {
    Workload::new(name, "child", LIVES, move |api| {
        let children = if company == Company::Another { 1 } else { 0 };
        let pools = Pools::new(api, ITEM_SIZE, NUM_ITEMS, children);
        ChildLife::new(api, pools, objects, company)
    })
}
