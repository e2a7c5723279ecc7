//! How pools end: as they should, or in any other way that a program may leave them.

use std::sync::atomic::Ordering::Relaxed;

use mesa_slab::abi::slab::{
    slab_alloc, slab_child_pool, slab_create_parent, slab_destroy_parent, slab_free,
};
use rand::Rng;
use rand::rngs::SmallRng;

use super::World;
use super::place::{Memory, Place};
use crate::share::problem;

/// So many pools without memory there are at most. Then the memory of the oldest comes back.
const MOST_GONE: usize = 200;
/// So many times children with objects are forgotten: these are lost for good.
const MOST_LOST: usize = 4;
/// Bytes of a slab of magazines.
const BLOCKS: usize = 4096;
/// So many objects of a pool that ends go on to live, at most.
const ORPHANS: usize = 100;

/// What happens to a parent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is destroyed, behind its children.
    Destroyed,
    /// It is destroyed, and then its children.
    DestroyedFirst,
    /// Its memory is written over, and another pool is created there.
    Overwritten,
    /// Its memory is gone.
    Gone,
}

/// What happens to children whose parent is not destroyed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Children {
    Destroyed,
    /// One is forgotten, without objects. It keeps the pool from draining its depot.
    Empty,
    /// All are forgotten as they are.
    AsTheyAre,
}

/// What was done so far. Belongs to who takes the turn.
#[derive(Default)]
pub struct Ends {
    gone: Vec<Memory>,
    lost: usize,
    /// Bytes of slabs that may be in use for good by what forgotten children have.
    pub lost_slabs: usize,
    pub destroyed: usize,
    pub overwritten: usize,
    pub taken_away: usize,
}

impl Ends {
    /// Ends the pool at a place, which nobody uses, and creates another one.
    pub fn end(&mut self, world: &World, place: &Place, random: &mut SmallRng) {
        let mut memory = place.alone();
        let end = [End::Destroyed, End::DestroyedFirst, End::Overwritten, End::Gone, End::Gone]
            [random.random_range(0..5)];
        let children = match random.random_range(0..6) {
            0 | 1 => Children::Destroyed,
            5 if self.lost < MOST_LOST => Children::AsTheyAre,
            _ => Children::Empty,
        };
        self.leave_objects(world, place, &memory, end);
        if matches!(end, End::Destroyed | End::DestroyedFirst) {
            self.destroyed += 1;
            let is_first = end == End::DestroyedFirst;
            // SAFETY: nobody else uses the pool.
            unsafe {
                if is_first {
                    slab_destroy_parent(memory.parent());
                }
                place.destroy_children(&memory, 0, world.threads);
                if !is_first {
                    slab_destroy_parent(memory.parent());
                }
            }
        } else {
            self.leave_children(world, place, &memory, children);
        }
        match end {
            End::Gone => {
                self.taken_away += 1;
                memory.take_away();
                let next = if self.gone.len() < MOST_GONE {
                    Memory::new()
                } else {
                    let oldest = self.gone.remove(0);
                    oldest.bring_back();
                    oldest
                };
                next.overwrite();
                self.gone.push(std::mem::replace(&mut memory, next));
            }
            End::Overwritten => {
                self.overwritten += 1;
                memory.overwrite();
            }
            _ => {}
        }
        place.create(&memory, world.threads);
        // While their parent was neither destroyed nor replaced, no other pool's child could take them.
        world.orphans.lock().unwrap().append(&mut place.objects.lock().unwrap());
    }

    /// Objects may stay in use if their pool is destroyed, or another one takes its place.
    fn leave_objects(&mut self, world: &World, place: &Place, memory: &Memory, end: End) {
        let kept = if end == End::Gone { 0 } else { ORPHANS };
        let freed = place.free_beyond(memory, 0, kept);
        world.live.fetch_sub(place.bytes(freed), Relaxed);
    }

    fn leave_children(&mut self, world: &World, place: &Place, memory: &Memory, left: Children) {
        match left {
            Children::Destroyed => place.destroy_children(memory, 0, world.threads),
            Children::Empty => {
                place.destroy_children(memory, 1, world.threads);
                self.empty_child(place, memory);
                self.lose_magazines(memory, 1);
            }
            Children::AsTheyAre => {
                self.lost += 1;
                let stats = place.stats(memory);
                let lost = place.in_children(memory);
                self.lost_slabs +=
                    lost.min(stats.slabs_full + stats.slabs_partial) * stats.slab_bytes;
                self.lose_magazines(memory, world.threads);
            }
        }
    }

    /// Each child has two at most.
    fn lose_magazines(&mut self, memory: &Memory, children: usize) {
        for index in 0..children {
            // SAFETY: nobody else uses the child.
            if unsafe { (*memory.child(index)).mask } != 0 {
                self.lost_slabs += 2 * BLOCKS;
            }
        }
    }

    /// Takes what the first child has, and frees it through no child.
    fn empty_child(&mut self, place: &Place, memory: &Memory) {
        let count = place.in_children(memory);
        // SAFETY: zeroes are a child that was never created; nobody else uses the pool.
        unsafe {
            let mut nobody: slab_child_pool = std::mem::zeroed();
            let objects: Vec<_> = (0..count).map(|_| slab_alloc(memory.child(0))).collect();
            objects.into_iter().for_each(|object| slab_free(&mut nobody, object));
        }
        if place.in_children(memory) != 0 {
            problem("a child has objects that it did not give");
        }
    }

    /// Creates and destroys a pool wherever one was left behind.
    pub fn take_down(&mut self) {
        for memory in self.gone.drain(..) {
            memory.bring_back();
            // SAFETY: the memory is nobody's.
            unsafe {
                slab_create_parent(memory.parent(), 1, 1);
                slab_destroy_parent(memory.parent());
            }
        }
    }
}
