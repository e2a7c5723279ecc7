// SPDX-License-Identifier: MIT
//! The free page runs of one chunk, as a binary buddy system (Knuth, TAOCP vol. 1, 2.5).
//!
//! A run of order `k` is `2^k` pages, at a page number divisible by `2^k`. Runs never merge across
//! chunks, since each chunk is a system reservation of its own.
//!
//! Invariants:
//! - each page behind the header is in exactly one run, which is handed out or free, or is not
//!   committed;
//! - a free run is on the list of its order and state, and its buddy is not a free run of its order
//!   (else they would be one);
//! - the header's pages are in no run, so that page 0 can stand for "none", and zeroed memory is a
//!   valid chunk without free runs.
//!
//! **Steps.** Of a new chunk no page can be accessed. The pages become runs in steps, from the
//! lowest up, as each range is *committed*: from then on the system counts it as the program's.
//! Pages that are not committed are free and clean, and on no list.
//!
//! A page is *dirty* if it may have memory behind it: it was handed out since it was reserved or
//! purged. A free run with a dirty page is a dirty run; it is handed out before the others, which
//! are *clean*. Dirty runs are taken out to be purged once they have been free for long enough, as a
//! whole or in parts, and put back with what is purged of them clean. That none is due yet is mostly known
//! without a look at them: no dirty run has been so since before `oldest`.

use crate::base::geometry::{HEADER_PAGES, MAX_ORDER, PAGES};
use crate::base::layout::{Field, layout};

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
    /// When the run last became dirty, in seconds of the coarse clock.
    since: u32,
}

/// A page run: its first page, and log2 of its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The number of its first page in the chunk.
    pub(crate) page: usize,
    /// log2 of its pages.
    pub(crate) order: u8,
}

/// A run that is taken out, and which pages of it are purged meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Purge {
    pub(crate) run: Run,
    /// Since when it is dirty.
    pub(crate) since: u32,
    /// The first page, of the chunk, and how many there are.
    pub(crate) from: usize,
    pub(crate) pages: usize,
}

/// The free lists and the notes on pages. All zeroes is the state without free runs.
#[repr(C)]
pub(crate) struct Buddy {
    /// First run of each order: clean, dirty.
    heads: [[u16; ORDERS]; 2],
    /// Bit `k` is set if there is a run of order `k`: clean, dirty.
    orders: [u16; 2],
    free_pages: u16,
    /// How many of the free pages are dirty.
    dirty_pages: u16,
    /// The first page that is not committed.
    end: u16,
    /// No run is dirty since before this, and the chunk was looked at since: `u32::MAX` if none is.
    oldest: u32,
    /// Which pages are dirty; of meaning for free pages.
    dirty: [u64; PAGES / 64],
    nodes: [Node; PAGES],
}

/// For a walker outside of the process.
pub(crate) const LAYOUT: &[Field] =
    layout!("buddy", Buddy: free_pages, dirty_pages, end, dirty, nodes);
/// The same.
pub(crate) const NODE_LAYOUT: &[Field] = layout!("node", Node: order_plus_1);

/// Small builds look at dirty runs whenever some may be due.
pub(crate) const NOTES_OLDEST: bool = cfg!(any(feature = "ext", test));

/// The order of the least range that is committed. On 64-bit machines it is 128 KiB, which makes
/// 256 KiB with the header.
const STEP_ORDER: u8 = MAX_ORDER - 4;
/// Its pages.
pub(crate) const STEP_PAGES: usize = 1 << STEP_ORDER;
const _: () = assert!(HEADER_PAGES % STEP_PAGES == 0);

/// Up to which page is committed at least if all below `from` is, so that there is a run of this
/// order more; everything, if there is no room for it.
pub(crate) fn least_step(from: usize, order: u8) -> usize {
    let run = 1 << order.max(STEP_ORDER);
    (from.next_multiple_of(run) + run).min(PAGES)
}

