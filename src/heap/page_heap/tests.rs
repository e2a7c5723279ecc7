// SPDX-License-Identifier: MIT
//! Tests of the heap, on heaps of their own.

use std::collections::BTreeSet;

use super::*;
use crate::base::address::chunk_of;
use crate::base::geometry::{
    CHUNK, HEADER_PAGES, MAGAZINE_WORDS, MAX_ORDER, MOST_CACHED, PAGE, PAGES, magazine_bytes,
};
use crate::heap::decay::{CATCH_UP, DECAY_SECONDS, SLICE_PAGES};

const PARENT: usize = 0x1000;
/// A class of blocks that an entry fits into.
const ENTRY_CLASS: u8 = 4;
const PAGES_OF_ONE_CHUNK: usize = PAGES - HEADER_PAGES;

impl Heap {
    fn chunks(&self) -> usize {
        let state = self.lock();
        state.chunks.iter(state.locked()).count()
    }

    fn dirty(&self) -> usize {
        self.lock().dirty_pages * PAGE
    }

    /// Has a call in each of so many seconds from now on. Returns the last one.
    fn calls_for(&self, seconds: u32) -> u32 {
        let now = os::coarse_seconds();
        (now..=now + seconds).for_each(|second| {
            self.tick(second);
        });
        now + seconds
    }

    fn take_slab_back(&self, slab: *mut Slab) {
        let mut surplus = Surplus::EMPTY;
        // SAFETY: the slab is the test's, and empty.
        unsafe { surplus.add_slab(slab) };
        self.take_back(&mut surplus);
    }
}

fn take_one(slab: *mut Slab) -> *mut u8 {
    let mut object = [ptr::null_mut()];
    // SAFETY: the slab is the test's.
    assert_eq!(unsafe { (*slab).take(&mut object) }, 1);
    object[0]
}

#[test]
fn every_object_leads_to_its_owner_and_descriptor() {
    let heap = Heap::new();
    for (item_size, num_items) in [(96, 64), (4096, 16), (66_632, 4)] {
        let geometry = Geometry::new(item_size, num_items);
        let slab = heap.make_slab(PARENT, &geometry);
        // SAFETY: the slab is the test's.
        unsafe {
            for object in 0..geometry.capacity as usize {
                let address = (*slab).base().add(object * geometry.stride as usize);
                for address in [address, address.add(PAGE.min(geometry.stride as usize - 1))] {
                    assert_eq!(owner_of(address), PARENT);
                    assert_eq!(slab_of(address), slab);
                }
            }
            let base = (*slab).base();
            heap.take_slab_back(slab);
            assert_eq!(owner_of(base), chunk::FREE);
        }
    }
    heap.release_free_memory();
    assert_eq!(heap.chunks(), 0);
}

#[test]
fn free_memory_goes_back_once_the_decay_time_is_over() {
    let heap = Heap::new();
    let geometry = Geometry::new(CHUNK as u32 / 4, 1);
    let page = Geometry::new(4096, 1);
    let used = heap.make_slab(PARENT, &page);
    let slabs: Vec<_> = (0..6).map(|_| heap.make_slab(PARENT, &geometry)).collect();
    let chunks = heap.chunks();
    for slab in slabs {
        heap.take_slab_back(slab);
    }
    assert_eq!(heap.chunks(), chunks, "it is about to be used again");
    assert_eq!(heap.dirty(), 6 * CHUNK / 4);

    let last = heap.calls_for(DECAY_SECONDS - 1);
    assert_eq!(heap.dirty(), 6 * CHUNK / 4);
    // In slices, each the next call's.
    let mut calls = 0;
    while heap.dirty() != 0 && calls < 6 * CHUNK / 4 / (SLICE_PAGES * PAGE) {
        let before = heap.dirty();
        heap.tick(last + 1);
        assert!(before - heap.dirty() <= SLICE_PAGES * PAGE, "no call is held up");
        calls += 1;
    }
    assert_eq!(heap.dirty(), 0);
    assert_eq!(heap.chunks(), 2, "the one in use, and one that is wholly free");

    heap.trim();
    assert_eq!(heap.chunks(), 1);
    heap.take_slab_back(used);
    assert_eq!(heap.trim(), CHUNK - PAGES_OF_ONE_CHUNK * PAGE + PAGE);
    assert_eq!(heap.chunks(), 0);
}

