//! Allocate many objects, then free them all.

use super::{NUM_ITEMS, Session, Workload};
use crate::api::Object;
use crate::pools::{Handle, Pools};
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
    objects: Box<[Object]>,
    order: Order,
    child: Handle,
    _pools: Pools,
}

impl Session for Batch {
    fn pass(&mut self) {
        for object in &mut self.objects {
            *object = self.child.alloc();
        }
        match self.order {
            Order::Lifo => self.objects.iter().rev().for_each(|&object| self.child.free(object)),
            Order::Fifo => self.objects.iter().for_each(|&object| self.child.free(object)),
        }
    }
}

pub fn workload(name: impl Into<String>, count: usize, order: Order, item_size: u32) -> Workload {
    Workload::new(name, "alloc + free", count as u64, move |api| {
        let mut pools = Pools::new(api, item_size, NUM_ITEMS, 1);
        let objects = vec![std::ptr::null_mut(); count].into();
        Batch { objects, order, child: pools.child(0), _pools: pools }
    })
}
