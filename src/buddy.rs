//! The free page runs of one chunk, as a binary buddy system (Knuth, TAOCP vol. 1, 2.5).
//!
//! A run of order `k` is `2^k` pages, at a page number divisible by `2^k`. Runs never merge across
//! chunks, since each chunk is a system reservation of its own.
//!
//! Invariants:
//! - each page behind the header is in exactly one run, which is handed out or free;
//! - a free run is on the list of its order and state, and its buddy is not a free run of its order
//!   (else they would be one);
//! - the header's pages are in no run, so that page 0 can stand for "none", and zeroed memory is a
//!   valid chunk without free runs.
//!
//! States of a free run: *clean* (no memory behind it since it was reserved or purged) and *dirty* (it
//! may have memory). A run that merges with a dirty one is dirty. Dirty runs are handed out first.

use crate::geometry::{HEADER_PAGES, MAX_ORDER, PAGES};

const ORDERS: usize = MAX_ORDER as usize + 1;
const NONE: u16 = 0;

/// What is noted for a page; only of meaning for the first page of a free run.
#[repr(C)]
#[derive(Clone, Copy)]
struct Node {
    next: u16,
    previous: u16,
    /// 0 unless a free run starts here, else its order + 1.
    order_plus_1: u8,
    dirty: bool,
    /// When the run became dirty, in seconds of the coarse clock.
    since: u32,
}

/// The free lists and the notes on pages. All zeroes is the state without free runs.
#[repr(C)]
pub struct Buddy {
    /// First run of each order: clean, dirty.
    heads: [[u16; ORDERS]; 2],
    /// Bit `k` is set if there is a run of order `k`: clean, dirty.
    orders: [u16; 2],
    free_pages: u16,
    nodes: [Node; PAGES],
}

impl Buddy {
    /// Frees everything behind the header of a new chunk, as clean runs.
    pub fn seed(&mut self) {
        let mut page = HEADER_PAGES;
        while page < PAGES {
            let order = page.trailing_zeros() as u8;
            self.insert(page as u16, order, false, 0);
            self.free_pages += 1 << order;
            page += 1 << order;
        }
    }

    /// Takes a run out: the smallest that is large enough, dirty before clean; its lower end if it is
    /// larger than needed. Returns the run's first page.
    pub fn alloc(&mut self, order: u8) -> Option<usize> {
        let dirty = self.orders[1] >> order != 0;
        let found = self.orders[usize::from(dirty)] >> order;
        if found == 0 {
            return None;
        }
        let mut size = order + found.trailing_zeros() as u8;
        let page = self.heads[usize::from(dirty)][size as usize];
        let since = self.nodes[page as usize].since;
        self.remove(page);
        while size > order {
            size -= 1;
            self.insert(page + (1 << size), size, dirty, since);
        }
        self.free_pages -= 1 << order;
        Some(page as usize)
    }

    /// Puts a run back as dirty since `now`, and merges it with its free buddies.
    pub fn free(&mut self, page: usize, order: u8, now: u32) {
        debug_assert!(page >= HEADER_PAGES && page & ((1 << order) - 1) == 0);
        self.free_pages += 1 << order;
        let (mut page, mut order) = (page as u16, order);
        while order < MAX_ORDER {
            let buddy = page ^ (1 << order);
            if self.nodes[buddy as usize].order_plus_1 != order + 1 {
                break;
            }
            self.remove(buddy);
            page = page.min(buddy);
            order += 1;
        }
        self.insert(page, order, true, now);
    }

    /// The order of the largest free run.
    pub fn largest(&self) -> Option<u8> {
        (self.orders[0] | self.orders[1]).checked_ilog2().map(|order| order as u8)
    }

    /// Whether nothing is handed out.
    pub fn is_whole(&self) -> bool {
        self.free_pages as usize == PAGES - HEADER_PAGES
    }

    fn insert(&mut self, page: u16, order: u8, dirty: bool, since: u32) {
        let head = &mut self.heads[usize::from(dirty)][order as usize];
        let next = core::mem::replace(head, page);
        if next != NONE {
            self.nodes[next as usize].previous = page;
        }
        self.orders[usize::from(dirty)] |= 1 << order;
        self.nodes[page as usize] =
            Node { next, previous: NONE, order_plus_1: order + 1, dirty, since };
    }

