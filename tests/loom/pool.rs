// SPDX-License-Identifier: MIT
//! Children of one pool, at the same time.

use loom::sync::mpsc::channel;
use mesa_slab::abi::ext::{SLAB_STATS_JSON, slab_print_stats};
use mesa_slab::internals::models;

use crate::world::*;

#[test]
fn two_children_make_the_body_of_their_pool() {
    check(Some(3), || {
        let (pool, before) = (Pool::new(UNCACHED, 1), Pool::made(UNCACHED, 1));
        let other = beside(move || short_life(pool, 1));
        short_life(pool, 1);
        other.join().unwrap();
        pool.validate();
        before.end();
        pool.end();
    });
}

#[test]
fn two_children_allocate_and_free() {
    check(Some(5), || {
        let pool = Pool::made(ONE_ROUND, 1);
        let other = beside(move || short_life(pool, 2));
        short_life(pool, 2);
        other.join().unwrap();
        pool.validate();
        pool.end();
    });
}

#[test]
fn two_children_share_a_slab() {
    check(ALL, || {
        let pool = Pool::made(THREE_ROUNDS, 2);
        let other = beside(move || short_life(pool, 2));
        short_life(pool, 2);
        other.join().unwrap();
        pool.validate();
        pool.end();
    });
}

#[test]
fn three_children_come_and_go() {
    check(Some(2), || {
        let pool = Pool::made(THREE_ROUNDS, 2);
        let others = [1, 2].map(|objects| beside(move || short_life(pool, objects)));
        short_life(pool, 3);
        others.into_iter().for_each(|other| other.join().unwrap());
        pool.validate();
        pool.end();
    });
}

#[test]
fn objects_are_freed_through_a_sibling_while_the_first_child_allocates() {
    check(Some(5), || {
        let pool = Pool::new(ONE_ROUND, 1);
        let mut first = pool.child();
        let handed = [first.alloc(), first.alloc()];
        let other = beside(move || {
            let mut sibling = pool.child();
            handed.into_iter().for_each(|object| sibling.free(object));
            sibling.destroy();
        });
        let own = [first.alloc(), first.alloc()];
        own.into_iter().for_each(|object| first.free(object));
        other.join().unwrap();
        pool.validate();
        first.destroy();
        pool.end();
    });
}

#[test]
fn objects_pass_from_thread_to_thread() {
    check(Some(3), || {
        let pool = Pool::new(ONE_ROUND, 1);
        let (to_other, from_first) = channel();
        let other = beside(move || {
            let mut sibling = pool.child();
            for _ in 0..2 {
                sibling.free(from_first.recv().unwrap());
            }
            let own = sibling.alloc();
            sibling.free(own);
            sibling.destroy();
        });
        let mut first = pool.child();
        for _ in 0..2 {
            to_other.send(first.alloc()).unwrap();
        }
        let own = first.alloc();
        first.free(own);
        first.destroy();
        other.join().unwrap();
        pool.validate();
        pool.end();
    });
}

#[test]
fn a_child_is_destroyed_while_another_drains_the_depot() {
    check(Some(4), || {
        let pool = Pool::new(ONE_ROUND, 1);
        let (mut first, mut second) = (pool.child(), pool.child());
        let kept = first.alloc();
        let taken: Vec<Object> = (0..4).map(|_| second.alloc()).collect();
        // The depot has as many full magazines as it may, and the second child two.
        taken.into_iter().for_each(|object| second.free(object));
        let other = beside(move || second.destroy());
        let own = [first.alloc(), first.alloc()];
        first.free(kept);
        own.into_iter().for_each(|object| first.free(object));
        other.join().unwrap();
        pool.validate();
        first.destroy();
        pool.end();
    });
}

#[test]
fn the_last_child_goes_while_another_comes() {
    check(ALL, || {
        let pool = Pool::new(THREE_ROUNDS, 2);
        let mut last = pool.child();
        let object = last.alloc();
        last.free(object);
        let other = beside(move || last.destroy());
        short_life(pool, 1);
        other.join().unwrap();
        pool.validate();
        pool.end();
    });
}

#[test]
fn a_pool_keeps_its_slab_without_children_while_another_one_comes() {
    check(ALL, || {
        let pool = Pool::made(THREE_ROUNDS, 2);
        short_life(pool, 1);
        let mut last = pool.child();
        let object = last.alloc();
        last.free(object);
        let other = beside(move || last.destroy());
        short_life(pool, 1);
        other.join().unwrap();
        pool.validate();
        short_life(pool, 2);
        assert_eq!(pool.children(), 0);
        pool.end();
    });
}

#[test]
fn what_a_pool_keeps_without_children_is_trimmed_while_one_comes() {
    check(ALL, || {
        let pool = Pool::made(ONE_ROUND, 1);
        short_life(pool, 1);
        short_life(pool, 1);
        assert!(!pool.keeps_nothing());
        let other = beside(move || pool.trim());
        short_life(pool, 2);
        other.join().unwrap();
        pool.validate();
        pool.end();
    });
}

