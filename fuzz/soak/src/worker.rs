//! A thread of a driver: one context after the other, most of them on the shared pools.

use std::sync::atomic::Ordering::Relaxed;

use mesa_slab::abi::ext::{slab_trim_child, slab_trim_parent};
use mesa_slab::abi::slab::{
    slab_alloc, slab_child_pool, slab_create_child, slab_destroy_child, slab_destroy_parent,
    slab_zalloc,
};
use model::contents;
use model::system::Function;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::share::{Object, Parent, Share, free, problem};

/// So many bytes does a context have at most.
const MOST_BYTES: usize = 4 << 20;

struct Worker<'a> {
    share: &'a Share,
    index: usize,
    random: SmallRng,
    next_number: u64,
    operations: u64,
}

/// Works until it is told to stop.
pub fn run(share: &Share, index: usize, seed: u64) {
    let mut worker = Worker {
        share,
        index,
        random: SmallRng::seed_from_u64(seed << 32 | index as u64),
        next_number: (index as u64) << 48,
        operations: 0,
    };
    while !share.stop.load(Relaxed) {
        match worker.random.random_range(0..10) {
            0 => worker.pool_of_its_own(),
            1 => worker.submits(),
            _ => worker.context(),
        }
        share.operations.fetch_add(std::mem::take(&mut worker.operations), Relaxed);
    }
}

impl Worker<'_> {
    fn any_parent(&mut self) -> &Parent {
        let share = self.share;
        // The last two have large objects, and come more rarely.
        let most = if self.random.random_range(0..8) == 0 {
            share.parents.len()
        } else {
            share.parents.len() - 2
        };
        &share.parents[self.random.random_range(0..most)]
    }

    /// Creates a child, uses it for a while, and destroys it with some of its objects out, which
    /// others free.
    fn context(&mut self) {
        let parent = self.any_parent();
        let (size, parent) = (parent.item_size(), parent.as_ptr());
        // SAFETY: the pool lives until all threads have ended, and the child is this thread's.
        unsafe {
            let mut child: slab_child_pool = std::mem::zeroed();
            slab_create_child(&mut child, parent);
            let mut own = Vec::new();
            for _ in 0..self.random.random_range(1..60) {
                self.allocate(&mut child, size, &mut own);
                self.free_some(&mut child, &mut own);
                let receiver = self.random.random_range(0..64);
                if receiver < 16 {
                    self.share.send(receiver, &mut own);
                    for object in self.share.receive(self.index) {
                        free(&mut child, object);
                        self.operations += 1;
                    }
                } else if receiver == 16 {
                    slab_trim_child(&mut child);
                } else if receiver == 17 {
                    slab_trim_parent(parent);
                }
            }
            let receiver = self.random.random_range(0..64);
            self.share.send(receiver, &mut own);
            if receiver % 2 == 0 {
                self.free_all(&mut child, &mut own);
                slab_destroy_child(&mut child);
            } else {
                slab_destroy_child(&mut child);
                self.free_all(&mut child, &mut own);
            }
        }
    }

    /// A child for each submit, with a few objects in it.
    fn submits(&mut self) {
        let parent = self.any_parent();
        let (size, parent) = (parent.item_size(), parent.as_ptr());
        let mut own = Vec::new();
        for _ in 0..self.random.random_range(1..200) {
            // SAFETY: as in `context`.
            unsafe {
                let mut child: slab_child_pool = std::mem::zeroed();
                slab_create_child(&mut child, parent);
                self.allocate_some(&mut child, size, 3, &mut own);
                self.free_all(&mut child, &mut own);
                slab_destroy_child(&mut child);
            }
        }
    }

    /// A pool that is destroyed while objects of it are out, which others free.
    fn pool_of_its_own(&mut self) {
        let size = [40, 200, 3000, 40_000][self.random.random_range(0..4)];
        let parent = Parent::new(size, 32);
        self.share.pools_created.fetch_add(1, Relaxed);
        let mut own = Vec::new();
        // SAFETY: the pool and its children are this thread's. Its objects are handed on once it is
        // destroyed.
        unsafe {
            let mut child: slab_child_pool = std::mem::zeroed();
            slab_create_child(&mut child, parent.as_ptr());
            for _ in 0..self.random.random_range(1..20) {
                self.allocate(&mut child, size as usize, &mut own);
                self.free_some(&mut child, &mut own);
            }
            slab_destroy_child(&mut child);
            slab_destroy_parent(parent.as_ptr());
            drop(parent);
            let receiver = self.random.random_range(0..64);
            self.share.send(receiver, &mut own);
            self.free_all(&mut child, &mut own);
        }
    }

    /// # Safety
    /// The child is this thread's.
    unsafe fn allocate(&mut self, child: &mut slab_child_pool, size: usize, own: &mut Vec<Object>) {
        let room = (MOST_BYTES / size).saturating_sub(own.len()).max(1);
        let count = self.random.random_range(1..=200.min(room));
        // SAFETY: the caller's promise.
        unsafe { self.allocate_some(child, size, count, own) }
    }

    /// # Safety
    /// The child is this thread's.
    unsafe fn allocate_some(
        &mut self,
        child: &mut slab_child_pool,
        size: usize,
        count: usize,
        own: &mut Vec<Object>,
    ) {
        for _ in 0..count {
            let failed = Function::Mmap.failed();
            let zeroed = self.random.random_range(0..16) == 0;
            self.operations += 1;
            // SAFETY: the caller's promise; the object is this thread's.
            unsafe {
                let address =
                    if zeroed { slab_zalloc(child) } else { slab_alloc(child) }.cast::<u8>();
                if address.is_null() {
                    self.share.nulls.fetch_add(1, Relaxed);
                    if Function::Mmap.failed() == failed {
                        problem("NULL although there is memory");
                    }
                    return;
                }
                if zeroed && std::slice::from_raw_parts(address, size).iter().any(|byte| *byte != 0)
                {
                    problem("an object is not zero");
                }
                let number = self.next_number;
                self.next_number += 1;
                contents::write(address, size, number);
                own.push(Object { address, size, number });
            }
        }
    }

    /// # Safety
    /// The child is this thread's, or destroyed.
    unsafe fn free_some(&mut self, child: &mut slab_child_pool, own: &mut Vec<Object>) {
        for _ in 0..self.random.random_range(0..=own.len()) {
            let object = own.swap_remove(self.random.random_range(0..own.len()));
            self.operations += 1;
            // SAFETY: the caller's promise.
            unsafe { free(child, object) }
        }
    }

    /// # Safety
    /// The child is this thread's, or destroyed.
    unsafe fn free_all(&mut self, child: &mut slab_child_pool, own: &mut Vec<Object>) {
        for object in own.drain(..) {
            self.operations += 1;
            // SAFETY: the caller's promise.
            unsafe { free(child, object) }
        }
    }
}
