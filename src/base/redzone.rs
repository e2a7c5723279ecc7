// SPDX-License-Identifier: MIT
//! Where an object lies in its slot when it has redzones.
//!
//! A slot of a slab is `lead` bytes of redzone, the object, and a tail of redzone that reaches to
//! the next slot. Slabs know of slots only: `lead` is added to what they hand out and subtracted
//! from what they are given. Objects are aligned as in ordinary pools, so that the lead is as long
//! as that alignment and the bytes from one slot to the next are a multiple of it. Objects that are
//! aligned to more than a page have no lead: before each of them is the tail of another one, or the
//! beginning of the slab.

use super::alignment::Alignment;
use super::geometry::{PAGE, stride};

/// Bytes of redzone on each side at least.
const LEAST: u32 = 16;

/// Bytes from a slot to its object, and to the next slot. None if an object with redzones would be
/// too large.
pub(crate) fn with_redzones(item_size: u32, alignment: Alignment) -> Option<(u32, u32)> {
    let ordinary = stride(item_size, alignment);
    let align = alignment.of(item_size);
    let lead = if align as usize > PAGE { 0 } else { align.max(LEAST) };
    let bytes = lead.checked_add(ordinary)?.checked_add(LEAST)?;
    Some((lead, bytes.checked_next_multiple_of(align)?))
}

/// Bytes from a slot to its object, in a slab with so many bytes from one slot to the next.
pub(crate) fn lead(item_size: u32, slot_bytes: u32, alignment: Alignment) -> usize {
    if !cfg!(feature = "debug") || slot_bytes == stride(item_size, alignment) {
        return 0;
    }
    with_redzones(item_size, alignment).map_or(0, |(lead, _)| lead as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIGNMENTS: [u8; 5] = [0, 1, 4, 9, 13];

    #[test]
    fn objects_with_redzones_are_aligned_as_ordinary_ones() {
        for alignment in ALIGNMENTS.map(Alignment::from_bits) {
            for item_size in (0..10_000).chain([66_632, 1 << 20, 1 << 31]) {
                let (lead, bytes) = with_redzones(item_size, alignment).unwrap();
                let (align, ordinary) = (alignment.of(item_size), stride(item_size, alignment));
                assert_eq!((lead % align, bytes % align), (0, 0), "{item_size}");
                assert_eq!(lead == 0, align as usize > PAGE);
                assert!(lead >= LEAST || align as usize > PAGE, "{item_size}");
                assert!(bytes - lead >= ordinary + LEAST, "{item_size}");
                assert_eq!(self::lead(item_size, bytes, alignment), lead as usize);
                assert_eq!(self::lead(item_size, ordinary, alignment), 0);
            }
        }
    }

    #[test]
    fn the_alignment_is_that_of_the_stride() {
        for alignment in ALIGNMENTS.map(Alignment::from_bits) {
            for item_size in 0..10_000 {
                assert_eq!(stride(item_size, alignment) % alignment.of(item_size), 0);
            }
        }
    }

    #[test]
    fn the_largest_objects_have_none() {
        assert_eq!(with_redzones(u32::MAX, Alignment::NATURAL), None);
        assert_eq!(with_redzones(u32::MAX - 40, Alignment::NATURAL), None);
        assert!(with_redzones(u32::MAX - 100, Alignment::NATURAL).is_some());
    }
}