/// Up to which page is best committed: as much again as is so already. Ranges of 128 KiB throughout
/// would take 31 calls of the system for a chunk, these take five.
pub(crate) fn best_step(from: usize, order: u8) -> usize {
    least_step(from, order).max((2 * from).min(PAGES))
}

impl Buddy {
    /// Frees everything behind the header of a new chunk, of which nothing is committed.
    pub(crate) fn seed(&mut self) {
        self.free_pages = (PAGES - HEADER_PAGES) as u16;
        self.end = HEADER_PAGES as u16;
        self.oldest = u32::MAX;
    }

    /// The same of a chunk that ends before page `end`, a multiple of [`STEP_PAGES`], and is wholly
    /// committed.
    #[cfg(feature = "ext")]
    pub(crate) fn seed_part(&mut self, end: usize) {
        debug_assert!(end > HEADER_PAGES && end % STEP_PAGES == 0);
        self.seed();
        self.free_pages = (end - HEADER_PAGES) as u16;
        self.commit(end);
    }

    /// Makes clean runs of the pages below `end`, which are committed.
    pub(crate) fn commit(&mut self, end: usize) {
        while self.committed() < end {
            let run = Run { page: self.committed(), order: STEP_ORDER };
            self.end += 1 << run.order;
            // They were counted as free before.
            self.free_pages -= 1 << run.order;
            self.join(run, 0);
        }
    }

    /// The first page that is not committed.
    pub(crate) fn committed(&self) -> usize {
        self.end as usize
    }

    /// Takes a run out: the smallest that is large enough, dirty before clean; its lower end if it
    /// is larger than needed. Returns the run's first page.
    pub(crate) fn alloc(&mut self, order: u8) -> Option<usize> {
        let dirty = self.orders[1] >> order != 0;
        let found = self.orders[usize::from(dirty)] >> order;
        if found == 0 {
            return None;
        }
        let mut size = order + found.trailing_zeros() as u8;
        let page = self.heads[usize::from(dirty)][size as usize] as usize;
        let since = self.nodes[page].since;
        self.remove(page);
        while size > order {
            size -= 1;
            let rest = Run { page: page + (1 << size), order: size };
            let dirty = dirty && self.dirty_in(rest) != 0;
            self.insert(rest, dirty, since);
        }
        self.leave(Run { page, order });
        Some(page)
    }

    /// Puts a run back as dirty since `now`, and merges it with its free buddies.
    pub(crate) fn free(&mut self, page: usize, order: u8, now: u32) {
        let run = Run { page, order };
        self.each_word(run, |word, mask| *word |= mask);
        self.join(run, now);
    }

    /// Takes a dirty run out that has been so since `until` or longer, the largest there is, of which
    /// up to `most` pages are to be purged before it is put back with [`Buddy::put_back`]. Runs below
    /// order `least` are left, and pages below it not told apart.
    pub(crate) fn take_dirty(&mut self, until: u32, least: u8, most: usize) -> Option<Purge> {
        if self.dirty_pages == 0 {
            return None;
        }
        for order in (least..=MAX_ORDER).rev() {
            let mut page = self.heads[1][order as usize];
            while page != NONE {
                let node = self.nodes[page as usize];
                if node.since <= until {
                    let run = Run { page: page as usize, order };
                    self.remove(run.page);
                    self.leave(run);
                    let from = self.first_dirty(run) & !((1 << least) - 1);
                    let end = run.page + (1 << order);
                    let left = end - from;
                    let step = (1 << least) - 1;
                    let pages = ((most.min(left) + step) & !step).min(left);
                    return Some(Purge { run, since: node.since, from, pages });
                }
                page = node.next;
            }
        }
        None
    }

    /// Puts a run back of a chunk that is never purged, in which no page is dirty.
    pub(crate) fn free_clean(&mut self, run: Run) {
        self.join(run, 0);
    }

    /// Puts a run back of which some pages have no memory behind them any more, and merges it with
    /// its free buddies.
    pub(crate) fn put_back(&mut self, purge: Purge) {
        for page in purge.from..purge.from + purge.pages {
            self.dirty[page / 64] &= !(1 << (page % 64));
        }
        self.join(purge.run, purge.since);
    }

