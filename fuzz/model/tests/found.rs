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
