// SPDX-License-Identifier: MIT
//! What happens when there is no room for another call stack. It takes all of the process's, so
//! that nothing else is here.
#![cfg(feature = "debug")]

use mesa_slab::internals::Stack;

/// Made-up frames, the same from each thread and in each turn.
fn frames(number: usize) -> [usize; 13] {
    std::array::from_fn(|frame| 1 + number * 16 + frame)
}

#[test]
fn each_stack_is_kept_once_until_there_is_no_room_and_then_no_more_are() {
    // More threads than cores come to the same chains at the same time.
    const THREADS: usize = 4;
    const COMMON: usize = 2000;
    let kept: Vec<Vec<Stack>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| (0..COMMON).map(|number| Stack::of(&frames(number))).collect()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (number, first) in kept[0].iter().enumerate() {
        let mut found = Vec::new();
        first.for_each_frame(|frame| found.push(frame));
        assert_eq!(found, frames(number));
        assert!(kept.iter().all(|of_thread| of_thread[number] == *first));
    }

    let full = (COMMON..).find(|number| Stack::of(&frames(*number)).is_none()).unwrap();
    assert!(full > 2 * COMMON);
    assert!(Stack::of(&frames(full + 1)).is_none());
    assert!(Stack::of(&frames(COMMON)) != Stack::NONE);
    assert!(Stack::of(&frames(0)) == kept[0][0]);
}
