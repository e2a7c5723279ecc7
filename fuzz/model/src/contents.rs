//! What each byte of a live object must be: a function of its address, a number of its own, and its
//! place.
//!
//! Objects of more than 8 KiB have contents in their first 8 KiB, in a word of each further page,
//! and in their last word.

use std::slice;

const DENSE: usize = 8192;
const STEP: usize = 4096;
const WORD: usize = 8;

/// Neighbouring words, and objects that were at the same place, must not look alike.
fn word(address: usize, number: u64, index: usize) -> [u8; WORD] {
    let mixed = (address as u64 ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_add(index as u64 * 2 + 1)
        .wrapping_mul(0xd1b5_4a32_d192_ed03);
    (mixed ^ mixed >> 29).to_ne_bytes()
}

/// The parts that have contents, as offset and length; none reaches over a word.
fn parts(size: usize) -> impl Iterator<Item = (usize, usize)> {
    let dense = (0..size.min(DENSE)).step_by(WORD);
    let sparse = (DENSE..size).step_by(STEP);
    let last = size.saturating_sub(1) / WORD * WORD;
    dense.chain(sparse).chain([last]).map(move |offset| (offset, WORD.min(size - offset)))
}

/// Writes the contents of an object.
///
/// # Safety
/// `size` bytes at `object` are the caller's, and `size` is not 0.
pub unsafe fn write(object: *mut u8, size: usize, number: u64) {
    for (offset, length) in parts(size) {
        let word = word(object.addr(), number, offset / WORD);
        // SAFETY: the caller's promise; the part is in the object.
        let bytes = unsafe { slice::from_raw_parts_mut(object.add(offset), length) };
        bytes.copy_from_slice(&word[..length]);
    }
}

/// The offset of the first word that is not as it was written, if there is one.
///
/// # Safety
/// `size` bytes at `object` are readable, and `size` is not 0.
pub unsafe fn first_change(object: *mut u8, size: usize, number: u64) -> Option<usize> {
    let changed = |&(offset, length): &(usize, usize)| {
        let word = word(object.addr(), number, offset / WORD);
        // SAFETY: the caller's promise; the part is in the object.
        unsafe { slice::from_raw_parts(object.add(offset), length) != &word[..length] }
    };
    parts(size).find(changed).map(|(offset, _)| offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_wherever_there_are_contents() {
        for size in [1, 7, 8, 9, 100, 8191, 8192, 8193, 20_000] {
            let mut object = vec![0u8; size];
            let address = object.as_mut_ptr();
            // SAFETY: the bytes are the vector's.
            unsafe {
                write(address, size, 5);
                assert_eq!(first_change(address, size, 5), None);
                assert!(first_change(address, size, 6).is_some());
                for offset in [0, size / 2 % DENSE, size - 1] {
                    *address.add(offset) ^= 1;
                    assert_eq!(first_change(address, size, 5), Some(offset / WORD * WORD));
                    *address.add(offset) ^= 1;
                }
            }
        }
    }
}
