// SPDX-License-Identifier: MIT
//! What the heap does beside the calls that refill a pool from it: reaping, purging, releasing,
//! fork().

use mesa_slab::abi::ext::{slab_object_size, slab_set_decay, slab_trim_heap};
use mesa_slab::internals::CHUNK;
use mesa_slab::internals::models::{self, START, release, reserve, set_seconds};

use crate::world::*;

#[test]
fn the_heap_purges_while_a_pool_refills() {
    check(Some(3), || {
        let pool = Pool::new(ONE_ROUND, 1);
        let mut child = pool.child();
        let kept = child.alloc();
        short_life(pool, 2);
        // The pages that this leaves free are dirty, and their chunk is in use.
        pool.trim();
        let other = beside(|| {
            slab_trim_heap();
        });
        let third = beside(models::validate);
        // What is in the page must stay.
        let own: Vec<Object> = (0..3).map(|_| child.alloc()).collect();
        other.join().unwrap();
        third.join().unwrap();
        pool.validate();
        own.into_iter().for_each(|object| child.free(object));
        child.free(kept);
        child.destroy();
        pool.end();
    });
}

#[test]
fn the_heap_releases_a_chunk_while_a_pool_refills() {
    check(ALL, || {
        let pool = Pool::new(ONE_ROUND, 1);
        short_life(pool, 1);
        let other = beside(|| {
            slab_trim_heap();
        });
        short_life(pool, 1);
        other.join().unwrap();
        pool.validate();
        pool.end();
    });
}

#[test]
fn two_threads_release_what_is_free() {
    check(Some(4), || {
        let pool = Pool::new(ONE_ROUND, 1);
        let mut child = pool.child();
        let kept = child.alloc();
        short_life(pool, 2);
        pool.trim();
        let other = beside(|| {
            slab_trim_heap();
        });
        slab_trim_heap();
        other.join().unwrap();
        models::validate();
        child.free(kept);
        child.destroy();
        pool.end();
    });
}

#[test]
fn memory_is_purged_at_once_while_another_thread_allocates() {
    check(Some(3), || {
        slab_set_decay(0);
        let pool = Pool::new(ONE_ROUND, 1);
        let other = beside(move || short_life(pool, 1));
        short_life(pool, 1);
        other.join().unwrap();
        pool.validate();
        pool.end();
    });
}

#[test]
fn the_depot_is_reaped_while_a_child_refills() {
    check(Some(3), || {
        let pool = Pool::new(ONE_ROUND, 1);
        let mut first = pool.child();
        let taken: Vec<Object> = (0..4).map(|_| first.alloc()).collect();
        taken.into_iter().for_each(|object| first.free(object));
        set_seconds(START + 1);
        let other = beside(move || {
            set_seconds(START + 2);
            short_life(pool, 2);
        });
        let own = [first.alloc(), first.alloc(), first.alloc()];
        own.into_iter().for_each(|object| first.free(object));
        other.join().unwrap();
        pool.validate();
        first.destroy();
        pool.end();
    });
}

#[test]
fn the_library_is_unloaded_while_a_pool_refills() {
    check(ALL, || {
        let pool = Pool::new(ONE_ROUND, 1);
        short_life(pool, 1);
        let other = beside(models::release_free_memory);
        short_life(pool, 1);
        other.join().unwrap();
        pool.validate();
        pool.end();
    });
}

#[test]
fn a_process_forks_while_a_pool_refills_and_gives_back() {
    check(Some(3), || {
        let pool = Pool::new(ONE_ROUND, 1);
        let mut child = pool.child();
        let kept = child.alloc();
        let other = beside(move || {
            let own = child.alloc();
            child.free(kept);
            child.free(own);
            child.destroy();
        });
        let third = beside(|| {
            slab_trim_heap();
        });
        models::fork();
        other.join().unwrap();
        third.join().unwrap();
        pool.validate();
        pool.end();
    });
}

#[test]
fn the_time_of_what_the_last_child_left_is_up_while_it_is_claimed() {
    check(Some(3), || {
        let pool = Pool::new(THREE_ROUNDS, 2);
        short_life(pool, 1);
        set_seconds(START + 60);
        let other = beside(move || {
            // Gives something back, and so looks at the clock.
            let other_pool = Pool::new(UNCACHED, 1);
            short_life(other_pool, 1);
            other_pool.end();
        });
        short_life(pool, 2);
        other.join().unwrap();
        pool.validate();
        // It kept it for itself.
        assert!(!models::has_kit());
        pool.end();
        assert!(models::has_kit());
        set_seconds(START + 120);
        let other_pool = Pool::new(UNCACHED, 1);
        short_life(other_pool, 1);
        assert!(!models::has_kit());
        other_pool.end();
    });
}