#[test]
fn a_call_after_some_seconds_without_one_gives_back_several_slices() {
    let heap = Heap::new();
    let geometry = Geometry::new(CHUNK as u32 / 4, 1);
    let slabs: Vec<_> = (0..5).map(|_| heap.make_slab(PARENT, &geometry)).collect();
    slabs.iter().for_each(|slab| heap.take_slab_back(*slab));
    let last = heap.calls_for(DECAY_SECONDS - 2);
    let mut before = heap.dirty();
    assert_eq!(before, 5 * CHUNK / 4);
    // Two seconds were missed.
    for (seconds, slices) in [(3, 1 + 2 * CATCH_UP), (3, 1), (4, 1)] {
        heap.tick(last + seconds);
        assert_eq!(before - heap.dirty(), slices * SLICE_PAGES * PAGE, "{slices}");
        before = heap.dirty();
    }
    heap.trim();
}

#[test]
fn what_is_freed_after_a_look_at_all_chunks_is_due_in_time() {
    let heap = Heap::new();
    let page = Geometry::new(PAGE as u32, 1);
    let used = heap.make_slab(PARENT, &page);
    for time in 1..4 {
        let slab = heap.make_slab(PARENT, &page);
        heap.take_slab_back(slab);
        assert_eq!(heap.dirty(), PAGE);
        validate(&heap);
        heap.calls_for(2 * time * DECAY_SECONDS);
        assert_eq!(heap.dirty(), 0, "{time}");
    }
    heap.take_slab_back(used);
    heap.trim();
}

#[test]
fn a_chunk_is_looked_at_again_if_something_of_it_was_just_purged() {
    let heap = Heap::new();
    let page = Geometry::new(PAGE as u32, 1);
    let (used, slab) = (heap.make_slab(PARENT, &page), heap.make_slab(PARENT, &page));
    let chunk: *mut Chunk = chunk_of(slab.cast());
    heap.take_slab_back(slab);
    // SAFETY: the chunk stays, as a slab of it is in use, and is the test's alone.
    unsafe {
        // As if another thread purged a run.
        (*chunk).purging += 1;
        let last = heap.calls_for(DECAY_SECONDS + 1);
        assert_eq!(heap.dirty(), 0);
        assert!((*chunk).buddy.oldest() <= last, "what is purged may be half of it");
        (*chunk).purging -= 1;
        heap.tick(last + 1);
        assert_eq!((*chunk).buddy.oldest(), u32::MAX);
    }
    heap.take_slab_back(used);
    heap.trim();
}

#[test]
fn what_nobody_used_for_long_is_due_as_it_comes() {
    let heap = Heap::new();
    let page = Geometry::new(PAGE as u32, 1);
    let slabs: Vec<_> = (0..20).map(|_| heap.make_slab(PARENT, &page)).collect();
    let since = os::coarse_seconds() - DECAY_SECONDS;
    for (slab, (since, dirty)) in slabs.iter().zip([(since, 0), (since, 0), (since + 2, 1)]) {
        let mut surplus = Surplus::EMPTY;
        // SAFETY: the slab is the test's, and empty.
        unsafe { surplus.add_slab(*slab) };
        surplus.set_since(since);
        heap.last_tick.store(0, Relaxed);
        heap.lock().decay.hasten();
        heap.take_back(&mut surplus);
        assert!(heap.dirty() <= dirty * PAGE, "{since}");
        validate(&heap);
    }
    slabs.iter().skip(3).for_each(|slab| heap.take_slab_back(*slab));
    heap.trim();
}

#[test]
fn what_is_above_the_limit_goes_back_at_once() {
    let heap = Heap::new();
    let geometry = Geometry::new(MOST_CACHED as u32, 1);
    let count = 10 * CHUNK / MOST_CACHED;
    let slabs: Vec<_> = (0..count).map(|_| heap.make_slab(PARENT, &geometry)).collect();
    for slab in slabs {
        heap.take_slab_back(slab);
        assert!(heap.dirty() <= (6 << 20) + 10 * CHUNK / 16);
    }
    assert!(heap.dirty() <= (6 << 20) + CHUNK / 8);
    heap.trim();
}

