//! The whole life of a child: created, used for a few objects, destroyed. Some drivers have one per
//! submit.

use super::{ITEM_SIZE, NUM_ITEMS, Pass, Workload};
use crate::api::{Child, Object};
use crate::pools::{Handle, Objects, Pools};

const LIVES: usize = 256;

/// What else the parent has, on which it depends what it may keep for the next child.
#[derive(Clone, Copy, PartialEq)]
pub enum Company {
    /// Another child with an object of its own, as where each context has a child.
    Another,
    /// Nothing: the pool is empty between two lives.
    Alone,
}

struct ChildLife {
    child: Box<Child>,
    objects: Objects,
    other: Option<(Handle, Object)>,
    pools: Pools,
}

impl Pass for ChildLife {
    fn pass(&mut self) {
        self.pools.lives(&mut self.child, &mut self.objects.0, LIVES);
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
    Workload::new(name, "child", LIVES as u64, move |allocator| {
        let children = if company == Company::Another { 1 } else { 0 };
        let mut pools = Pools::new(allocator, ITEM_SIZE, NUM_ITEMS, children);
        let other = (company == Company::Another).then(|| {
            let handle = pools.child(0);
            (handle, handle.alloc())
        });
        ChildLife {
            child: Box::new(Child::zeroed()),
            objects: Objects::none(objects),
            other,
            pools,
        }
    })
}
