//! Allocate many objects, then free them all.

use super::{Pass, Workload};
use crate::pools::{Handle, Objects, Pools};
use std::fmt;

/// In which order objects are freed: the last one first, or as they were allocated.
#[derive(Clone, Copy)]
pub enum Order {
    Lifo,
    Fifo,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Lifo => "LIFO",
            Self::Fifo => "FIFO",
        })
    }
}

struct Batch {
    objects: Objects,
    order: Order,
    child: Handle,
    _pools: Pools,
}

impl Pass for Batch {
    fn pass(&mut self) {
        self.child.alloc_all(&mut self.objects.0);
        match self.order {
            Order::Lifo => self.child.free_lifo(&self.objects.0),
            Order::Fifo => self.child.free_fifo(&self.objects.0),
        }
    }
}

pub fn workload(
    name: impl Into<String>,
    count: usize,
    order: Order,
    item_size: u32,
    num_items: u32,
) -> Workload {
    Workload::new(name, "alloc + free", count as u64, move |allocator| {
        let mut pools = Pools::new(allocator, item_size, num_items, 1);
        Batch { objects: Objects::none(count), order, child: pools.child(0), _pools: pools }
    })
}