    /// The first page of a run that is dirty; one is.
    fn first_dirty(&self, run: Run) -> usize {
        let is_dirty = |page: &usize| self.dirty[page / 64] & (1 << (page % 64)) != 0;
        (run.page..run.page + (1 << run.order)).find(is_dirty).unwrap_or(run.page)
    }

    /// The order of the largest free run.
    pub(crate) fn largest(&self) -> Option<u8> {
        (self.orders[0] | self.orders[1]).checked_ilog2().map(|order| order as u8)
    }

    /// Whether nothing is handed out.
    pub(crate) fn is_whole(&self) -> bool {
        self.free_pages as usize == PAGES - HEADER_PAGES
    }

    /// How many pages are handed out.
    pub(crate) fn used_pages(&self) -> usize {
        PAGES - HEADER_PAGES - self.free_pages as usize
    }

    /// How many pages are free.
    pub(crate) fn free_pages(&self) -> usize {
        self.free_pages as usize
    }

    /// How many of the free pages are dirty.
    pub(crate) fn dirty_pages(&self) -> usize {
        self.dirty_pages as usize
    }

    /// When a dirty run was last added.
    pub(crate) fn dirty_until(&self) -> u32 {
        self.dirty_since(0, u32::max)
    }

    /// No run is dirty since before this; `u32::MAX` if nothing of the chunk is to be looked at.
    pub(crate) fn oldest(&self) -> u32 {
        self.oldest
    }

    /// Notes that all was done for what is due.
    pub(crate) fn note_looked_at(&mut self) {
        if NOTES_OLDEST {
            self.oldest = self.dirty_since(u32::MAX, u32::min);
        }
    }

    /// Since when runs are dirty, by a choice between two.
    #[cfg_attr(feature = "ext", inline(never))]
    fn dirty_since(&self, none: u32, choose: fn(u32, u32) -> u32) -> u32 {
        let mut chosen = none;
        for mut page in self.heads[1] {
            while page != NONE {
                chosen = choose(chosen, self.nodes[page as usize].since);
                page = self.nodes[page as usize].next;
            }
        }
        chosen
    }

    /// Calls `each` with the order of every free run.
    pub(crate) fn for_each_free_run(&self, mut each: impl FnMut(u8)) {
        for (order, heads) in self.heads[0].iter().zip(self.heads[1]).enumerate() {
            for mut page in [*heads.0, heads.1] {
                while page != NONE {
                    each(order as u8);
                    page = self.nodes[page as usize].next;
                }
            }
        }
    }

    /// Counts a run that is handed out.
    fn leave(&mut self, run: Run) {
        self.free_pages -= 1 << run.order;
        self.dirty_pages -= self.dirty_in(run);
    }

    /// Counts a run that comes back, merges it, and lists it. It is dirty since `since`, or since
    /// its buddies are if that is later.
    fn join(&mut self, mut run: Run, mut since: u32) {
        debug_assert!(run.page >= HEADER_PAGES && run.page & ((1 << run.order) - 1) == 0);
        self.free_pages += 1 << run.order;
        let dirty_pages = self.dirty_in(run);
        self.dirty_pages += dirty_pages;
        let mut dirty = dirty_pages != 0;
        while run.order < MAX_ORDER {
            let buddy = run.page ^ (1 << run.order);
            if self.nodes[buddy].order_plus_1 != run.order + 1 {
                break;
            }
            since = since.max(self.nodes[buddy].since);
            dirty |= self.nodes[buddy].dirty;
            self.remove(buddy);
            run = Run { page: run.page.min(buddy), order: run.order + 1 };
        }
        self.insert(run, dirty, since);
    }

    /// How many pages of a run are dirty.
    #[inline(never)]
    fn dirty_in(&mut self, run: Run) -> u16 {
        let mut count = 0;
        self.each_word(run, |word, mask| {
            // Mostly none is, or all are.
            count += match *word & mask {
                0 => 0,
                all if all == !0 => u64::BITS as u16,
                some => some.count_ones() as u16,
            }
        });
        count
    }

