// SPDX-License-Identifier: MIT
//! Structs that a caller fills in and that later versions make longer: their first word,
//! `struct_size`, says how long the caller's is.
//!
//! What a shorter one does not have is zero. What a longer one has that this version does not know
//! must be zero, as it asks for nothing then.

use core::mem::size_of;
use core::ptr;

/// No struct is as long, in whatever version: a word that was never written is most likely above.
const MOST_BYTES: usize = 4096;

/// What the caller's struct says. None if it is not one of any version, or asks for what this one
/// does not know.
///
/// # Safety
/// So many bytes at `from` are readable as its first word says, if they are at most [`MOST_BYTES`].
/// All zeroes are a value of `T`, which consists of words of C without gaps, the first of them a
/// `size_t`; a struct of an older version ends between two of them.
pub(super) unsafe fn read<T>(from: *const T) -> Option<T> {
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = *from.cast::<usize>();
        if !(size_of::<usize>()..=MOST_BYTES).contains(&bytes) {
            return None;
        }
        let known = bytes.min(size_of::<T>());
        let unknown = (known..bytes).any(|byte| *from.cast::<u8>().add(byte) != 0);
        if unknown {
            return None;
        }
        let mut copy = core::mem::MaybeUninit::<T>::zeroed();
        ptr::copy_nonoverlapping(from.cast::<u8>(), copy.as_mut_ptr().cast(), known);
        Some(copy.assume_init())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    struct New {
        struct_size: usize,
        a: usize,
        b: usize,
    }

    fn read_words(words: &[usize]) -> Option<(usize, usize)> {
        // SAFETY: the words are there as far as the first one says.
        unsafe { read::<New>(words.as_ptr().cast()).map(|new| (new.a, new.b)) }
    }

    #[test]
    fn what_a_shorter_struct_does_not_have_is_zero() {
        const WORD: usize = size_of::<usize>();
        assert_eq!(read_words(&[WORD]), Some((0, 0)));
        assert_eq!(read_words(&[2 * WORD, 5]), Some((5, 0)));
        assert_eq!(read_words(&[3 * WORD, 5, 6]), Some((5, 6)));
    }

    #[test]
    fn a_longer_struct_may_ask_for_nothing_more() {
        const WORD: usize = size_of::<usize>();
        assert_eq!(read_words(&[5 * WORD, 5, 6, 0, 0]), Some((5, 6)));
        assert_eq!(read_words(&[5 * WORD, 5, 6, 0, 1]), None);
        assert_eq!(read_words(&[4 * WORD, 5, 6, 0, 1]), Some((5, 6)));
    }

    #[test]
    fn a_size_that_was_never_written_is_none() {
        for bytes in [0, 1, size_of::<usize>() - 1, MOST_BYTES + 1, usize::MAX] {
            assert_eq!(read_words(&[bytes, 5, 6]), None);
        }
    }
}
