// SPDX-License-Identifier: MIT
//! Classes of sizes: which sizes share a parent.
//!
//! | sizes | steps | lost at most |
//! |---|---|---|
//! | 1 to 8 | 8 | 7 bytes |
//! | to 128 | 16, as objects are aligned to that | 15 bytes |
//! | to 128 KiB | eight for each doubling | an eighth |
//! | to 32 MiB | two for each doubling | a third |
//! | to 4 GiB less a byte | one for each doubling | half |
//!
//! What is lost of the largest ones is address space: an object of them has pages of its own, and
//! those that nobody writes have no memory.

/// How many classes there are.
pub(super) const CLASSES: usize = 112;

/// The largest size that [`of_small`] knows.
pub(super) const SMALL: usize = 1024;

/// Classes of up to 128 bytes.
const FINE: usize = 9;
/// The first classes of which there are fewer than eight for a doubling: of more than 128 KiB, and
/// of more than 32 MiB.
const COARSE: usize = FINE + 10 * 8;
const COARSEST: usize = COARSE + 8 * 2;

/// The class of a size of at most 4 GiB less a byte.
pub(super) const fn of(bytes: usize) -> Option<usize> {
    let last = bytes.saturating_sub(1);
    if bytes > u32::MAX as usize {
        return None;
    }
    if last < 8 {
        return Some(0);
    }
    if last < 128 {
        return Some(1 + last / 16);
    }
    // The doubling that the size is in, and how many steps of it are below.
    let log = last.ilog2() as usize;
    let above = last - (1 << log);
    Some(match log {
        0..17 => FINE + (log - 7) * 8 + (above >> (log - 3)),
        17..25 => COARSE + (log - 17) * 2 + (above >> (log - 1)),
        _ => COARSEST + log - 25,
    })
}

/// How many bytes the objects of a class have.
pub(super) const fn bytes(class: usize) -> u32 {
    let (class, log, steps) = match class {
        0 => return 8,
        1..FINE => return 16 * class as u32,
        FINE..COARSE => (class - FINE, 7, 8),
        COARSE..COARSEST => (class - COARSE, 17, 2),
        _ => (class - COARSEST, 25, 1),
    };
    let base = 1u64 << (log + class / steps);
    let bytes = base + base / steps as u64 * (class % steps + 1) as u64;
    // The last one would be 4 GiB.
    if bytes > u32::MAX as u64 { u32::MAX } else { bytes as u32 }
}

/// How many objects of a class its parent is said to be used for at a time: 16 KiB of them, and some
/// at least.
pub(super) const fn num_items(class: usize) -> u32 {
    let items = (16 << 10) / bytes(class);
    if items < 4 { 4 } else { items }
}

/// The class of a size of at most [`SMALL`], from a table.
#[inline(always)]
pub(super) fn of_small(bytes: usize) -> usize {
    const TABLE: [u8; SMALL / 8 + 1] = {
        let mut table = [0; SMALL / 8 + 1];
        let mut at = 0;
        while at < table.len() {
            table[at] = of(8 * at).expect("a small size") as u8;
            at += 1;
        }
        table
    };
    static CLASS: [u8; SMALL / 8 + 1] = TABLE;
    CLASS[bytes.div_ceil(8)] as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::geometry::Geometry;

    #[test]
    fn each_size_is_in_the_smallest_class_with_room() {
        let all = (0..40_000).chain((15..32).flat_map(|log| {
            let power = 1usize << log;
            [
                power - 1,
                power,
                power + 1,
                power + power / 8,
                power + power / 8 + 1,
                power + power / 2 + 1,
            ]
        }));
        for size in all.filter(|&size| size <= u32::MAX as usize).chain([u32::MAX as usize]) {
            let class = of(size).unwrap();
            assert!(bytes(class) as usize >= size, "{size}");
            assert!(class == 0 || (bytes(class - 1) as usize) < size, "{size}");
            if size <= SMALL {
                assert_eq!(of_small(size), class, "{size}");
            }
        }
        assert_eq!(of(u32::MAX as usize), Some(CLASSES - 1));
        // On 32-bit machines the last class has room for whatever can be asked for.
        #[cfg(target_pointer_width = "64")]
        assert_eq!((of(1 << 32), of(usize::MAX)), (None, None));
    }

    #[test]
    fn at_most_an_eighth_is_lost_between_two_up_to_128_kib() {
        for class in 0..CLASSES - 1 {
            let (here, next) = (bytes(class) as usize, bytes(class + 1) as usize);
            assert!(here < next);
            let lost = next - here - 1;
            let most = if next <= 128 {
                15
            } else if next <= 128 << 10 {
                here / 8
            } else if next <= 32 << 20 {
                here / 2
            } else {
                here
            };
            assert!(lost <= most, "{here} {next}");
        }
    }

    #[test]
    fn objects_of_a_class_lie_without_gaps_and_a_slab_wastes_little() {
        for class in 0..CLASSES {
            let geometry = Geometry::new(bytes(class), num_items(class));
            assert!(geometry.stride == bytes(class) || class == CLASSES - 1, "{class}");
            if bytes(class) <= 16 << 10 {
                let used = geometry.capacity as usize * geometry.stride as usize;
                let bytes = geometry.slab_bytes();
                assert!(bytes - used <= bytes / 8 && bytes <= 128 << 10, "{class}: {bytes}");
            }
        }
    }
}
