//! Sequences that once failed, or that show that a defect put into the library on purpose is
//! caught; each is as short as it could be made, and named after what it protects.

use model::operation::{Child, Door, Pick};
use model::system::{End, Function, in_a_forked_process};
use model::{Operation, Operation::*};

fn must_be_right(operations: &[Operation]) {
    assert_eq!(in_a_forked_process(|| model::run(operations)), End::Good, "{operations:?}");
}

#[test]
fn a_zeroed_object_is_zero_to_its_last_byte() {
    must_be_right(&[
        Allocate { child: Child(0, 2), count: 1, zeroed: false, door: Door::Exported },
        Free { of: 0, through: Child(0, 0), count: 1, pick: Pick::Newest, door: Door::Exported },
        Allocate { child: Child(0, 1), count: 1, zeroed: true, door: Door::Inlined },
    ]);
}

#[test]
fn a_trimmed_child_gives_both_of_its_magazines() {
    must_be_right(&[
        Allocate { child: Child(3, 2), count: 130, zeroed: false, door: Door::Exported },
        Free { of: 3, through: Child(3, 2), count: 17, pick: Pick::Newest, door: Door::Exported },
        TrimChild { child: Child(3, 2) },
    ]);
}

#[test]
fn a_purged_run_is_put_back() {
    must_be_right(&[
        Allocate { child: Child(1, 1), count: 1, zeroed: false, door: Door::Exported },
        Allocate { child: Child(0, 0), count: 1, zeroed: false, door: Door::Exported },
        Free { of: 1, through: Child(0, 0), count: 1, pick: Pick::Newest, door: Door::Inlined },
        CreateParent { pool: 1, item_size: 96, num_items: 16 },
        TrimHeap,
    ]);
}

#[test]
fn what_munmap_refuses_goes_back_later() {
    must_be_right(&[
        FailCalls { function: Function::Munmap, number: 1, and_later_ones: false },
        Validate { pool: 0 },
        Allocate { child: Child(0, 0), count: 1, zeroed: false, door: Door::Exported },
    ]);
}

#[test]
fn what_a_pools_last_child_leaves_is_for_that_pool_alone() {
    must_be_right(&[
        Allocate { child: Child(1, 1), count: 1, zeroed: false, door: Door::Exported },
        CreateParent { pool: 0, item_size: 9, num_items: 16 },
        Free { of: 1, through: Child(0, 0), count: 1, pick: Pick::Newest, door: Door::Inlined },
        DestroyChild { child: Child(1, 1) },
        Allocate { child: Child(3, 2), count: 1, zeroed: false, door: Door::Exported },
    ]);
}

/// What memory did not suffice for is not full, and must not become a child's previous magazine.
#[test]
fn what_is_put_by_without_memory_is_in_the_loaded_magazine() {
    let child = Child(0, 0);
    let allocate = Allocate { child, count: 300, zeroed: false, door: Door::Bulk };
    let free = Free { of: 0, through: child, count: 300, pick: Pick::Oldest, door: Door::Bulk };
    must_be_right(&[
        CreateParent { pool: 0, item_size: 4096, num_items: 16 },
        allocate,
        allocate,
        allocate,
        FailCalls { function: Function::Mmap, number: 1, and_later_ones: true },
        Prefill { child, count: 520 },
        Recover,
        free,
        free,
        free,
        Validate { pool: 0 },
    ]);
}

/// Memory ends a few objects before as many as were asked for, fewer than the child has rounds in a
/// magazine: behind what there was is nothing.
#[test]
fn bulk_without_memory_writes_no_more_than_it_gives() {
    const AT_A_TIME: usize = 600;
    let allocate = |count| Allocate { child: Child(0, 0), count, zeroed: false, door: Door::Bulk };
    // Whatever a chunk has, some of these are as close.
    for first in (1..AT_A_TIME).step_by(20) {
        let mut operations = vec![
            CreateParent { pool: 0, item_size: 1024, num_items: 16 },
            allocate(first),
            FailCalls { function: Function::Mmap, number: 1, and_later_ones: true },
        ];
        operations.extend([allocate(AT_A_TIME); 8]);
        must_be_right(&operations);
    }
}

/// What a child that went has left in a magazine that is not full is not kept for good.
#[test]
fn a_pool_that_sleeps_gives_its_half_filled_magazine() {
    let allocate = |child, count| {
        let child = Child(0, child);
        Allocate { child, count, zeroed: false, door: Door::Exported }
    };
    must_be_right(&[
        CreateParent { pool: 0, item_size: 8192, num_items: 16 },
        allocate(0, 1),
        allocate(1, 2),
        Free { of: 0, through: Child(0, 1), count: 2, pick: Pick::Newest, door: Door::Exported },
        DestroyChild { child: Child(0, 1) },
        FallAsleep,
    ]);
}

/// Nor what several pools had that were filled and emptied, one of which is gone by then.
#[test]
fn pools_that_sleep_give_what_they_learned_to_keep() {
    let cycle = |pool| Cycle { child: Child(pool, 0), count: 5000, times: 3 };
    must_be_right(&[
        CreateParent { pool: 0, item_size: 96, num_items: 64 },
        CreateParent { pool: 1, item_size: 1000, num_items: 64 },
        CreateParent { pool: 2, item_size: 256, num_items: 64 },
        cycle(0),
        cycle(1),
        cycle(2),
        TakeTurns { count: 300 },
        Forget { pool: 1 },
        FallAsleep,
        TakeTurns { count: 300 },
        CreateParent { pool: 1, item_size: 96, num_items: 64 },
    ]);
}