#[test]
fn what_the_last_child_left_is_claimed_while_another_pool_leaves_its_own() {
    check(Some(3), || {
        let (pool, other_pool) = (Pool::new(THREE_ROUNDS, 2), Pool::new(THREE_ROUNDS, 2));
        short_life(pool, 1);
        let other = beside(move || short_life(other_pool, 1));
        short_life(pool, 1);
        other.join().unwrap();
        pool.validate();
        other_pool.validate();
        pool.end();
        other_pool.end();
    });
}

#[test]
fn a_pool_is_trimmed_while_its_children_work() {
    check(Some(4), || {
        let pool = Pool::new(ONE_ROUND, 1);
        let mut child = pool.child();
        let taken = [child.alloc(), child.alloc(), child.alloc()];
        taken.into_iter().for_each(|object| child.free(object));
        let other = beside(move || {
            pool.trim();
            short_life(pool, 1);
        });
        let object = child.alloc();
        child.trim();
        child.free(object);
        child.destroy();
        other.join().unwrap();
        pool.validate();
        pool.end();
    });
}

#[test]
fn a_child_takes_two_magazines_while_another_one_gives_two() {
    check(ALL, || {
        let ExchangeBoth { pool, mut taker, mut taken, mut giver, last } = ExchangeBoth::new();
        let other = beside(move || {
            giver.free(last);
            giver.destroy();
        });
        taken.extend([taker.alloc(), taker.alloc()]);
        taken.into_iter().for_each(|object| taker.free(object));
        other.join().unwrap();
        pool.validate();
        taker.destroy();
        pool.end();
    });
}

#[test]
fn a_child_keeps_the_second_magazine_if_its_depot_wants_one() {
    check(ALL, || {
        let pool = Pool::made(ONE_ROUND, 1);
        let mut child = pool.child();
        let taken = [(); 4].map(|()| child.alloc());
        // The last one in its third visit in a row, when the depot has one of two.
        taken.into_iter().for_each(|object| child.free(object));
        assert_eq!(pool.objects_out(), 4, "too many were given, and drained");
        child.destroy();
        pool.end();
    });
}

#[test]
fn a_pool_is_trimmed_while_its_children_give_and_take_two_magazines() {
    check(ALL, || {
        let ExchangeBoth { pool, mut taker, mut taken, mut giver, last } = ExchangeBoth::new();
        let other = beside(move || pool.trim());
        giver.free(last);
        taken.extend([taker.alloc(), taker.alloc()]);
        other.join().unwrap();
        pool.validate();
        giver.destroy();
        taken.into_iter().for_each(|object| taker.free(object));
        taker.destroy();
        pool.end();
    });
}

unsafe extern "C" fn no_output(_: *mut core::ffi::c_void, _: *const core::ffi::c_char, _: usize) {}

#[test]
fn statistics_are_taken_while_children_work() {
    check(Some(4), || {
        let pool = Pool::new(THREE_ROUNDS, 2);
        let other = beside(move || short_life(pool, 1));
        assert!(pool.objects_out() <= 2);
        // SAFETY: the function ignores its data.
        unsafe { slab_print_stats(no_output, core::ptr::null_mut(), SLAB_STATS_JSON) };
        other.join().unwrap();
        pool.end();
    });
}

#[test]
fn a_pool_is_named_while_names_are_printed() {
    check(ALL, || {
        let pool = Pool::new(THREE_ROUNDS, 2);
        let mut child = pool.child();
        let object = child.alloc();
        let other = beside(move || pool.set_name(c"transfers"));
        // SAFETY: the function ignores its data.
        unsafe { slab_print_stats(no_output, core::ptr::null_mut(), SLAB_STATS_JSON) };
        pool.set_name(c"queries");
        other.join().unwrap();
        child.free(object);
        child.destroy();
        pool.end();
    });
}

#[test]
fn objects_that_are_not_cached_go_straight_to_their_slabs() {
    check(Some(5), || {
        let pool = Pool::made(UNCACHED, 1);
        let other = beside(move || short_life(pool, 2));
        short_life(pool, 2);
        other.join().unwrap();
        pool.validate();
        pool.end();
    });
}

#[test]
fn large_objects_come_and_go() {
    check(Some(4), || {
        let pool = Pool::new(LARGE, 1);
        let mut child = pool.child();
        let handed = child.alloc();
        let other = beside(move || {
            let mut sibling = pool.child();
            sibling.free(handed);
            let own = sibling.alloc();
            sibling.free(own);
            sibling.destroy();
        });
        let own = child.alloc();
        child.free(own);
        child.destroy();
        other.join().unwrap();
        pool.validate();
        pool.end();
    });
}

#[test]
fn a_child_gets_busy_while_a_sibling_frees_its_objects() {
    check(Some(4), || {
        let pool = Pool::new(ONE_ROUND, 1);
        let (mut child, mut taken) = pool.nearly_busy_child();
        assert_eq!(child.magazine_bytes(), MAGAZINES[0]);
        let handed = taken.split_off(taken.len() - 3);
        let other = beside(move || {
            let mut sibling = pool.child();
            handed.into_iter().for_each(|object| sibling.free(object));
            sibling.destroy();
        });
        taken.extend((0..5).map(|_| child.alloc()));
        other.join().unwrap();
        pool.validate();
        taken.into_iter().for_each(|object| child.free(object));
        child.destroy();
        pool.end();
    });
}