#[test]
fn what_went_too_early_may_lie_free_the_next_time() {
    const LEAST: usize = 6 << 20;
    for megabytes in [9, 40] {
        let heap = Heap::new();
        let geometry = Geometry::new(MOST_CACHED as u32, 1);
        let make = |count| (0..count).map(|_| heap.make_slab(PARENT, &geometry));
        let empty = |slabs: Vec<_>| slabs.into_iter().for_each(|slab| heap.take_slab_back(slab));
        // One slab of each chunk stays in use, so that no chunk is released.
        let mut chunks = BTreeSet::new();
        let (used, slabs): (Vec<_>, Vec<_>) = make((megabytes << 20) / MOST_CACHED)
            .partition(|slab| chunks.insert(chunk_of::<Chunk>(slab.cast())));
        let count = slabs.len();
        let (least, kept) = (LEAST + used.len() * CHUNK / 64, count * MOST_CACHED);
        empty(slabs);
        assert!(heap.dirty() <= least, "nothing is known of the next time");
        for _ in 0..5 {
            empty(make(count).collect());
            assert!(heap.dirty() > least.max(kept.min(2 * LEAST) * 3 / 4), "it was wanted again");
            assert!(heap.dirty() <= (kept + least / 4).min(2 * least));
            validate(&heap);
        }

        // What goes in time is regretted no more.
        let end = os::coarse_seconds() + DECAY_SECONDS + 1;
        for _ in 0..kept / (SLICE_PAGES * PAGE) + 20 {
            heap.tick(end);
        }
        assert_eq!(heap.dirty(), 0);
        let slabs = make(count).collect();
        heap.tick(end);
        empty(slabs);
        assert!(heap.dirty() <= least);
        empty(used);
        heap.trim();
        assert_eq!(heap.chunks(), 0);
    }
}

#[test]
fn purged_memory_is_zero_and_can_be_used_again() {
    let heap = Heap::new();
    let geometry = Geometry::new(CHUNK as u32 / 8, 1);
    let keep = heap.make_slab(PARENT, &geometry);
    let slab = heap.make_slab(PARENT, &geometry);
    // SAFETY: the slabs are the test's.
    unsafe {
        let bytes = CHUNK / 8;
        (*slab).base().write_bytes(0xab, bytes);
        (*keep).base().write_bytes(0xcd, bytes);
        let base = (*slab).base();
        heap.take_slab_back(slab);
        assert_eq!(heap.trim(), bytes);
        let again = heap.make_slab(PARENT, &geometry);
        assert_eq!((*again).base(), base);
        assert!(core::slice::from_raw_parts(base, bytes).iter().all(|byte| *byte == 0));
        let kept = core::slice::from_raw_parts((*keep).base(), bytes);
        assert!(kept.iter().all(|byte| *byte == 0xcd));
        heap.take_slab_back(again);
    }
    heap.take_slab_back(keep);
    heap.trim();
    assert_eq!(heap.chunks(), 0);
}

#[test]
#[cfg(feature = "ext")]
fn what_descriptors_took_up_goes_back_with_what_they_described() {
    let heap = Heap::new();
    let geometry = Geometry::new(PAGE as u32, 1);
    let metadata = || heap.numbers().metadata;
    let make = |count: usize| -> Vec<_> {
        (0..count).map(|_| heap.make_slab(PARENT, &geometry)).collect()
    };
    let mut slabs = make(PAGES_OF_ONE_CHUNK);
    let full = metadata();
    // Those that stay have descriptors on two pages of many.
    let kept = [slabs.remove(PAGES / 2), slabs.remove(10)];
    slabs.iter().for_each(|slab| heap.take_slab_back(*slab));
    assert_eq!(metadata(), full);
    heap.trim();
    let left = metadata();
    assert!(left < full - full / 2, "{left} of {full}");
    validate(&heap);
    heap.trim();
    assert_eq!(metadata(), left);

    // They are used again, each as it is needed.
    let slabs = make(PAGES_OF_ONE_CHUNK - kept.len());
    assert_eq!((metadata(), heap.chunks()), (full, 1));
    validate(&heap);
    slabs.iter().chain(&kept).for_each(|slab| heap.take_slab_back(*slab));
    heap.trim();
    assert_eq!(heap.chunks(), 0);
}

