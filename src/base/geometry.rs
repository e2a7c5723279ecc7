// SPDX-License-Identifier: MIT
//! Sizes: how objects of a given size are laid out in slabs, and how many a magazine of a given
//! size holds.
//!
//! Pure arithmetic. The constants here are trade-offs; each says what it weighs.

use core::mem::size_of;

use super::alignment::{Alignment, MOST_NATURAL};
use super::config::HARDENED;
use super::layout::{Field, numbers};

/// The granule of all memory that the library hands round. The system's own pages may be larger.
pub const PAGE_SHIFT: u32 = 12;
/// Bytes of a page.
pub(crate) const PAGE: usize = 1 << PAGE_SHIFT;
// As slabs start on a page.
const _: () = assert!(MOST_NATURAL as usize == PAGE);

/// A chunk is one reservation of address space, aligned to its size.
///
/// Larger chunks mean fewer system calls, and fewer owner words that share cache sets (the tables
/// of all chunks lie at the same address modulo the chunk size); smaller ones give memory back
/// sooner.
#[cfg(target_pointer_width = "64")]
pub const CHUNK_SHIFT: u32 = 22;
#[cfg(target_pointer_width = "32")]
/// See above; address space is scarce on 32-bit machines.
pub const CHUNK_SHIFT: u32 = 20;
/// Bytes of a chunk.
pub const CHUNK: usize = 1 << CHUNK_SHIFT;
/// Pages of a chunk.
pub(crate) const PAGES: usize = CHUNK / PAGE;
/// Pages at the head of a chunk that hold its metadata. In the hardened build the last one, or 64
/// KiB if the system's are so large, cannot be accessed.
pub(crate) const HEADER_PAGES: usize = if HARDENED { PAGES / 16 } else { PAGES / 32 };
/// The largest run is half a chunk: the other half has the header in it.
pub(crate) const MAX_ORDER: u8 = (CHUNK_SHIFT - PAGE_SHIFT - 1) as u8;

/// Objects of a slab at most: the bits of its bitmap, eight words.
pub(crate) const MAX_OBJECTS: usize = 512;

/// A slab is a page of objects, if that wastes little, and two pages of objects of so many bytes at
/// most. Larger slabs would be made more rarely. But a slab goes back when its last object does, and
/// the fewer there are of them, the sooner that is.
const SMALL_OBJECT: usize = 128;

/// A slab may leave one part in so many of its run unused at the end.
const TAIL_WASTE: usize = 8;

/// Words of the magazine blocks, by class. One word is the link, the others hold objects.
/// ([`crate::pool::policy`] chooses.)
pub(crate) const MAGAZINE_WORDS: [usize; 9] = [512, 256, 128, 64, 32, 16, 8, 4, 2];

/// The class of magazine blocks that the names of pools are kept in.
pub(crate) const NAME_CLASS: u8 = 5;
/// Bytes of a name at most: those of a block but for three words. A longer one is cut.
pub(crate) const NAME_BYTES: usize = magazine_bytes(NAME_CLASS) - 3 * size_of::<usize>();

/// How the objects of one parent pool are laid out. Constant once the pool is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Geometry {
    /// Bytes of an object, as asked for.
    pub(crate) item_size: u32,
    /// Objects at a time, as asked for, at least 1.
    pub(crate) num_items: u32,
    /// Bytes from one object to the next.
    pub(crate) stride: u32,
    /// Objects of a slab, 1 to [`MAX_OBJECTS`].
    pub(crate) capacity: u16,
    /// log2 of the pages of a slab; of no meaning if the objects are large.
    pub(crate) order: u8,
    /// What objects are to be aligned to besides what their size gives.
    pub(crate) alignment: Alignment,
}

/// The order of a slab that has a reservation of its own, with one large object in it.
pub(crate) const LARGE: u8 = MAX_ORDER + 1;

/// Objects of more bytes no child caches. A pool gets each of them from a slab.
pub(crate) const MOST_CACHED: usize = 128 << 10;

impl Geometry {
    /// Chooses the layout for objects of `item_size` bytes, `num_items` at a time if possible.
    #[cfg(any(test, loom))]
    pub(crate) fn new(item_size: u32, num_items: u32) -> Geometry {
        let stride = stride(item_size, Alignment::NATURAL);
        Geometry::with_stride(item_size, num_items, Alignment::NATURAL, stride)
    }

    /// The same with so many bytes from one object to the next, a multiple of their alignment.
    ///
    /// Runs are aligned to their size in a chunk, so that one with room for an object, which takes at
    /// least as many bytes as it is aligned to, starts where such an object may.
    pub(crate) fn with_stride(
        item_size: u32,
        num_items: u32,
        alignment: Alignment,
        stride: u32,
    ) -> Geometry {
        let (order, capacity) = slab(stride as usize, num_items as usize);
        Geometry { item_size, num_items: num_items.max(1), stride, capacity, order, alignment }
    }

