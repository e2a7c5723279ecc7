// SPDX-License-Identifier: MIT
//! Who goes round over pools that sleep, beside each call of those that use one of them.
//!
//! One pool sleeps, with a full magazine in its depot. A thread that uses another one goes round, and
//! drains it; the first thread meanwhile makes one call, or a few.

use mesa_slab::abi::ext::{slab_object_size, slab_trim_heap};
use mesa_slab::internals::models::{self, START, set_seconds};

use crate::world::*;

/// Leaves a pool with free objects asleep, and uses another one for so many seconds: then it has none.
fn goes_while_another_pool_is_used(asleep: Pool, seconds: u32) {
    let awake = Pool::made(ONE_ROUND, 1);
    let (mut kept, mut child) = (asleep.child(), awake.child());
    let handed = kept.alloc();
    short_life(asleep, 2);
    assert!(!asleep.keeps_nothing());
    for second in 1..=seconds {
        set_seconds(START + second);
        let taken = [child.alloc(), child.alloc(), child.alloc()];
        taken.into_iter().for_each(|object| child.free(object));
    }
    assert!(asleep.keeps_nothing());
    kept.free(handed);
    kept.destroy();
    child.destroy();
    asleep.end();
    awake.end();
}

#[test]
fn what_a_pool_keeps_goes_while_another_one_is_used() {
    check(ALL, || goes_while_another_pool_is_used(Pool::made(ONE_ROUND, 1), 4));
}

#[test]
fn a_half_filled_magazine_goes_while_another_pool_is_used() {
    check(ALL, || goes_while_another_pool_is_used(Pool::made(THREE_ROUNDS, 2), 3));
}

/// A pool that sleeps, its child, which has no free objects, and an object.
fn asleep() -> (Pool, Child, Object) {
    let pool = Pool::made(ONE_ROUND, 1);
    let mut child = pool.child();
    let object = child.alloc();
    short_life(pool, 2);
    (pool, child, object)
}

/// Uses the child of a pool that is awake, and so goes round, and destroys it.
fn go_round(mut child: Child) {
    let taken = [child.alloc(), child.alloc(), child.alloc()];
    taken.into_iter().for_each(|object| child.free(object));
    child.destroy();
}

/// Calls `work` with a pool that sleeps, its child and an object, while another thread goes round.
/// What it returns of the last two comes to its end behind that.
fn while_reaped(work: impl FnOnce(Pool, Child, Object) -> (Option<Child>, Option<Object>)) {
    let (pool, child, object) = asleep();
    let awake = Pool::made(ONE_ROUND, 1);
    let reaper = awake.child();
    set_seconds(START + 2);
    let other = beside(move || go_round(reaper));
    let (child, object) = work(pool, child, object);
    other.join().unwrap();
    pool.validate();
    let mut child = child.unwrap_or_else(Child::destroyed);
    if let Some(object) = object {
        child.free(object);
    }
    child.destroy();
    assert!(pool.keeps_nothing());
    pool.end();
    awake.validate();
    awake.end();
}

#[test]
fn a_pool_that_sleeps_is_reaped_while_it_awakes() {
    check(Some(2), || {
        while_reaped(|_, mut child, object| {
            let again = [child.alloc(), child.alloc()];
            again.into_iter().for_each(|object| child.free(object));
            (Some(child), Some(object))
        });
    });
}

#[test]
fn a_pool_that_sleeps_is_reaped_while_its_children_give_and_take_two_magazines() {
    check(Some(2), || {
        let ExchangeBoth { pool, mut taker, mut taken, mut giver, last } = ExchangeBoth::new();
        let awake = Pool::made(ONE_ROUND, 1);
        let reaper = awake.child();
        set_seconds(START + 2);
        let other = beside(move || go_round(reaper));
        giver.free(last);
        taken.extend([taker.alloc(), taker.alloc()]);
        other.join().unwrap();
        pool.validate();
        giver.destroy();
        taken.into_iter().for_each(|object| taker.free(object));
        taker.destroy();
        pool.end();
        awake.end();
    });
}