#[test]
fn what_slices_left_over_goes_as_a_pool_ends() {
    let heap = Heap::new();
    let page = Geometry::new(PAGE as u32, 1);
    let slabs: Vec<_> = (0..8 * PAGES).map(|_| heap.make_slab(PARENT, &page)).collect();
    let mut surplus = Surplus::EMPTY;
    for slab in slabs.iter().step_by(2) {
        // SAFETY: the slab is the test's, and empty.
        unsafe { surplus.add_slab(*slab) };
    }
    let most = (6 << 20) + slabs.len() * PAGE / 16;
    heap.take_back(&mut surplus);
    assert!(heap.dirty() > most, "no call is held up");
    heap.finish();
    assert!(heap.dirty() <= most);
    slabs.iter().skip(1).step_by(2).for_each(|slab| heap.take_slab_back(*slab));
    heap.trim();
    assert_eq!(heap.chunks(), 0);
}

#[test]
fn what_large_objects_had_in_use_lately_may_lie_free() {
    for bytes in [CHUNK / 2, CHUNK] {
        let heap = Heap::new();
        let geometry = Geometry::new(bytes as u32, 1);
        let make = || (0..20).map(|_| heap.make_slab(PARENT, &geometry)).collect::<Vec<_>>();
        let places = |slabs: &[*mut Slab]| slabs.iter().copied().collect::<BTreeSet<_>>();
        let first = make();
        first.iter().for_each(|slab| heap.take_slab_back(*slab));
        assert_eq!(heap.dirty(), 20 * bytes);
        let again = make();
        assert_eq!((heap.dirty(), places(&again)), (0, places(&first)), "all are found again");
        again.iter().for_each(|slab| heap.take_slab_back(*slab));
        validate(&heap);

        // Two decay times later nothing was in use lately, and what is free is gone.
        let end = heap.calls_for(2 * DECAY_SECONDS) + 1;
        for _ in 0..20 * bytes / (SLICE_PAGES * PAGE) + 20 {
            let before = heap.dirty();
            heap.tick(end);
            assert!(before - heap.dirty() <= SLICE_PAGES * PAGE, "no call is held up");
            validate(&heap);
        }
        assert_eq!(heap.dirty(), 0);
        assert!(heap.chunks() <= 1, "and one that is wholly free");
        heap.trim();
        assert_eq!(heap.chunks(), 0);
    }
}

#[test]
fn what_is_kept_of_large_objects_makes_room_for_others() {
    let heap = Heap::new();
    let geometry = |chunks: usize| Geometry::new((chunks * CHUNK) as u32, 1);
    let mut bytes = 0;
    for chunks in 2..12 {
        let slab = heap.make_slab(PARENT, &geometry(chunks));
        bytes = bytes.max(chunks * CHUNK);
        heap.take_slab_back(slab);
        let limit = (6 << 20) + bytes;
        assert!(
            heap.dirty() <= limit,
            "{chunks}: no more than was in use at a time, and a constant"
        );
        validate(&heap);
    }
    assert!(heap.dirty() >= bytes, "what was freed last is there");
    heap.trim();
}

