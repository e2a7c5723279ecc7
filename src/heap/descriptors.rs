// SPDX-License-Identifier: MIT
//! Which pages of a chunk's header the descriptors of slabs take up, and which of these nobody needs.
//! Arithmetic only; [`super::chunk`] and [`super::purge`] do it.
//!
//! A descriptor is used only if all lower ones are taken. So a chunk that was full and is nearly empty
//! has few of them in use, on header pages that are a few hundredths of what they once described. Those without any are
//! given back with the chunk's free runs; a descriptor is written anew when it is used again. To have
//! a page of them again costs a page fault, as each page that it describes does.

use core::ops::Range;

use crate::base::geometry::{HEADER_PAGES, PAGE};

/// One bit for each page of the header.
pub(super) type Pages = u64;
const _: () = assert!(HEADER_PAGES <= Pages::BITS as usize);

/// Descriptors of so many bytes each that lie in a header from an offset on.
#[derive(Clone, Copy)]
pub(super) struct Descriptors {
    pub(super) offset: usize,
    pub(super) bytes: usize,
}

impl Descriptors {
    /// The first page behind the first so many descriptors.
    pub(super) const fn end(self, count: usize) -> usize {
        (self.offset + count * self.bytes).div_ceil(PAGE)
    }

    /// The pages that a descriptor lies on.
    pub(super) fn pages_of(self, slot: usize) -> Pages {
        pages((self.offset + slot * self.bytes) / PAGE..self.end(slot + 1))
    }

    /// The descriptors of which any part lies on these pages.
    fn on(self, pages: Range<usize>) -> Range<usize> {
        let start = (pages.start * PAGE).saturating_sub(self.offset) / self.bytes;
        start..(pages.end * PAGE).saturating_sub(self.offset).div_ceil(self.bytes)
    }

    /// The first pages from one on that are to be given back, as many as lie side by side: with nothing
    /// but descriptors on them, none of which is in use, though some of the first `written` were.
    /// `absent` are those that have no memory. The system's pages are of `step` pages.
    pub(super) fn idle(
        self,
        used: &[u64],
        written: usize,
        absent: Pages,
        step: usize,
        from: usize,
    ) -> Option<Range<usize>> {
        let end = self.end(written).next_multiple_of(step).min(HEADER_PAGES);
        let mut start = self.offset.div_ceil(PAGE).max(from).next_multiple_of(step);
        while start < end && !self.is_idle(used, absent, start..start + step) {
            start += step;
        }
        let mut behind = start;
        while behind < end && self.is_idle(used, absent, behind..behind + step) {
            behind += step;
        }
        (start != behind).then_some(start..behind)
    }

    #[inline(never)]
    fn is_idle(self, used: &[u64], absent: Pages, part: Range<usize>) -> bool {
        absent & pages(part.clone()) == 0 && !any(used, self.on(part))
    }
}

/// The bits of pages.
pub(super) fn pages(of: Range<usize>) -> Pages {
    let below =
        |page: usize| if page < Pages::BITS as usize { (1 << page) - 1 } else { Pages::MAX };
    below(of.end) & !below(of.start)
}

/// Whether any of these bits is set.
fn any(words: &[u64], mut bits: Range<usize>) -> bool {
    bits.any(|bit| words.get(bit / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 36 or 37 on each page, from the middle of page 3 on.
    const ON_PAGES: Descriptors = Descriptors { offset: 3 * PAGE + PAGE / 2, bytes: 111 };
    const WORDS: usize = 16;

    fn used(slots: &[usize]) -> [u64; WORDS] {
        let mut words = [0; WORDS];
        slots.iter().for_each(|slot| words[slot / 64] |= 1 << (slot % 64));
        words
    }

    #[test]
    fn a_descriptor_may_lie_on_two_pages() {
        assert_eq!(ON_PAGES.pages_of(0), pages(3..4));
        let across = PAGE / 2 / 111;
        assert_eq!(ON_PAGES.pages_of(across - 1), pages(3..4));
        assert_eq!(ON_PAGES.pages_of(across), pages(3..5));
        assert_eq!(ON_PAGES.pages_of(across + 1), pages(4..5));
        for page in 3..20 {
            let on: Vec<usize> =
                (0..WORDS * 64).filter(|&slot| ON_PAGES.pages_of(slot) & 1 << page != 0).collect();
            let range = ON_PAGES.on(page..page + 1);
            assert_eq!(on, range.collect::<Vec<_>>(), "page {page}");
        }
        assert_eq!(pages(0..64), Pages::MAX);
    }

    #[test]
    fn what_has_no_descriptor_in_use_is_idle() {
        let idle =
            |used: &[u64], written, absent, from| ON_PAGES.idle(used, written, absent, 1, from);
        let written = 400;
        let end = ON_PAGES.end(written);
        // The first page has other things on it, too.
        assert_eq!(idle(&used(&[]), written, 0, 0), Some(4..end));
        assert_eq!(idle(&used(&[]), 0, 0, 0), None);
        assert_eq!(idle(&used(&[0]), written, 0, 0), Some(4..end));
        // One that lies across two pages keeps both.
        let across = PAGE / 2 / 111;
        assert_eq!(idle(&used(&[across]), written, 0, 0), Some(5..end));
        // What lies between those in use is found one after the other.
        let both = used(&[200, 330]);
        let kept = ON_PAGES.pages_of(200) | ON_PAGES.pages_of(330);
        let (mut from, mut found) = (0, 0);
        while let Some(part) = idle(&both, written, 0, from) {
            from = part.end;
            found |= pages(part);
        }
        assert_eq!(found, pages(4..end) & !kept);
        // What is absent is not given back again.
        assert_eq!(idle(&both, written, found, 0), None);
    }

    #[test]
    fn only_whole_pages_of_the_systems_are_given_back() {
        let idle = |used: &[u64]| ON_PAGES.idle(used, WORDS * 64, 0, 4, 0);
        assert_eq!(idle(&used(&[])), Some(4..32));
        assert_eq!(idle(&used(&[ON_PAGES.on(5..6).start])), Some(8..32));
        assert_eq!(idle(&used(&[ON_PAGES.on(9..10).start + 1])), Some(4..8));
    }
}