    fn remove(&mut self, page: u16) {
        let Node { next, previous, order_plus_1, dirty, .. } = self.nodes[page as usize];
        let (order, state) = (order_plus_1 as usize - 1, usize::from(dirty));
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
        if previous != NONE {
            self.nodes[previous as usize].next = next;
        } else {
            self.heads[state][order] = next;
            if next == NONE {
                self.orders[state] &= !(1 << order);
            }
        }
        self.nodes[page as usize].order_plus_1 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeded() -> Box<Buddy> {
        // SAFETY: all zeroes is a valid Buddy, see its head.
        let mut buddy: Box<Buddy> = unsafe { Box::new_zeroed().assume_init() };
        buddy.seed();
        buddy
    }

    /// Checks every invariant of the file's head, and returns which pages are free.
    fn validate(buddy: &Buddy) -> Vec<bool> {
        let mut free = vec![false; PAGES];
        for state in 0..2 {
            for order in 0..ORDERS {
                let head = buddy.heads[state][order];
                assert_eq!(head != NONE, buddy.orders[state] & (1 << order) != 0);
                let (mut page, mut previous) = (head, NONE);
                while page != NONE {
                    let node = buddy.nodes[page as usize];
                    assert_eq!(node.previous, previous);
                    assert_eq!(node.order_plus_1 as usize, order + 1);
                    assert_eq!(usize::from(node.dirty), state);
                    assert_eq!(page & ((1 << order) - 1), 0, "aligned");
                    for free in &mut free[page as usize..][..1 << order] {
                        assert!(!*free, "in one run only");
                        *free = true;
                    }
                    let twin = buddy.nodes[(page ^ (1 << order)) as usize % PAGES];
                    if order < MAX_ORDER as usize {
                        assert_ne!(twin.order_plus_1 as usize, order + 1, "merged");
                    }
                    (previous, page) = (page, node.next);
                }
            }
        }
        assert!(free[..HEADER_PAGES].iter().all(|free| !free), "the header is not free");
        assert_eq!(free.iter().filter(|free| **free).count(), buddy.free_pages as usize);
        free
    }

    #[test]
    fn a_new_chunk_has_everything_behind_its_header_free() {
        let buddy = seeded();
        validate(&buddy);
        assert!(buddy.is_whole());
        assert_eq!(buddy.largest(), Some(MAX_ORDER));
    }

    #[test]
    fn the_lowest_pages_of_the_smallest_fitting_run_go_first() {
        let mut buddy = seeded();
        assert_eq!(buddy.alloc(0), Some(HEADER_PAGES));
        assert_eq!(buddy.alloc(0), Some(HEADER_PAGES + 1));
        assert_eq!(buddy.alloc(MAX_ORDER), Some(PAGES / 2));
        assert_eq!(buddy.alloc(MAX_ORDER), None);
        validate(&buddy);
    }

    #[test]
    fn dirty_runs_are_reused_before_clean_ones() {
        let mut buddy = seeded();
        let large = buddy.alloc(MAX_ORDER).unwrap();
        buddy.free(large, MAX_ORDER, 1);
        assert_eq!(buddy.alloc(0), Some(large), "not a clean page, although one fits better");
    }

    #[test]
    fn all_runs_merge_again_whatever_the_order_of_frees() {
        let mut random = 12345u32;
        let mut next = |below: usize| {
            random = random.wrapping_mul(1664525).wrapping_add(1013904223);
            (random >> 8) as usize % below
        };
        let mut buddy = seeded();
        let mut out: Vec<(usize, u8)> = Vec::new();
        let mut taken = vec![false; PAGES];
        for step in 0..20_000 {
            if next(2) == 0 {
                let order = next(ORDERS).min(next(ORDERS)) as u8;
                if let Some(page) = buddy.alloc(order) {
                    for taken in &mut taken[page..page + (1 << order)] {
                        assert!(!*taken, "handed out twice");
                        *taken = true;
                    }
                    out.push((page, order));
                }
            } else if !out.is_empty() {
                let (page, order) = out.swap_remove(next(out.len()));
                taken[page..page + (1 << order)].fill(false);
                buddy.free(page, order, step);
            }
            if step % 100 == 0 {
                let free = validate(&buddy);
                assert!((HEADER_PAGES..PAGES).all(|page| free[page] != taken[page]));
            }
        }
        for (page, order) in out {
            buddy.free(page, order, 0);
        }
        validate(&buddy);
        assert!(buddy.is_whole());
        assert_eq!(buddy.largest(), Some(MAX_ORDER));
    }
}