#[test]
fn a_kept_chunk_that_is_being_purged_is_left_alone() {
    let heap = Heap::new();
    let geometry = Geometry::new(2 * CHUNK as u32, 1);
    let slab = heap.make_slab(PARENT, &geometry);
    heap.take_slab_back(slab);
    let chunk: *mut Chunk = chunk_of(slab.cast());
    let mut state = heap.lock();
    let mut unused = Unused::NONE;
    // SAFETY: the chunk is on the list of kept ones.
    unsafe {
        let purge = state.begin_purge(chunk, 100);
        assert_eq!((purge.from, purge.pages), (HEADER_PAGES, 100), "the first ones");
        drop(state);
        assert_eq!(heap.dirty(), 2 * CHUNK - 100 * PAGE);
        validate(&heap);
        let other = heap.make_slab(PARENT, &geometry);
        assert_ne!(other, slab, "nobody gets it");
        assert_eq!(heap.trim(), 0);
        state = heap.lock();
        state.give_up_kept(&mut unused);
        assert!(!unused.has_chunks());
        state.end_purge(chunk, &mut unused);
        assert_eq!(state.begin_purge(chunk, 100).from, HEADER_PAGES + 100);
        state.end_purge(chunk, &mut unused);
        drop(state);
        assert_eq!(heap.make_slab(PARENT, &geometry), slab);
        validate(&heap);
        for slab in [slab, other] {
            heap.take_slab_back(slab);
        }
    }
    heap.lock().give_up_kept(&mut unused);
    assert!(unused.has_chunks());
    assert_eq!((heap.dirty(), heap.chunks()), (0, 0));
    validate(&heap);
    unused.release();
}

/// The smallest objects that no child caches of which so many at least are in a slab of at most this order.
fn uncached(objects: u16, order: u8) -> Geometry {
    (MOST_CACHED as u32 + 16..CHUNK as u32)
        .step_by(16)
        .map(|item_size| Geometry::new(item_size, 16))
        .find(|geometry| geometry.capacity >= objects && geometry.order <= order)
        .unwrap()
}

#[test]
fn objects_of_a_slab_are_fresh_until_they_are_handed_out() {
    let heap = Heap::new();
    let geometry = uncached(3, MAX_ORDER);
    assert!(geometry.is_uncached() && !geometry.is_large());
    let slab = heap.make_slab(PARENT, &geometry);
    // SAFETY: the slab is the test's.
    unsafe {
        let at = |index: usize| (*slab).base().add(index * geometry.stride as usize);
        assert!(Chunk::hand_out(at(0)) && !Chunk::hand_out(at(0)));
        assert!(Chunk::hand_out(at(2)));
        assert!(!Chunk::hand_out(at(1)), "what is not certain");
        heap.take_slab_back(slab);
        assert_eq!(heap.make_slab(PARENT, &geometry), slab);
        // On 32-bit machines there are no more than three, and this one was handed out before.
        assert!(!Chunk::hand_out(at(geometry.capacity as usize - 1)), "the run is dirty");
        // Another slab keeps the chunk while the run is purged.
        let used = heap.make_slab(PARENT, &Geometry::new(96, 64));
        let zeroes = os::purge(at(0), PAGE);
        heap.take_slab_back(slab);
        heap.trim();
        assert_eq!(heap.make_slab(PARENT, &geometry), slab);
        assert_eq!(Chunk::hand_out(at(0)), zeroes, "it was purged");
        heap.take_slab_back(slab);
        heap.take_slab_back(used);
    }
    heap.trim();
    for (is_new, is_fresh) in [(true, true), (false, false)] {
        let slab = heap.make_slab(PARENT, &Geometry::new(2 * CHUNK as u32, 1));
        // SAFETY: the slab is the test's.
        assert_eq!(unsafe { Chunk::hand_out((*slab).base()) }, is_fresh, "new: {is_new}");
        heap.take_slab_back(slab);
    }
    heap.trim();
}

#[test]
fn a_purge_that_leaves_something_ends_that_objects_are_fresh() {
    let heap = Heap::new();
    // A chunk has room for two of them.
    let geometry = uncached(1, MAX_ORDER - 1);
    assert!(geometry.is_uncached() && !geometry.is_large());
    let slab = heap.make_slab(PARENT, &geometry);
    // SAFETY: the slab is the test's.
    unsafe {
        let chunk: *mut Chunk = chunk_of(slab.cast());
        (*chunk).has_stale = true;
        let next = heap.make_slab(PARENT, &geometry);
        assert_eq!(chunk_of::<Chunk>(next.cast()), chunk);
        assert!(Chunk::hand_out((*slab).base()), "it was made before");
        assert!(!Chunk::hand_out((*next).base()));
        heap.take_slab_back(slab);
        heap.take_slab_back(next);
    }
    heap.trim();
}