#[test]
fn a_child_gets_busy_by_freeing_while_a_sibling_allocates() {
    check(Some(4), || {
        let pool = Pool::new(ONE_ROUND, 1);
        let (mut child, mut taken) = pool.nearly_busy_child();
        let other = beside(move || short_life(pool, 3));
        let others = taken.split_off(3);
        taken.into_iter().for_each(|object| child.free(object));
        assert_eq!(
            child.magazine_bytes(),
            MAGAZINES[1],
            "its magazines were full, and it has been here"
        );
        // As nobody allocates any more, it may have a small one again in the end.
        others.into_iter().for_each(|object| child.free(object));
        other.join().unwrap();
        pool.validate();
        child.destroy();
        pool.end();
    });
}

#[test]
fn children_exchange_magazines_of_both_sizes() {
    check(Some(4), || {
        let pool = Pool::new(ONE_ROUND, 1);
        let (mut busy, mut taken) = pool.nearly_busy_child();
        taken.push(busy.alloc());
        assert_eq!(busy.magazine_bytes(), MAGAZINES[1]);
        let mut small = pool.child();
        let kept = [small.alloc(), small.alloc()];
        kept.into_iter().for_each(|object| small.free(object));
        // It has two magazines now, both empty.
        let kept = [small.alloc(), small.alloc()];
        // The depot gets a full one of the larger size.
        taken.into_iter().for_each(|object| busy.free(object));
        let other = beside(move || {
            let own = small.alloc();
            kept.into_iter().for_each(|object| small.free(object));
            small.free(own);
            small.destroy();
        });
        let own: Vec<Object> = (0..7).map(|_| busy.alloc()).collect();
        own.into_iter().for_each(|object| busy.free(object));
        other.join().unwrap();
        pool.validate();
        busy.destroy();
        pool.end();
    });
}

#[test]
fn what_a_busy_child_left_is_claimed_while_another_pool_leaves_its_own() {
    check(ALL, || {
        // Four to a slab, which is a page.
        let [pool, other_pool] = [(); 2].map(|()| Pool::new(THREE_ROUNDS / 2, 4));
        let (mut busy, taken) = pool.busy_child();
        let slab = |object: &Object| object.address() / 4096;
        let first = slab(&taken[0]);
        let (kept, others): (Vec<_>, Vec<_>) =
            taken.into_iter().partition(|object| slab(object) == first);
        others.into_iter().for_each(|object| Child::destroyed().free(object));
        assert_eq!(kept.len(), 4);
        kept.into_iter().for_each(|object| busy.free(object));
        pool.trim();
        // A magazine with room for more rounds than a first one has, with four in it, and the slab that
        // they are of.
        assert!(!models::has_kit());
        busy.destroy();
        assert!(models::has_kit());
        let other = beside(move || short_life(other_pool, 1));
        let mut child = pool.child();
        let own = [child.alloc(), child.alloc()];
        own.into_iter().for_each(|object| child.free(object));
        child.destroy();
        other.join().unwrap();
        pool.validate();
        pool.end();
        other_pool.end();
    });
}

#[test]
fn a_pool_is_validated_while_its_children_work() {
    check(Some(4), || {
        let pool = Pool::new(ONE_ROUND, 1);
        let mut child = pool.child();
        let taken: Vec<Object> = (0..3).map(|_| child.alloc()).collect();
        let other = beside(move || {
            taken.into_iter().for_each(|object| child.free(object));
            // Leaves a kit, or gives slabs back.
            child.destroy();
        });
        pool.validate();
        short_life(pool, 1);
        other.join().unwrap();
        pool.validate();
        pool.end();
    });
}

#[test]
fn objects_come_and_go_in_bulk_beside_another_child() {
    check(Some(3), || {
        let pool = Pool::made(THREE_ROUNDS, 2);
        let mut child = pool.child();
        let mut sibling = pool.child();
        let given = child.alloc_bulk(5);
        let other = beside(move || {
            sibling.free_bulk(given);
            sibling.destroy();
        });
        let own = child.alloc_bulk(7);
        child.free_bulk(own);
        other.join().unwrap();
        pool.validate();
        child.destroy();
        assert!(pool.keeps_nothing());
        pool.end();
    });
}

#[test]
fn a_child_is_prefilled_while_another_one_gives_back() {
    check(Some(3), || {
        let pool = Pool::made(THREE_ROUNDS, 2);
        let mut child = pool.child();
        let mut sibling = pool.child();
        let given = sibling.alloc_bulk(7);
        let other = beside(move || {
            sibling.free_bulk(given);
            sibling.destroy();
        });
        child.prefill(5);
        let own = child.alloc_bulk(5);
        // More than two of the magazines that it began with hold.
        child.prefill(9);
        other.join().unwrap();
        pool.validate();
        child.free_bulk(own);
        child.destroy();
        assert!(pool.keeps_nothing());
        pool.end();
    });
}