#[test]
fn two_threads_get_the_first_chunks() {
    check(Some(3), || {
        let (first, second) = (Pool::new(LARGE, 1), Pool::new(LARGE, 1));
        let other = beside(move || short_life(second, 1));
        // The chunk of the one is noted while the place for notes is made by the other.
        let mut child = first.child();
        let object = child.alloc();
        // The free looks the address up.
        child.free(object);
        child.destroy();
        other.join().unwrap();
        first.end();
        second.end();
    });
}

#[test]
fn an_address_is_looked_up_while_another_chunk_comes_and_goes() {
    check(ALL, || {
        let (pool, comes) = (Pool::new(THREE_ROUNDS, 2), Pool::new(LARGE, 1));
        let mut child = pool.child();
        let (a, b) = (child.alloc(), child.alloc());
        let other = beside(move || short_life(comes, 1));
        Child::destroyed().free(a);
        other.join().unwrap();
        child.free(b);
        child.destroy();
        pool.end();
        comes.end();
    });
}

#[test]
fn the_decay_time_is_set_while_a_pool_gives_back() {
    check(ALL, || {
        let pool = Pool::new(THREE_ROUNDS, 2);
        let other = beside(|| {
            slab_set_decay(5);
        });
        short_life(pool, 1);
        other.join().unwrap();
        assert_eq!(slab_set_decay(0), 5);
        pool.end();
    });
}

#[test]
fn an_address_of_no_chunk_is_looked_up_while_the_first_chunk_comes() {
    check_with_misuse(Some(3), 1, || {
        // Where the chunk will be, or near; the address is far enough from it, and in the same
        // leaf.
        let near = reserve(CHUNK, CHUNK);
        // SAFETY: nothing refers to it.
        unsafe { release(near, CHUNK) };
        let wild = near.expose_provenance() - 16 * CHUNK;
        let pool = Pool::new(THREE_ROUNDS, 2);
        let other = beside(move || Child::destroyed().free_address(wild));
        short_life(pool, 1);
        other.join().unwrap();
        pool.end();
    });
}

/// Bytes of the object at an address that need not be one.
fn bytes_at(address: usize) -> usize {
    slab_object_size(core::ptr::without_provenance(address))
}

#[test]
fn an_address_is_asked_of_while_its_chunk_is_released() {
    check(ALL, || {
        let pool = Pool::new(LARGE, 1);
        let mut child = pool.child();
        let object = child.alloc();
        let address = object.address();
        let other = beside(move || {
            child.free(object);
            child.destroy();
        });
        let bytes = bytes_at(address);
        assert!(bytes == 0 || bytes == LARGE as usize);
        other.join().unwrap();
        assert_eq!(bytes_at(address), 0);
        pool.end();
    });
}

#[test]
fn an_address_is_asked_of_while_its_pool_goes() {
    check(Some(4), || {
        let pool = Pool::new(THREE_ROUNDS, 2);
        let mut child = pool.child();
        let object = child.alloc();
        let address = object.address();
        child.destroy();
        let other = beside(move || pool.end());
        assert_eq!(bytes_at(address), THREE_ROUNDS as usize);
        other.join().unwrap();
        assert_eq!(bytes_at(address), THREE_ROUNDS as usize);
        Child::destroyed().free(object);
        assert_eq!(bytes_at(address), 0);
    });
}

#[test]
fn two_threads_ask_of_an_object_that_comes_back() {
    check(Some(3), || {
        let pool = Pool::new(THREE_ROUNDS, 2);
        let mut child = pool.child();
        let (object, kept) = (child.alloc(), child.alloc());
        let address = object.address();
        let other = beside(move || {
            Child::destroyed().free(object);
        });
        let third = beside(move || {
            bytes_at(address);
        });
        let bytes = bytes_at(address);
        assert!(bytes == 0 || bytes == THREE_ROUNDS as usize);
        assert_eq!(bytes_at(kept.address()), THREE_ROUNDS as usize);
        other.join().unwrap();
        third.join().unwrap();
        assert_eq!(bytes_at(address), 0);
        child.free(kept);
        child.destroy();
        pool.end();
    });
}