#[test]
fn a_large_object_has_a_chunk_of_its_own() {
    let heap = Heap::new();
    let geometry = Geometry::new(3 * CHUNK as u32, 1);
    assert!(geometry.is_large());
    let slab = heap.make_slab(PARENT, &geometry);
    let object = take_one(slab);
    // SAFETY: the object has these bytes, and is the test's.
    unsafe {
        object.write_bytes(0xab, 3 * CHUNK);
        assert_eq!(owner_of(object), PARENT);
        assert_eq!((*slab).put(&[object]), (0, Ok(())));
    }
    assert_eq!((heap.chunks(), heap.numbers().large), (1, 1));
    heap.take_slab_back(slab);
    assert_eq!((heap.chunks(), heap.numbers().large), (1, 0), "it is kept, and nobody's");
    assert_eq!(heap.dirty(), 3 * CHUNK);
    // SAFETY: it is kept.
    unsafe { assert_eq!(owner_of(object), chunk::FREE) };
    let smaller = heap.make_slab(PARENT, &Geometry::new(2 * CHUNK as u32, 1));
    assert_eq!(heap.chunks(), 2, "by objects of the same size alone");
    assert_eq!(heap.make_slab(PARENT, &geometry), slab);
    heap.take_slab_back(smaller);
    heap.take_slab_back(slab);
    assert_eq!(heap.set_decay(0), DECAY_SECONDS);
    heap.tick(os::coarse_seconds());
    assert_eq!(heap.chunks(), 0);
    let slab = heap.make_slab(PARENT, &geometry);
    heap.take_slab_back(slab);
    assert_eq!(heap.chunks(), 0, "nothing is to be kept");
}

/// Finds nothing wrong.
fn validate(heap: &Heap) {
    heap.with_state(|state| {
        state.validate(&mut |at, words| panic!("{at:#x}: {words}"));
        for chunk in state.chunks.iter(state.locked()).filter(|chunk| !chunk.is_large()) {
            assert!(
                chunk.buddy().oldest() >= state.oldest,
                "what is dirty for longer is not noted"
            );
        }
    });
}

/// The entry of a pool.
fn enrol(heap: &Heap) -> *mut Entry {
    let make = |block: *mut u8| {
        // SAFETY: the block is new, and has room.
        unsafe { Entry::init(block.cast(), PARENT) };
        block.cast()
    };
    // SAFETY: as is asked for; nobody looks for it through a parent.
    unsafe { heap.enrol(Home::PROCESS, ENTRY_CLASS, make) }
}

#[test]
fn the_slabs_of_a_pool_whose_lock_is_lost_are_found_by_their_owner_words() {
    let heap = Heap::new();
    let geometry = Geometry::new(96, 64);
    let (kept, other) = (heap.make_slab(PARENT, &geometry), heap.make_slab(2 * PARENT, &geometry));
    let (object, entry) = (take_one(kept), enrol(&heap));
    // SAFETY: the slabs and the pool are the test's, and no parent pool exists.
    unsafe {
        heap.disown(entry, PARENT);
        assert_eq!(owner_of(object), LIMBO);
        assert_eq!(owner_of((*other).base()), 2 * PARENT);
        assert!(heap.find_pool(PARENT).is_null());
        assert_eq!(heap.free_in_limbo(object), Ok(()));
    }
    heap.take_slab_back(other);
}

#[test]
fn a_slab_in_limbo_goes_with_its_last_object() {
    let heap = Heap::new();
    let geometry = Geometry::new(96, 64);
    let (kept, empty) = (heap.make_slab(PARENT, &geometry), heap.make_slab(PARENT, &geometry));
    let other = heap.make_slab(2 * PARENT, &geometry);
    let (a, b) = (take_one(kept), take_one(kept));
    // SAFETY: the slabs are the test's, and no parent pool exists.
    unsafe {
        let empty_base = (*empty).base();
        let mut surplus = Surplus::EMPTY;
        surplus.add_slab(empty);
        let entry = enrol(&heap);
        assert_eq!(heap.find_pool(PARENT), entry);
        (*entry).end();
        heap.strike_out(entry, &mut surplus, |each| each(kept));
        assert!(heap.find_pool(PARENT).is_null());
        assert_eq!(owner_of(a), LIMBO);
        assert_eq!(owner_of(empty_base), chunk::FREE);
        assert_eq!(owner_of((*other).base()), 2 * PARENT);
        assert_eq!(heap.free_in_limbo(a), Ok(()));
        assert_eq!(heap.free_in_limbo(a), Err(Misuse::DoubleFree));
        assert_eq!(heap.free_in_limbo(b.add(8)), Err(Misuse::NotAnObject));
        assert_eq!(owner_of(b), LIMBO);
        assert_eq!(heap.free_in_limbo(b), Ok(()));
        assert_eq!(owner_of(b), chunk::FREE);
        assert_eq!(heap.free_in_limbo(b), Err(Misuse::DoubleFree));
    }
    heap.take_slab_back(other);
    heap.release_free_memory();
    assert_eq!(heap.chunks(), 0);
}