    /// The page of a chunk of its own where a large object starts: the first behind the header that
    /// is aligned as it is to be.
    pub(crate) fn large_page(&self) -> usize {
        HEADER_PAGES.max(self.alignment.of(self.item_size) as usize / PAGE)
    }

    /// The layout of slabs of magazine blocks.
    pub(crate) const fn magazines(class: u8) -> Geometry {
        let bytes = magazine_bytes(class);
        Geometry {
            item_size: bytes as u32,
            num_items: 1,
            stride: bytes as u32,
            capacity: if bytes < PAGE { (PAGE / bytes) as u16 } else { 1 },
            order: bytes.div_ceil(PAGE).trailing_zeros() as u8,
            alignment: Alignment::NATURAL,
        }
    }

    /// Bytes of a slab.
    pub(crate) fn slab_bytes(&self) -> usize {
        if self.is_large() { page_multiple(self.stride as usize) } else { PAGE << self.order }
    }

    /// Whether no child caches the objects, whatever else there is to be said of the pool.
    pub(crate) fn is_uncached(&self) -> bool {
        self.stride as usize > MOST_CACHED
    }

    /// Whether each object has a reservation of its own.
    pub(crate) fn is_large(&self) -> bool {
        self.order == LARGE
    }
}

/// Bytes of the pages that so many bytes take, all in all no more than there are addresses for.
pub(crate) fn page_multiple(bytes: usize) -> usize {
    bytes.saturating_add(PAGE - 1) & !(PAGE - 1)
}

/// Bytes of a magazine block.
pub(crate) const fn magazine_bytes(class: u8) -> usize {
    MAGAZINE_WORDS[class as usize] * size_of::<usize>()
}

/// Objects that a magazine holds: its words but one; 0 for a mask of 0.
pub(crate) const fn rounds(mask: usize) -> usize {
    mask / size_of::<usize>()
}

/// The class of magazines of a size.
pub(crate) const fn class_of(mask: usize) -> u8 {
    let words = (mask + 1) / size_of::<usize>();
    (MAGAZINE_WORDS[0].trailing_zeros() - words.trailing_zeros()) as u8
}

/// The item size rounded up so that each object is aligned: to 8 for the smallest, else to 16.
/// Powers of two stay as they are and so are aligned to their size, as slabs start on a page. Then to
/// what was asked for.
pub(crate) fn stride(item_size: u32, alignment: Alignment) -> u32 {
    let least = match item_size {
        0..=8 => 8,
        // The last multiple of 16 in 32 bits; a larger object is alone in its slab.
        0xffff_fff1.. => item_size,
        _ => (item_size + 15) & !15,
    };
    if !cfg!(feature = "ext") || alignment == Alignment::NATURAL {
        return least;
    }
    // One that would end behind all 32 bits is alone, too.
    least.checked_next_multiple_of(alignment.of(item_size)).unwrap_or(least)
}

/// The order and the number of objects of a slab: the smallest run that holds `wanted` objects, or
/// fills a page or two, and wastes little; else the one that holds most and wastes little; else
/// large.
fn slab(stride: usize, wanted: usize) -> (u8, u16) {
    let most = if stride <= SMALL_OBJECT { 2 * PAGE } else { PAGE };
    let wanted = wanted.min(most / stride).clamp(1, MAX_OBJECTS);
    let mut best = (LARGE, 1);
    // Runs below this one hold no object.
    let first = stride.div_ceil(PAGE).next_power_of_two().trailing_zeros() as u8;
    for order in first..=MAX_ORDER {
        let bytes = PAGE << order;
        let objects = (bytes / stride).min(MAX_OBJECTS);
        let waste = bytes - objects * stride;
        if objects > best.1 || best.0 == LARGE {
            if waste > bytes / TAIL_WASTE {
                continue;
            }
            best = (order, objects);
            if objects >= wanted {
                break;
            }
        }
    }
    (best.0, best.1 as u16)
}

/// A number to multiply with instead of dividing by `stride`; see [`divide`].
pub(crate) const fn reciprocal(stride: u32) -> u32 {
    (1u64 << 32).div_ceil(stride as u64) as u32
}

/// `offset / stride` for every multiple of the stride in a slab, by its [`reciprocal`]; any number
/// for other offsets.
///
/// For `offset = n * stride` the product is `n * 2^32 + n * e` with `e < stride`, and `n * e` is
/// less than the bytes of a slab, so that the shift drops it. (The same as jemalloc's div.c.)
#[inline]
pub(crate) const fn divide(offset: u32, reciprocal: u32) -> u32 {
    ((offset as u64 * reciprocal as u64) >> 32) as u32
}