    /// Calls `each` with every word of the bits of a run, and which of its bits are the run's.
    fn each_word(&mut self, run: Run, mut each: impl FnMut(&mut u64, u64)) {
        let (words, mask) = match run.order.checked_sub(6) {
            Some(order) => (1 << order, !0),
            None => (1, ((1 << (1 << run.order)) - 1) << (run.page % 64)),
        };
        self.dirty[run.page / 64..].iter_mut().take(words).for_each(|word| each(word, mask));
    }

    fn insert(&mut self, run: Run, dirty: bool, since: u32) {
        let (page, order, state) = (run.page as u16, run.order, usize::from(dirty));
        let next = core::mem::replace(&mut self.heads[state][order as usize], page);
        if next != NONE {
            self.nodes[next as usize].previous = page;
        }
        self.orders[state] |= 1 << order;
        let since = if dirty { since } else { 0 };
        if dirty && NOTES_OLDEST {
            self.oldest = self.oldest.min(since);
        }
        self.nodes[run.page] = Node { next, previous: NONE, order_plus_1: order + 1, dirty, since };
    }

    fn remove(&mut self, page: usize) {
        let Node { next, previous, order_plus_1, dirty, .. } = self.nodes[page];
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
        self.nodes[page].order_plus_1 = 0;
    }