#[test]
fn magazine_blocks_are_aligned_to_their_size_and_reused() {
    let heap = Heap::new();
    for class in 0..MAGAZINE_WORDS.len() as u8 {
        let bytes = crate::base::geometry::magazine_bytes(class);
        let mask = bytes - 1;
        let mut surplus = Surplus::EMPTY;
        let mut seen = BTreeSet::new();
        for _ in 0..(3 * PAGE / bytes).max(2) {
            let magazine = heap.make_magazine(Home::PROCESS, class);
            assert!(magazine.is_empty(mask) && !magazine.is_none());
            assert!(seen.insert(magazine.block(mask).addr()));
            // SAFETY: the magazine is the test's.
            unsafe { surplus.add_magazine(magazine, mask) };
        }
        heap.take_back(&mut surplus);
        let again = heap.make_magazine(Home::PROCESS, class);
        assert!(seen.contains(&again.block(mask).addr()));
        let mut surplus = Surplus::EMPTY;
        // SAFETY: the magazine is the test's.
        unsafe { surplus.add_magazine(again, mask) };
        heap.take_back(&mut surplus);
    }
    assert_eq!(heap.chunks(), 1);
    heap.release_free_memory();
    assert_eq!(heap.chunks(), 0, "the last slab of each class goes as well");
}

#[test]
fn a_chunk_of_which_more_is_just_committed_is_not_released() {
    let heap = Heap::new();
    let slab = heap.make_slab(PARENT, &Geometry::new(4096, 1));
    heap.take_slab_back(slab);
    let step = heap.lock().begin_step().expect("the first chunk grows in steps");
    heap.trim();
    assert_eq!(heap.chunks(), 1, "who commits it has not locked the heap");
    let committed = step.commit();
    assert!(committed.is_some());
    // SAFETY: it was begun above.
    unsafe { heap.lock().end_step(step, committed) };
    validate(&heap);
    heap.trim();
    assert_eq!(heap.chunks(), 0);
}

#[test]
fn requests_fill_chunks_in_use_before_others() {
    let heap = Heap::new();
    let half = Geometry::new(CHUNK as u32 / 2, 1);
    let page = Geometry::new(4096, 1);
    let halves: Vec<_> = (0..3).map(|_| heap.make_slab(PARENT, &half)).collect();
    let pages: Vec<_> = (0..50).map(|_| heap.make_slab(PARENT, &page)).collect();
    assert_eq!(heap.chunks(), 3);
    heap.take_slab_back(halves[0]);
    let more: Vec<_> = (0..50).map(|_| heap.make_slab(PARENT, &page)).collect();
    let chunk = |slab: &*mut Slab| chunk_of::<Chunk>(slab.cast());
    assert!(more.iter().all(|slab| chunk(slab) == chunk(&pages[0])));
    for slab in halves.into_iter().skip(1).chain(pages).chain(more) {
        heap.take_slab_back(slab);
    }
    heap.trim();
    assert_eq!(heap.chunks(), 0);
}

