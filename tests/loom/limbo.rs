// SPDX-License-Identifier: MIT
//! Objects whose pool is gone, or that are freed through no child of their pool.

use crate::world::*;

#[test]
fn two_threads_free_the_last_objects_of_a_pool_that_is_gone() {
    check(ALL, || {
        let (gone, other_pool) = (Pool::new(THREE_ROUNDS, 2), Pool::new(ONE_ROUND, 1));
        let mut child = gone.child();
        let (a, b) = (child.alloc(), child.alloc());
        child.destroy();
        gone.destroy();
        let other = beside(move || Child::destroyed().free(a));
        let mut foreign = other_pool.child();
        foreign.free(b);
        let own = foreign.alloc();
        foreign.free(own);
        foreign.destroy();
        other.join().unwrap();
        other_pool.validate();
        gone.end();
        other_pool.end();
    });
}

#[test]
fn a_pool_is_created_anew_while_objects_of_the_old_one_are_freed() {
    check(ALL, || {
        let pool = Pool::new(THREE_ROUNDS, 2);
        let mut child = pool.child();
        let (a, b) = (child.alloc(), child.alloc());
        child.destroy();
        pool.destroy();
        let other = beside(move || {
            let mut none = Child::destroyed();
            none.free(a);
            none.free(b);
        });
        pool.create(THREE_ROUNDS, 2);
        short_life(pool, 1);
        other.join().unwrap();
        pool.validate();
        pool.end();
    });
}

#[test]
fn a_pool_goes_while_objects_of_another_are_in_use() {
    check(ALL, || {
        let (pool, goes) = (Pool::new(THREE_ROUNDS, 2), Pool::new(THREE_ROUNDS, 2));
        let mut child = goes.child();
        let (object, freed) = (child.alloc(), child.alloc());
        child.free(freed);
        child.destroy();
        let other = beside(move || short_life(pool, 2));
        goes.destroy();
        other.join().unwrap();
        pool.validate();
        Child::destroyed().free(object);
        goes.end();
        pool.end();
    });
}

#[test]
fn a_pool_without_objects_goes_while_another_is_in_use() {
    check(Some(3), || {
        let (pool, goes) = (Pool::new(THREE_ROUNDS, 2), Pool::new(THREE_ROUNDS, 2));
        goes.set_name(c"goes");
        short_life(goes, 1);
        let other = beside(move || short_life(pool, 1));
        goes.destroy();
        // Nothing of the old pool's is in a new one in its place, which has other objects.
        goes.create(ONE_ROUND, 1);
        let mut child = goes.child();
        let object = child.alloc();
        goes.validate();
        child.free(object);
        child.destroy();
        other.join().unwrap();
        pool.validate();
        goes.end();
        pool.end();
    });
}

#[test]
fn an_object_of_a_pool_that_is_gone_is_freed_twice_while_its_page_gets_another_use() {
    check_with_misuse(ALL, 1, || {
        let (gone, pool) = (Pool::new(ONE_ROUND, 1), Pool::new(THREE_ROUNDS, 2));
        let mut child = gone.child();
        let (object, keeps_the_chunk) = (child.alloc(), child.alloc());
        child.destroy();
        gone.destroy();
        let address = object.address();
        let other = beside(move || Child::destroyed().free_address(address));
        Child::destroyed().free(object);
        // Its magazine is the first block of that page, unless the other thread is still to free
        // it.
        short_life(pool, 2);
        let mut child = pool.child();
        let taken = [child.alloc(), child.alloc()];
        other.join().unwrap();
        pool.validate();
        taken.into_iter().for_each(|object| child.free(object));
        child.destroy();
        Child::destroyed().free(keeps_the_chunk);
        pool.end();
        gone.end();
    });
}

#[test]
fn a_child_of_the_old_pool_goes_while_the_new_one_is_in_use() {
    check(ALL, || {
        let pool = Pool::new(THREE_ROUNDS, 2);
        let mut old = pool.child();
        let object = old.alloc();
        old.free(object);
        pool.destroy();
        pool.create(THREE_ROUNDS, 2);
        let other = beside(move || old.destroy());
        let mut child = pool.child();
        let (a, b) = (child.alloc(), child.alloc());
        child.free(a);
        other.join().unwrap();
        pool.validate();
        assert_eq!(pool.children(), 1, "the old child was never one of this pool's");
        child.free(b);
        child.destroy();
        pool.end();
    });
}