    /// Checks every invariant of the file's head, and calls `problem` with the address of the chunk
    /// and what does not hold. There is nothing behind what is committed if it is part of a chunk.
    pub(crate) fn validate(
        &self,
        chunk: usize,
        is_part: bool,
        problem: &mut dyn FnMut(usize, &'static str),
    ) {
        let mut problem = |words| problem(chunk, words);
        let mut free = [0u64; PAGES / 64];
        let (mut free_pages, mut dirty_pages) = (0, 0);
        for state in 0..2 {
            for order in 0..ORDERS {
                let head = self.heads[state][order];
                if (head != NONE) != (self.orders[state] & (1 << order) != 0) {
                    problem("the set of orders is not that of the lists");
                }
                let (mut page, mut previous) = (head, NONE);
                while page != NONE {
                    let node = self.nodes[page as usize];
                    let first = page as usize;
                    let pages = 1usize << order;
                    if node.previous != previous || node.order_plus_1 as usize != order + 1 {
                        problem("a free run is not linked as it should be");
                        break;
                    }
                    if first % pages != 0 || first < HEADER_PAGES || first + pages > PAGES {
                        problem("a free run is out of place");
                        break;
                    }
                    let twin = first ^ pages;
                    if order < MAX_ORDER as usize
                        && self.nodes[twin].order_plus_1 as usize == order + 1
                    {
                        problem("a free run is not merged with its buddy");
                    }
                    let mut dirty = 0;
                    for inner in first..first + pages {
                        let (word, bit) = (inner / 64, 1 << (inner % 64));
                        if free[word] & bit != 0 {
                            problem("a page is in two free runs");
                        }
                        free[word] |= bit;
                        dirty += usize::from(self.dirty[word] & bit != 0);
                    }
                    if (dirty != 0) != node.dirty || node.dirty != (state == 1) {
                        problem("a free run is on the list of the wrong state");
                    }
                    if node.dirty && node.since < self.oldest {
                        problem("a run is dirty for longer than is noted");
                    }
                    free_pages += pages;
                    dirty_pages += dirty;
                    (previous, page) = (page, node.next);
                }
            }
        }
        if self.committed() != 0 && !is_part {
            free_pages += PAGES - self.committed();
        }
        if free_pages != self.free_pages() || dirty_pages != self.dirty_pages() {
            problem("free pages are not counted as they should be");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::{Layout, alloc_zeroed};

    use super::*;

    fn unseeded() -> Box<Buddy> {
        let layout = Layout::new::<Buddy>();
        // SAFETY: all zeroes is a valid Buddy, see its head.
        unsafe { Box::<Buddy>::from_raw(alloc_zeroed(layout).cast()) }
    }

    fn seeded() -> Box<Buddy> {
        let mut buddy = unseeded();
        buddy.seed();
        buddy.commit(PAGES);
        buddy
    }

    #[test]
    fn a_chunk_is_committed_in_steps_that_double() {
        let mut buddy = unseeded();
        buddy.seed();
        validate(&buddy);
        assert!(buddy.is_whole() && buddy.largest().is_none());
        let mut steps = 0;
        while buddy.committed() < PAGES {
            let end = best_step(buddy.committed(), 0);
            assert!(end <= 2 * buddy.committed(), "as large as all before it at most");
            buddy.commit(end);
            validate(&buddy);
            assert!(buddy.is_whole(), "what is committed and what is not, it is free");
            steps += 1;
        }
        assert!(steps <= 6);
        assert_eq!(buddy.alloc(MAX_ORDER), Some(PAGES / 2));
    }

    #[test]
    fn a_step_is_large_enough_for_the_run_that_is_wanted() {
        for from in (HEADER_PAGES..PAGES).step_by(1 << STEP_ORDER) {
            for order in 0..=MAX_ORDER {
                let end = least_step(from, order);
                assert!(end > from && end <= best_step(from, order) && end <= PAGES);
                let mut buddy = unseeded();
                buddy.seed();
                buddy.commit(from);
                while let Some(run) = buddy.largest() {
                    buddy.alloc(run).unwrap();
                }
                buddy.commit(end);
                validate(&buddy);
                let page = buddy.alloc(order);
                assert!(page.is_some() || end == PAGES);
                assert!(page.is_none_or(|page| page >= from && page + (1 << order) <= end));
            }
        }
        assert_eq!(least_step(HEADER_PAGES, 0), HEADER_PAGES + PAGES / 32);
    }

    fn validate(buddy: &Buddy) {
        buddy.validate(0, false, &mut |_, problem| panic!("{problem}"));
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
            if step % 3 == 0 {
                if let Some(purge) = buddy.take_dirty(step - step % 1000, 0, 1 + next(PAGES)) {
                    buddy.put_back(purge);
                }
            }
            if step % 100 == 0 {
                validate(&buddy);
                let used = taken.iter().filter(|taken| **taken).count();
                assert_eq!(buddy.free_pages(), PAGES - HEADER_PAGES - used);
            }
        }
        for (page, order) in out {
            buddy.free(page, order, 0);
        }
        validate(&buddy);
        assert!(buddy.is_whole());
        assert_eq!(buddy.largest(), Some(MAX_ORDER));
    }

    #[test]
    fn dirty_pages_are_counted_and_purged_by_age() {
        let mut buddy = seeded();
        let old = buddy.alloc(3).unwrap();
        let young = buddy.alloc(4).unwrap();
        let used = buddy.alloc(2).unwrap();
        assert_eq!(buddy.dirty_pages(), 0);
        buddy.free(old, 3, 10);
        buddy.free(young, 4, 20);
        assert_eq!(buddy.dirty_pages(), 24);
        validate(&buddy);

        assert_eq!(buddy.take_dirty(9, 0, PAGES), None);
        assert_eq!(buddy.take_dirty(10, 5, PAGES), None, "below the least order");
        let purge = buddy.take_dirty(10, 0, PAGES).unwrap();
        assert!(purge.run.page <= old && old < purge.run.page + (1 << purge.run.order));
        assert_eq!((purge.from, purge.since), (old, 10));
        assert_eq!(buddy.dirty_pages(), 16);
        buddy.put_back(purge);
        validate(&buddy);
        assert_eq!(buddy.take_dirty(19, 0, PAGES), None);

        assert_eq!(buddy.oldest(), 10, "nobody has looked since");
        buddy.note_looked_at();
        assert_eq!(buddy.oldest(), 20);
        buddy.free(used, 2, 30);
        assert_eq!(buddy.oldest(), 20);
        while let Some(purge) = buddy.take_dirty(30, 0, PAGES) {
            buddy.put_back(purge);
        }
        assert_eq!(buddy.dirty_pages(), 0);
        assert!(buddy.is_whole());
        validate(&buddy);
        buddy.note_looked_at();
        assert_eq!(buddy.oldest(), u32::MAX, "there is nothing to look at");
    }

    #[test]
    fn a_large_run_is_purged_in_parts() {
        let mut buddy = seeded();
        let page = buddy.alloc(MAX_ORDER - 1).unwrap();
        buddy.free(page, MAX_ORDER - 1, 10);
        let (pages, most, least) = (1 << (MAX_ORDER - 1), 40, 4);
        let mut parts = Vec::new();
        while let Some(purge) = buddy.take_dirty(10, least, most) {
            assert_eq!(purge.from, page + parts.iter().sum::<usize>(), "one behind the other");
            assert_eq!(purge.from % (1 << least), 0);
            parts.push(purge.pages);
            buddy.put_back(purge);
            validate(&buddy);
            assert_eq!(
                buddy.dirty_pages(),
                pages - parts.iter().sum::<usize>(),
                "the others stay so"
            );
        }
        assert!(parts.iter().all(|&part| part <= most.next_multiple_of(1 << least)));
        assert_eq!(parts.iter().sum::<usize>(), pages);
        assert!(buddy.is_whole());
    }

    #[test]
    fn a_part_of_a_dirty_run_that_was_never_used_is_clean() {
        let mut buddy = seeded();
        let page = buddy.alloc(0).unwrap();
        buddy.free(page, 0, 1);
        assert_eq!(buddy.dirty_pages(), 1, "although all of the chunk's lower part is one run");
        assert_eq!(buddy.alloc(0), Some(page));
        assert_eq!(buddy.dirty_pages(), 0);
        validate(&buddy);
    }

    /// What is found in a chunk of which one page is handed out, with more of it changed by
    /// `damage`.
    fn problems(damage: impl FnOnce(&mut Buddy)) -> Vec<&'static str> {
        let mut buddy = seeded();
        assert_eq!(buddy.alloc(0), Some(HEADER_PAGES));
        validate(&buddy);
        damage(&mut buddy);
        let mut problems = Vec::new();
        buddy.validate(0, false, &mut |_, problem| problems.push(problem));
        problems
    }

    #[test]
    fn every_broken_invariant_is_seen() {
        // The first free run of order 0 is the twin of the page that is handed out.
        let first = HEADER_PAGES + 1;
        let seen = |words, damage: &dyn Fn(&mut Buddy)| {
            let problems = problems(damage);
            assert!(problems.contains(&words), "not seen, but {problems:?}: {words}");
        };
        seen("the set of orders is not that of the lists", &|buddy| buddy.orders[0] ^= 1);
        seen("a free run is not linked as it should be", &|buddy| buddy.nodes[first].previous = 1);
        seen("a free run is out of place", &|buddy| {
            buddy.heads[0][0] = 1;
            buddy.nodes[1] = buddy.nodes[first];
        });
        seen("a free run is not merged with its buddy", &|buddy| {
            buddy.nodes[HEADER_PAGES].order_plus_1 = 1;
        });
        seen("a page is in two free runs", &|buddy| {
            // The run of order 1 starts with the one of order 0.
            buddy.heads[0][1] = HEADER_PAGES as u16;
            buddy.nodes[HEADER_PAGES] = Node { order_plus_1: 2, ..buddy.nodes[first] };
        });
        seen("a free run is on the list of the wrong state", &|buddy| {
            buddy.dirty[first / 64] |= 1 << (first % 64);
        });
        seen("a run is dirty for longer than is noted", &|buddy| {
            buddy.free(HEADER_PAGES, 0, 1);
            buddy.oldest += 1;
        });
        seen("free pages are not counted as they should be", &|buddy| buddy.free_pages -= 1);
    }
}
