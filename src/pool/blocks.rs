// SPDX-License-Identifier: MIT
//! Blocks of a heap's for what the library keeps for its callers and they hold by a pointer: a
//! parent that no caller has memory for, and what groups of pools consist of.
//!
//! They are blocks as magazines lie in: of 2 to 512 words, and aligned to their size.

use core::ptr;

use crate::base::geometry::{MAGAZINE_WORDS, magazine_bytes};
use crate::heap::magazine::Magazine;
use crate::heap::surplus::Surplus;
use crate::heap::{HEAP, Home};
use crate::hooks;
use crate::sys::sync::renew;

/// The class of blocks that a `T` lies in: the smallest with room. There is none for a larger `T`
/// than a block can be, which does not compile.
const fn class<T>() -> u8 {
    assert!(size_of::<T>() <= magazine_bytes(0), "larger than any block");
    let mut class = MAGAZINE_WORDS.len() as u8 - 1;
    while magazine_bytes(class) < size_of::<T>() {
        class -= 1;
    }
    assert!(align_of::<T>() <= magazine_bytes(class), "aligned to more than its block");
    class
}

/// Room for a `T` of any content, in a heap of the program's or in the process's. Null if there is no
/// memory. No lock is held.
pub(crate) fn take_in<T>(home: Home) -> *mut T {
    loop {
        let block = take_once::<T>(home);
        if !block.is_null() || !home.more() {
            return block;
        }
    }
}

/// The same in the process's.
pub(crate) fn take<T>() -> *mut T {
    take_once(Home::PROCESS)
}

fn take_once<T>(home: Home) -> *mut T {
    let class = const { class::<T>() };
    hooks::before_block();
    let block = HEAP.make_magazine(home, class);
    if block.is_none() {
        return ptr::null_mut();
    }
    let block = block.block(0).cast();
    renew(block, size_of::<T>());
    block
}

/// Gives a block back.
///
/// # Safety
/// It was taken for a `T`, and nobody uses it from now on.
pub(crate) unsafe fn give_back<T>(block: *mut T) {
    let mask = const { magazine_bytes(class::<T>()) - 1 };
    let mut surplus = Surplus::EMPTY;
    // SAFETY: the caller's promise; an empty magazine is its own block.
    unsafe { surplus.add_magazine(Magazine::new(block.cast()), mask) }
    HEAP.take_back(&mut surplus);
    HEAP.settle();
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_room_and_is_aligned_to_its_size() {
        const WORD: usize = size_of::<usize>();
        assert_eq!(magazine_bytes(class::<usize>()), 2 * WORD);
        assert_eq!(magazine_bytes(class::<[usize; 3]>()), 4 * WORD);
        assert_eq!(magazine_bytes(class::<[usize; 512]>()), 512 * WORD);
        let [first, second] = [take::<[usize; 5]>(), take::<[usize; 5]>()];
        assert!(!first.is_null() && first != second);
        assert_eq!(first.addr() % (8 * WORD), 0);
        // SAFETY: they were taken just now, and are the test's alone.
        unsafe {
            first.write([1; 5]);
            second.write([2; 5]);
            assert_eq!((first.read(), second.read()), ([1; 5], [2; 5]));
            give_back(first);
            give_back(second);
        }
    }
}