#[test]
fn a_child_with_empty_magazines_of_the_old_pool_goes_while_the_new_one_is_in_use() {
    check(ALL, || {
        let pool = Pool::new(ONE_ROUND, 1);
        let mut old = pool.child();
        let objects = [old.alloc(), old.alloc()];
        pool.destroy();
        // Its magazines are of no size that the new pool has.
        pool.create(THREE_ROUNDS, 2);
        let mut child = pool.child();
        let kept = child.alloc();
        let other = beside(move || old.destroy());
        short_life(pool, 2);
        other.join().unwrap();
        pool.validate();
        assert_eq!(pool.children(), 1, "the old child was never one of this pool's");
        objects.into_iter().for_each(|object| Child::destroyed().free(object));
        child.free(kept);
        child.destroy();
        pool.end();
    });
}

#[test]
fn objects_are_freed_through_no_child_of_their_pool_while_it_allocates() {
    check(Some(4), || {
        let (pool, other_pool) = (Pool::new(THREE_ROUNDS, 2), Pool::new(ONE_ROUND, 1));
        let mut child = pool.child();
        let (a, b) = (child.alloc(), child.alloc());
        let other = beside(move || {
            let mut foreign = other_pool.child();
            foreign.free(a);
            foreign.destroy();
            Child::destroyed().free(b);
        });
        let own = [child.alloc(), child.alloc()];
        own.into_iter().for_each(|object| child.free(object));
        child.destroy();
        other.join().unwrap();
        pool.validate();
        assert!(pool.keeps_nothing(), "it has no child");
        pool.end();
        other_pool.end();
    });
}

#[test]
fn two_pools_begin_with_one_body_that_an_older_one_left() {
    check(Some(3), || {
        let gone = Pool::new(ONE_ROUND, 1);
        short_life(gone, 1);
        gone.end();
        let (pool, other_pool) = (Pool::new(ONE_ROUND, 1), Pool::new(ONE_ROUND, 1));
        let begins = |pool: Pool| {
            let mut child = pool.child();
            let object = child.alloc();
            assert_eq!(pool.objects_out(), 1);
            child.free(object);
            child.destroy();
        };
        let other = beside(move || begins(other_pool));
        begins(pool);
        other.join().unwrap();
        pool.end();
        other_pool.end();
    });
}

#[test]
fn two_pools_come_and_go_at_the_same_time() {
    check(Some(3), || {
        // Without an object of the one, nothing of it is known, and it is created without the
        // heap's lock.
        fn life() {
            let pool = Pool::new(THREE_ROUNDS, 2);
            let mut child = pool.child();
            let object = child.alloc();
            child.destroy();
            pool.destroy();
            Child::destroyed().free(object);
            pool.create(THREE_ROUNDS, 2);
            assert_eq!(pool.objects_out(), 0);
            pool.end();
        }
        let other = beside(life);
        life();
        other.join().unwrap();
    });
}

#[test]
fn a_pool_that_was_never_destroyed_is_created_anew_by_another_thread_while_a_third_gives_back() {
    check(Some(3), || {
        let (pool, third_pool) = (Pool::new(THREE_ROUNDS, 2), Pool::new(ONE_ROUND, 1));
        let mut child = pool.child();
        let object = child.alloc();
        let third = beside(move || short_life(third_pool, 1));
        let other = beside(move || {
            pool.create(ONE_ROUND, 1);
            let mut new = pool.child();
            let own = new.alloc();
            pool.validate();
            // Would the new pool know the old slab, this were its object.
            Child::destroyed().free(object);
            new.free(own);
            new.destroy();
            assert_eq!(pool.objects_out(), 0);
        });
        other.join().unwrap();
        third.join().unwrap();
        // It has the magazine of the pool that was.
        child.destroy();
        pool.validate();
        pool.end();
        third_pool.end();
    });
}

#[test]
fn what_the_last_child_left_is_claimed_while_its_pool_goes() {
    check(Some(3), || {
        let (goes, pool) = (Pool::new(THREE_ROUNDS, 2), Pool::new(THREE_ROUNDS, 2));
        short_life(goes, 1);
        let other = beside(move || {
            goes.destroy();
            goes.create(THREE_ROUNDS, 2);
            short_life(goes, 1);
            goes.validate();
        });
        let mut child = pool.child();
        let own = [child.alloc(), child.alloc()];
        own.into_iter().for_each(|object| child.free(object));
        child.destroy();
        other.join().unwrap();
        pool.validate();
        goes.end();
        pool.end();
    });
}