/// What is found in a heap with a slab of two pages and one of a large object, after `damage` to
/// them.
fn problems(damage: impl FnOnce(&mut State, *mut Slab, *mut Slab)) -> Vec<&'static str> {
    let heap = Heap::new();
    let slab = heap.make_slab(PARENT, &Geometry::new(2 * PAGE as u32, 1));
    let large = heap.make_slab(PARENT, &Geometry::new(CHUNK as u32, 1));
    let mut state = heap.lock();
    state.validate(&mut |_, words| panic!("{words}"));
    damage(&mut state, slab, large);
    let mut problems = Vec::new();
    state.validate(&mut |_, words| problems.push(words));
    // What is broken stays as it is.
    problems
}

#[test]
fn every_broken_invariant_is_seen() {
    type Damage<'a> = &'a dyn Fn(&mut State, *mut Slab, *mut Slab);
    let seen = |words, damage: Damage<'_>| {
        let problems = problems(damage);
        assert!(problems.contains(&words), "not seen, but {problems:?}: {words}");
    };
    seen("the heap's pages are miscounted", &|state, _, _| state.mapped += CHUNK);
    // SAFETY: the chunks and slabs are the test's.
    unsafe {
        seen("a chunk is on the wrong list", &|_, slab, _| {
            (*chunk_of::<Chunk>(slab.cast())).list += 1
        });
        seen("a page is neither in a slab nor free", &|_, slab, _| {
            (*chunk_of::<Chunk>(slab.cast())).purging += 1;
        });
        seen("a page does not lead to its slab", &|_, slab, _| {
            let page = (*slab).first_page();
            Slab::init(slab, page, &Geometry::new(3 * PAGE as u32, 1));
        });
        seen("a slab is out of place", &|state, slab, _| {
            Slab::init(slab, 1, &Geometry::new(PAGE as u32, 1));
            Chunk::set_owner(slab, PARENT, state.locked());
        });
        seen("a page has an owner and is in no slab", &|state, slab, _| {
            Chunk::close(slab, state.locked());
            Chunk::set_owner(slab, PARENT, state.locked());
        });
        seen("a large object's chunk has not one slab", &|state, _, large| {
            Chunk::close(large, state.locked());
        });
    }
}

#[test]
fn what_a_pools_last_child_left_is_taken_apart_before_another_chunk_is_reserved() {
    let heap = Heap::new();
    let page = Geometry::new(PAGE as u32, 1);
    const CLASS: u8 = 6;
    let mask = magazine_bytes(CLASS) - 1;
    let kit = Kit {
        slab: heap.make_slab(PARENT, &page),
        magazine: heap.make_magazine(Home::PROCESS, CLASS),
        mask,
    };
    let mut surplus = Surplus::EMPTY;
    // SAFETY: nobody else has what is in the kit.
    unsafe { heap.leave_kit(kit, &mut surplus) };
    heap.take_back(&mut surplus);

    // The slab of magazine blocks is kept, the kit's is not.
    for _ in 0..PAGES_OF_ONE_CHUNK - 1 {
        assert!(!heap.make_slab(PARENT, &page).is_null());
        assert_eq!(heap.chunks(), 1);
    }
    assert!(!heap.make_slab(PARENT, &page).is_null());
    assert_eq!(heap.chunks(), 2);
}

#[test]
fn a_magazine_block_that_is_given_back_twice_is_taken_once() {
    let heap = Heap::new();
    let geometry = Geometry::new(96, 64);
    let slab = heap.make_slab(PARENT, &geometry);
    let object = take_one(slab);
    let block = heap.with_memory(Home::PROCESS, |state| state.take_block(0)).unwrap();
    let mut unused = Unused::NONE;
    {
        let mut state = heap.lock();
        // SAFETY: the block is the test's; the second time and the object are what is to be
        // refused.
        unsafe {
            state.put_block(block, 0, &mut unused);
            state.put_block(block, 0, &mut unused);
            state.put_block(object, 0, &mut unused);
        }
    }
    // Other tests may report something just then.
    let before = crate::watch::report::count();
    unused.release();
    assert!(crate::watch::report::count() >= before + 2);
    let blocks =
        [(); 2].map(|()| heap.with_memory(Home::PROCESS, |state| state.take_block(0)).unwrap());
    assert_ne!(blocks[0], blocks[1]);
    // SAFETY: the slab is the test's.
    unsafe { assert_eq!((*slab).is_out(object), Some(true)) };
}