#[test]
fn a_pool_that_sleeps_is_reaped_while_it_awakes_in_bulk() {
    check(Some(2), || {
        while_reaped(|_, mut child, object| {
            let again = child.alloc_bulk(3);
            child.free_bulk(again);
            child.prefill(2);
            (Some(child), Some(object))
        });
    });
}

#[test]
fn a_pool_that_sleeps_is_reaped_while_its_last_child_goes() {
    check(Some(3), || {
        while_reaped(|_, child, object| {
            child.destroy();
            (None, Some(object))
        });
    });
}

#[test]
fn what_a_pool_keeps_without_children_is_reaped_while_one_comes() {
    check(Some(3), || {
        let pool = Pool::made(THREE_ROUNDS, 2);
        short_life(pool, 1);
        short_life(pool, 1);
        assert!(!pool.keeps_nothing());
        let awake = Pool::made(ONE_ROUND, 1);
        go_round(awake.child());
        set_seconds(START + 1);
        go_round(awake.child());
        set_seconds(START + 2);
        let reaper = awake.child();
        let other = beside(move || go_round(reaper));
        short_life(pool, 1);
        other.join().unwrap();
        pool.validate();
        pool.end();
        awake.end();
    });
}

#[test]
fn what_a_pool_keeps_without_children_goes_while_another_one_is_used() {
    check(ALL, || {
        let pool = Pool::made(THREE_ROUNDS, 2);
        short_life(pool, 1);
        short_life(pool, 1);
        let awake = Pool::made(ONE_ROUND, 1);
        for second in 1..4 {
            set_seconds(START + second);
            go_round(awake.child());
        }
        assert!(pool.keeps_nothing());
        assert_eq!(pool.objects_out(), 0);
        pool.end();
        awake.end();
    });
}

#[test]
fn a_pool_that_sleeps_is_reaped_while_an_object_comes_back_through_no_child() {
    check(Some(3), || {
        while_reaped(|_, child, object| {
            Child::destroyed().free(object);
            (Some(child), None)
        });
    });
}

#[test]
fn a_pool_that_sleeps_is_reaped_while_it_is_trimmed() {
    check(Some(2), || {
        while_reaped(|pool, mut child, object| {
            child.trim();
            pool.trim();
            (Some(child), Some(object))
        });
    });
}

#[test]
fn a_pool_that_sleeps_is_reaped_while_the_heap_is_trimmed() {
    check(Some(2), || {
        while_reaped(|_, child, object| {
            slab_trim_heap();
            (Some(child), Some(object))
        });
    });
}

#[test]
fn a_pool_that_sleeps_is_reaped_while_it_is_looked_at() {
    check(Some(2), || {
        while_reaped(|pool, child, object| {
            pool.set_name(c"asleep");
            pool.validate();
            assert!((1..=4).contains(&pool.objects_out()));
            (Some(child), Some(object))
        });
    });
}

#[test]
fn a_pool_that_sleeps_is_reaped_while_an_address_is_asked_of() {
    check(Some(2), || {
        while_reaped(|_, child, object| {
            let address = core::ptr::without_provenance(object.address());
            assert_eq!(slab_object_size(address), ONE_ROUND as usize);
            (Some(child), Some(object))
        });
    });
}

#[test]
fn a_pool_that_sleeps_is_reaped_while_the_process_forks() {
    check(Some(3), || {
        while_reaped(|_, child, object| {
            models::fork();
            (Some(child), Some(object))
        });
    });
}

#[test]
fn a_pool_that_sleeps_is_reaped_while_the_library_is_unloaded() {
    check(Some(3), || {
        while_reaped(|_, child, object| {
            models::release_free_memory();
            (Some(child), Some(object))
        });
    });
}

