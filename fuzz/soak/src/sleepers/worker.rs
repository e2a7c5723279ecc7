//! A thread: it fills and empties the pools that are awake, a few objects at a time.

use std::sync::atomic::Ordering::Relaxed;

use mesa_slab::abi::slab::slab_alloc;
use model::{contents, system};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::place::{Memory, Place};
use super::{AWAKE, World};
use crate::share::{Object, free, problem};

/// So many objects at a time.
const BATCH: usize = 64;
/// A pool is filled and emptied so many times before it sleeps. The library learns from the second
/// time on what a pool wants again.
const CYCLES: usize = 3;
/// Of the pools that fell asleep lately, so many may end.
const LATELY: usize = 8;

struct Worker<'a> {
    world: &'a World,
    index: usize,
    random: SmallRng,
    next_number: u64,
}

/// Works until it is told to stop.
pub fn run(world: &World, index: usize, seed: u64) {
    let random = SmallRng::seed_from_u64(seed << 32 | index as u64);
    let mut worker = Worker { world, index, random, next_number: (index as u64) << 48 };
    while !world.stop.load(Relaxed) {
        let turn = world.turn.load(Relaxed);
        let number = turn + worker.random.random_range(0..AWAKE);
        let place = world.place(number);
        let is_empty = {
            let memory = place.memory.read().unwrap();
            // It may sleep by now.
            number >= world.turn.load(Relaxed) && worker.step(place, &memory)
        };
        if is_empty {
            system::pass_time(1);
            let cycles = place.cycles.fetch_add(1, Relaxed) + 1;
            if number == turn && cycles >= CYCLES {
                worker.next_turn(turn);
            }
        }
    }
}

impl Worker<'_> {
    /// Allocates or frees a few objects, and returns whether the pool has run empty by that.
    fn step(&mut self, place: &Place, memory: &Memory) -> bool {
        self.world.operations.fetch_add(BATCH as u64, Relaxed);
        if self.random.random_range(0..8) == 0 {
            self.free_orphans(memory);
        }
        if place.is_filling.load(Relaxed) {
            self.fill(place, memory);
            false
        } else {
            self.empty(place, memory)
        }
    }

    fn fill(&mut self, place: &Place, memory: &Memory) {
        let size = place.measure.item_size as usize;
        let room = place.measure.full.saturating_sub(place.objects.lock().unwrap().len());
        let mut allocated = Vec::with_capacity(BATCH);
        for _ in 0..room.min(BATCH) {
            // SAFETY: the child is this thread's, and the object.
            unsafe {
                let address = slab_alloc(memory.child(self.index)).cast::<u8>();
                if address.is_null() {
                    return problem("NULL although there is memory");
                }
                let number = self.next_number;
                self.next_number += 1;
                contents::write(address, size, number);
                allocated.push(Object { address, size, number });
            }
        }
        self.world.live.fetch_add(place.bytes(allocated.len()), Relaxed);
        let mut objects = place.objects.lock().unwrap();
        objects.append(&mut allocated);
        if objects.len() >= place.measure.full {
            place.is_filling.store(false, Relaxed);
        }
    }

    /// Frees some that came one after the other, but not those that are to stay.
    fn empty(&mut self, place: &Place, memory: &Memory) -> bool {
        let kept = place.measure.kept;
        let mut objects = place.objects.lock().unwrap();
        let count = objects.len().saturating_sub(kept).min(BATCH);
        let first = self.random.random_range(kept.min(objects.len())..=objects.len() - count);
        let freed = Vec::from_iter(objects.drain(first..first + count));
        let is_empty = objects.len() <= kept && !place.is_filling.swap(true, Relaxed);
        drop(objects);
        self.world.live.fetch_sub(place.bytes(freed.len()), Relaxed);
        // SAFETY: the child is this thread's, and the objects are live.
        freed.into_iter().for_each(|object| unsafe { free(memory.child(self.index), object) });
        is_empty
    }

    fn free_orphans(&mut self, memory: &Memory) {
        let mut orphans = self.world.orphans.lock().unwrap();
        let left = orphans.len() - orphans.len().min(BATCH / 4);
        let freed = orphans.split_off(left);
        drop(orphans);
        for object in freed {
            self.world.live.fetch_sub(object.size, Relaxed);
            // SAFETY: the child is this thread's, and the object is live.
            unsafe { free(memory.child(self.index), object) }
        }
    }

    /// The pool that was awake longest falls asleep, and the next one awakes. Of those that sleep,
    /// one may end.
    fn next_turn(&mut self, turn: usize) {
        let world = self.world;
        let Ok(mut ends) = world.ends.try_lock() else { return };
        if world.turn.load(Relaxed) != turn {
            return;
        }
        world.turn.store(turn + 1, Relaxed);
        {
            let place = world.place(turn);
            let memory = place.alone();
            let freed = place.free_beyond(&memory, self.index, place.measure.kept);
            world.live.fetch_sub(place.bytes(freed), Relaxed);
            place.fall_asleep(&memory, world.threads, turn + 1);
        }
        if self.random.random() {
            let lately = turn.saturating_sub(self.random.random_range(0..LATELY));
            ends.end(world, world.place(lately), &mut self.random);
        }
    }
}