/// For a walker outside of the process.
pub(crate) const NUMBERS: &[Field] = numbers!(
    "geometry": PAGE_SHIFT, CHUNK_SHIFT, HEADER_PAGES, LARGE, MAX_OBJECTS, NAME_BYTES
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_objects_are_aligned_to_8_others_to_16() {
        assert_eq!(stride(0, Alignment::NATURAL), 8);
        assert_eq!(stride(1, Alignment::NATURAL), 8);
        assert_eq!(stride(8, Alignment::NATURAL), 8);
        assert_eq!(stride(9, Alignment::NATURAL), 16);
        assert_eq!(stride(88, Alignment::NATURAL), 96);
        assert_eq!(stride(66_632, Alignment::NATURAL), 66_640);
        assert_eq!(stride(u32::MAX, Alignment::NATURAL), u32::MAX);
    }

    #[test]
    fn powers_of_two_keep_their_size_and_so_their_alignment() {
        for shift in 3..31 {
            assert_eq!(stride(1 << shift, Alignment::NATURAL), 1 << shift);
        }
    }

    #[test]
    fn what_is_asked_for_is_what_strides_and_slabs_are_aligned_to() {
        for bits in 1..14 {
            let alignment = Alignment::from_bits(bits);
            for item_size in [0, 8, 24, 96, 4000, 5000, 66_632, 300_000, 9 << 20, u32::MAX] {
                let stride = stride(item_size, alignment);
                let g = Geometry::with_stride(item_size, 16, alignment, stride);
                let align = alignment.of(item_size);
                let is_alone = g.capacity == 1 && g.is_large();
                assert!(g.stride % align == 0 || is_alone, "{item_size} {align}");
                assert!(g.is_large() || g.slab_bytes() % align as usize == 0);
                assert_eq!(g.large_page() * PAGE % align as usize, 0);
            }
        }
    }

    #[test]
    fn a_slab_wastes_at_most_an_eighth_at_its_end() {
        for item_size in (1..40_000).chain([66_632, 100_000, 200_000, 262_144, 1 << 20]) {
            for num_items in [1, 16, 64, 512, 4096] {
                let g = Geometry::new(item_size, num_items);
                assert!(g.capacity >= 1 && g.capacity as usize <= MAX_OBJECTS);
                if !g.is_large() {
                    let used = g.capacity as usize * g.stride as usize;
                    let bytes = PAGE << g.order;
                    assert!(used <= bytes && bytes - used <= bytes / 8, "{item_size} {g:?}");
                }
            }
        }
    }

    #[test]
    fn slabs_of_driver_objects_hold_about_the_hint_or_a_page_or_two() {
        assert_eq!(Geometry::new(96, 64).capacity, 85);
        assert_eq!(Geometry::new(96, 64).order, 1);
        assert_eq!(Geometry::new(88, 16).capacity, 42);
        assert_eq!(Geometry::new(40, 4096).capacity, 170);
        assert_eq!(Geometry::new(512, 64).capacity, 8);
        assert_eq!(Geometry::new(66_632, 4).capacity, 7);
        assert_eq!(Geometry::new(1, u32::MAX).capacity, 512);
    }

    #[test]
    fn objects_that_fit_no_run_are_large() {
        assert!(Geometry::new(CHUNK as u32, 1).is_large());
        assert!(Geometry::new(u32::MAX, 1).is_large());
        assert!(!Geometry::new(PAGE as u32, 1).is_large());
    }

    #[test]
    fn no_number_of_bytes_is_too_large_for_whole_pages() {
        for (bytes, whole) in [(0, 0), (1, PAGE), (PAGE, PAGE), (PAGE + 1, 2 * PAGE)] {
            assert_eq!(page_multiple(bytes), whole);
        }
        for bytes in [usize::MAX, usize::MAX - PAGE + 2, usize::MAX - PAGE + 1] {
            assert_eq!(page_multiple(bytes), usize::MAX - PAGE + 1);
        }
    }

    #[test]
    fn the_class_of_a_magazine_follows_from_its_size() {
        for class in 0..MAGAZINE_WORDS.len() as u8 {
            assert_eq!(class_of(magazine_bytes(class) - 1), class);
        }
    }

    #[test]
    fn the_reciprocal_divides_every_multiple_in_a_slab() {
        let largest = (PAGE << MAX_ORDER) as u32;
        for stride in (8..=largest).step_by(8).take(40_000).chain([66_640, largest / 2, largest]) {
            let reciprocal = reciprocal(stride);
            for n in 0..(largest / stride).min(MAX_OBJECTS as u32) {
                assert_eq!(divide(n * stride, reciprocal), n, "{n} x {stride}");
            }
        }
    }
}