#[test]
fn two_threads_go_round_while_a_pool_sleeps() {
    check(Some(2), || {
        let awake = Pool::made(ONE_ROUND, 1);
        let reaper = awake.child();
        while_reaped(|_, child, object| {
            go_round(reaper);
            (Some(child), Some(object))
        });
        awake.end();
    });
}

#[test]
fn a_pool_that_sleeps_is_reaped_while_it_ends() {
    check(Some(2), || {
        let ((pool, mut child, object), awake) = (asleep(), Pool::made(ONE_ROUND, 1));
        let reaper = awake.child();
        set_seconds(START + 2);
        let other = beside(move || go_round(reaper));
        child.free(object);
        child.destroy();
        pool.end();
        other.join().unwrap();
        awake.validate();
        awake.end();
    });
}

/// The child is destroyed behind its parent.
#[test]
fn a_pool_that_sleeps_is_reaped_while_it_ends_before_its_child() {
    check(Some(2), || {
        let ((pool, child, object), awake) = (asleep(), Pool::made(ONE_ROUND, 1));
        let reaper = awake.child();
        set_seconds(START + 2);
        let other = beside(move || go_round(reaper));
        pool.destroy();
        child.destroy();
        Child::destroyed().free(object);
        pool.end();
        other.join().unwrap();
        awake.validate();
        awake.end();
    });
}

#[test]
fn a_pool_that_sleeps_is_reaped_while_it_is_created_anew() {
    check(Some(2), || {
        let ((pool, child, object), awake) = (asleep(), Pool::made(ONE_ROUND, 1));
        let reaper = awake.child();
        set_seconds(START + 2);
        let other = beside(move || go_round(reaper));
        pool.create(ONE_ROUND, 1);
        Child::destroyed().free(object);
        other.join().unwrap();
        child.destroy();
        pool.end();
        awake.end();
    });
}

/// A pool of large objects that keeps a slab, as one was freed, and a child of it.
fn keeps_a_large_one() -> (Pool, Child) {
    let pool = Pool::made(LARGE, 1);
    let mut child = pool.child();
    let object = child.alloc();
    child.free(object);
    assert!(!pool.keeps_nothing());
    (pool, child)
}

#[test]
fn what_a_pool_of_large_objects_keeps_goes_unless_it_is_used() {
    check(ALL, || {
        let (pool, mut child) = keeps_a_large_one();
        let awake = Pool::made(ONE_ROUND, 1);
        let mut others = awake.child();
        for second in 1..=4 {
            set_seconds(START + second);
            if second <= 2 {
                let object = child.alloc();
                child.free(object);
            }
            let taken = [others.alloc(), others.alloc(), others.alloc()];
            taken.into_iter().for_each(|object| others.free(object));
            assert!(second > 2 || !pool.keeps_nothing());
        }
        assert!(pool.keeps_nothing());
        child.destroy();
        others.destroy();
        pool.end();
        awake.end();
    });
}

#[test]
fn pools_of_large_objects_go_round() {
    check(ALL, || {
        let (pool, child) = keeps_a_large_one();
        let (awake, mut others) = keeps_a_large_one();
        set_seconds(START + 2);
        let object = others.alloc();
        others.free(object);
        assert!(pool.keeps_nothing() && !awake.keeps_nothing());
        child.destroy();
        others.destroy();
        pool.end();
        awake.end();
    });
}

#[test]
fn a_pool_of_large_objects_is_reaped_while_it_awakes() {
    check(Some(3), || {
        let (pool, mut child) = keeps_a_large_one();
        let awake = Pool::made(ONE_ROUND, 1);
        let reaper = awake.child();
        set_seconds(START + 2);
        let other = beside(move || go_round(reaper));
        let object = child.alloc();
        child.free(object);
        other.join().unwrap();
        pool.validate();
        child.destroy();
        pool.end();
        awake.end();
    });
}
