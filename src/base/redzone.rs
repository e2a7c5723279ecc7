// SPDX-License-Identifier: MIT
//! Where an object lies in its slot when it has redzones.
//!
//! A slot of a slab is `lead` bytes of redzone, the object, and a tail of redzone that reaches to
//! the next slot. Slabs know of slots only: `lead` is added to what they hand out and subtracted
//! from what they are given. Objects are aligned as in ordinary pools, so that the lead is as long
//! as that alignment and the bytes from one slot to the next are a multiple of it.

use super::geometry::{PAGE, stride};

/// Bytes of redzone on each side at least.
const LEAST: u32 = 16;

/// Bytes from a slot to its object, and to the next slot. None if an object with redzones would be
/// too large.
pub(crate) fn with_redzones(item_size: u32) -> Option<(u32, u32)> {
    let ordinary = stride(item_size);
    let align = alignment(item_size);
    let lead = align.max(LEAST);
    let bytes = lead.checked_add(ordinary)?.checked_add(LEAST)?;
    Some((lead, bytes.checked_next_multiple_of(align)?))
}

/// What the objects of an ordinary pool are aligned to.
fn alignment(item_size: u32) -> u32 {
    match item_size {
        0..=8 => 8,
        _ if item_size.is_power_of_two() => item_size.min(PAGE as u32),
        _ => 16,
    }
}

/// Bytes from a slot to its object, in a slab with so many bytes from one slot to the next.
pub(crate) fn lead(item_size: u32, slot_bytes: u32) -> usize {
    if !cfg!(feature = "debug") || slot_bytes == stride(item_size) {
        return 0;
    }
    with_redzones(item_size).map_or(0, |(lead, _)| lead as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_with_redzones_are_aligned_as_ordinary_ones() {
        for item_size in (0..10_000).chain([66_632, 1 << 20, 1 << 31]) {
            let (lead, bytes) = with_redzones(item_size).unwrap();
            let align = alignment(item_size);
            assert_eq!((lead % align, bytes % align), (0, 0), "{item_size}");
            assert!(lead >= LEAST && bytes - lead >= stride(item_size) + LEAST, "{item_size}");
            assert_eq!(self::lead(item_size, bytes), lead as usize);
            assert_eq!(self::lead(item_size, stride(item_size)), 0);
        }
    }

    #[test]
    fn the_alignment_is_that_of_the_stride() {
        for item_size in 0..10_000 {
            assert_eq!(stride(item_size) % alignment(item_size), 0, "{item_size}");
        }
    }

    #[test]
    fn the_largest_objects_have_none() {
        assert_eq!(with_redzones(u32::MAX), None);
        assert_eq!(with_redzones(u32::MAX - 40), None);
        assert!(with_redzones(u32::MAX - 100).is_some());
    }
}
