// SPDX-License-Identifier: MIT
//! From an address to its chunk and its page, and from a number to a pointer.
//!
//! Objects, slabs and chunks refer to each other by numbers: an owner word, a mask, a multiple of
//! the stride. A pointer that is made of such a number takes its provenance here, in [`at`]. It is
//! that of the chunk's reservation, which is exposed once, where the chunk is mapped.

use core::ptr;

use super::geometry::{CHUNK, PAGE_SHIFT, PAGES};

/// The pointer to an address in memory whose provenance was exposed.
#[inline(always)]
pub(crate) fn at<T>(address: usize) -> *mut T {
    ptr::with_exposed_provenance_mut(address)
}

/// Where the chunk starts that an address lies in. `T` is what that chunk begins with. The address
/// may come from whoever has an object, and its provenance reach no further than that.
#[inline(always)]
pub(crate) fn chunk_of<T>(address: *mut u8) -> *mut T {
    at(address.addr() & !(CHUNK - 1))
}

/// Which page of its chunk an address lies in.
#[inline(always)]
pub(crate) fn page_of(address: *mut u8) -> usize {
    (address.addr() >> PAGE_SHIFT) & (PAGES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::geometry::PAGE;

    #[test]
    fn an_address_has_one_chunk_and_one_page() {
        let start = 3 * CHUNK;
        for (offset, page) in [(0, 0), (PAGE - 1, 0), (PAGE, 1), (CHUNK - 1, PAGES - 1)] {
            let address = ptr::without_provenance_mut::<u8>(start + offset);
            assert_eq!(chunk_of::<u8>(address).addr(), start);
            assert_eq!(page_of(address), page);
        }
    }
}
