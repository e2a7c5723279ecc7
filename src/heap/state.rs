// SPDX-License-Identifier: MIT
//! What the heap's lock protects: the lists of chunks, the slabs of magazine blocks, and the
//! counts.
//!
//! Every function here runs with the lock held: whoever has a reference to [`State`] does, and
//! proves it to others by [`State::locked`].

use core::ptr;

use super::home::Home;
use super::locked::{HeapLocked, Protected};
use super::numbers::HeapNumbers;
#[cfg(feature = "ext")]
use super::owed::Owed;
use super::peak::Peak;
use super::pools::Entry;
use super::regret::Regret;
use crate::base::address::chunk_of;
use crate::base::geometry::{Geometry, HEADER_PAGES, LARGE, MAGAZINE_WORDS, PAGE, PAGES};
use crate::base::layout::{Field, layout};
use crate::heap::buddy::{Buddy, NOTES_OLDEST, Run, best_step, least_step};
use crate::heap::chunk::{Chunk, MAGAZINES, PARKED, owner_if_any, owner_of, slab_of};
use crate::heap::chunk_lists::{ChunkLists, RELEASED};
use crate::heap::decay::{Decay, Limit, STEPPED_HEAP, usual_limit};
use crate::heap::growth;
use crate::heap::slab::{Slab, SlabList};
use crate::hooks;
use crate::sys::os;
use crate::sys::sync::writes;

/// What the heap's lock protects, besides the metadata in chunks.
pub(crate) struct State {
    lock: Protected,
    /// How many times the lock was taken: tells who reads without it, from outside of the process,
    /// that something may have changed meanwhile.
    generation: u32,
    pub(super) chunks: ChunkLists,
    /// Slabs of magazine blocks with a block free, by class. The last one is kept when it is empty.
    pub(super) magazines: [SlabList; MAGAZINE_WORDS.len()],
    pub(super) decay: Decay,
    /// How much objects that no child caches had in use lately.
    pub(super) peak: Peak,
    /// The chunk that is not wholly committed, or null: there is one at most.
    pub(super) growing: *mut Chunk,
    /// The order of the last run that was wanted and not there.
    wanted: u8,
    /// Whether the system had no memory when it was asked last.
    pub(super) starved: bool,
    /// Address space of all chunks, in bytes.
    pub(super) mapped: usize,
    /// What is to be done for a heap of the program's.
    #[cfg(feature = "ext")]
    pub(super) owed: Owed,
    /// Free pages of all chunks, and how many of them are dirty.
    pub(super) free_pages: usize,
    pub(super) dirty_pages: usize,
    /// How many of these are in chunks that are kept for large objects.
    pub(super) kept_dirty: usize,
    /// No chunk of others has a run that is dirty since before this ([`Buddy::oldest`]).
    pub(super) oldest: u32,
    /// What was given back too early.
    pub(super) regret: Regret,
}

/// For a walker outside of the process.
pub(crate) const LAYOUT: &[Field] = layout!(
    "state", State: generation, mapped, free_pages, dirty_pages
);

impl State {
    /// Notes that the lock is taken.
    pub(super) fn begin(&mut self) {
        if cfg!(feature = "ext") {
            self.generation = self.generation.wrapping_add(1);
        }
    }

    /// The proof that the lock is held which this belongs to.
    pub(crate) fn locked(&self) -> HeapLocked<'_> {
        self.lock.proof()
    }

    /// Nothing at all.
    pub(super) const EMPTY: State = State {
        lock: Protected::by_the_lock(),
        generation: 0,
        chunks: ChunkLists::EMPTY,
        magazines: [const { SlabList::EMPTY }; MAGAZINE_WORDS.len()],
        decay: Decay::DEFAULT,
        peak: Peak::NONE,
        growing: ptr::null_mut(),
        wanted: 0,
        starved: false,
        mapped: 0,
        #[cfg(feature = "ext")]
        owed: Owed::NOTHING,
        free_pages: 0,
        dirty_pages: 0,
        kept_dirty: 0,
        oldest: 0,
        regret: Regret::NONE,
    };

    /// Makes a slab of a run of the first chunk that has one.
    pub(super) fn carve(&mut self, geometry: &Geometry, owner: usize) -> Option<*mut Slab> {
        let chunk = self.chunks.with_run(geometry.order);
        self.wanted = geometry.order;
        if chunk.is_null() {
            return None;
        }
        // SAFETY: the chunk is on a list, and the run is handed out to nobody else.
        unsafe {
            let dirty = self.dirty_pages;
            let page = self.change(chunk, |buddy| buddy.alloc(geometry.order))?;
            let dirty = dirty - self.dirty_pages;
            if !Chunk::terms(chunk).is_resident {
                let clean = (1 << geometry.order) - dirty;
                growth::note(clean);
                self.regret.note_wanted(clean, usual_limit(self.in_use()));
            }
            if !geometry.is_uncached() {
                self.regret.note_in_use(self.others_in_use());
            }
            let is_fresh = dirty == 0 && Home::of(chunk).is_process() && !(*chunk).has_stale;
            Some(self.open(chunk, page, geometry, owner, is_fresh))
        }
    }

    /// Makes a slab, and counts it.
    ///
    /// # Safety
    /// As for [`Chunk::open`]; the chunk is one of this heap's.
    pub(super) unsafe fn open(
        &mut self,
        chunk: *mut Chunk,
        page: usize,
        geometry: &Geometry,
        owner: usize,
        is_fresh: bool,
    ) -> *mut Slab {
        if geometry.is_uncached() {
            self.peak.add(geometry.slab_bytes() / PAGE);
        }
        // SAFETY: the caller's promise.
        unsafe { Chunk::open(chunk, page, geometry, owner, is_fresh, self.locked()) }
    }

    /// # Safety
    /// `slab` is one of this heap's, empty, on no list, and nobody else uses it.
    pub(super) unsafe fn free_slab(&mut self, slab: *mut Slab, now: u32, unused: &mut Unused) {
        // SAFETY: the caller's promise.
        unsafe {
            let (chunk, page, order) =
                (chunk_of(slab.cast()), (*slab).first_page(), (*slab).order());
            if (*slab).is_uncached() {
                self.peak.look(now, self.decay.seconds());
                self.peak.remove((*slab).bytes() / PAGE);
            }
            Chunk::close(slab, self.locked());
            if order == LARGE {
                self.free_large(chunk, now, unused);
            } else if Chunk::terms(chunk).is_resident {
                self.change(chunk, |buddy| buddy.free_clean(Run { page, order }));
            } else {
                self.change(chunk, |buddy| buddy.free(page, order, now));
                self.freed_in(chunk);
            }
        }
    }

    /// Changes the free runs of a chunk, and all that is noted of them.
    ///
    /// # Safety
    /// The chunk is on a list.
    pub(super) unsafe fn change<T>(
        &mut self,
        chunk: *mut Chunk,
        change: impl FnOnce(&mut Buddy) -> T,
    ) -> T {
        // SAFETY: the caller's promise.
        unsafe {
            writes(chunk);
            let buddy = &mut (*chunk).buddy;
            let before = (buddy.free_pages(), buddy.dirty_pages());
            let result = change(buddy);
            self.note_change(chunk, before);
            result
        }
    }

    /// Notes that the free and dirty pages of a chunk are not what they were.
    ///
    /// # Safety
    /// The chunk is on a list.
    #[inline(never)]
    unsafe fn note_change(&mut self, chunk: *mut Chunk, (free, dirty): (usize, usize)) {
        // SAFETY: the caller's promise.
        unsafe {
            self.free_pages = self.free_pages - free + (*chunk).buddy.free_pages();
            self.dirty_pages = self.dirty_pages - dirty + (*chunk).buddy.dirty_pages();
            if NOTES_OLDEST {
                self.oldest = self.oldest.min((*chunk).buddy.oldest());
            }
            self.chunks.update(chunk);
        }
    }

    /// Begins to commit what was wanted last of the chunk that is not wholly committed. None if
    /// there is no such chunk. It stays on a list until the step is ended.
    pub(super) fn begin_step(&mut self) -> Option<Step> {
        let chunk = self.growing;
        if chunk.is_null() {
            return None;
        }
        // SAFETY: the chunk is on a list.
        unsafe {
            writes(chunk);
            (*chunk).steps += 1;
            self.chunks.update(chunk);
            let from = (*chunk).buddy.committed();
            let (least, best) = (least_step(from, self.wanted), best_step(from, self.wanted));
            Some(Step { chunk, from, least, best })
        }
    }

    /// Up to which page a new chunk is best committed, and at least.
    pub(super) fn first_steps(&self) -> [usize; 2] {
        let least = least_step(HEADER_PAGES, self.wanted);
        [if self.mapped < STEPPED_HEAP { least } else { PAGES }, least]
    }

    /// Ends a step; what it has committed becomes free runs. Others may have committed the same
    /// meanwhile, and more.
    ///
    /// # Safety
    /// It was begun here, and is not ended.
    pub(super) unsafe fn end_step(&mut self, step: Step, committed: Option<usize>) {
        let chunk = step.chunk;
        // SAFETY: the caller's promise: the chunk is on a list.
        unsafe {
            writes(chunk);
            (*chunk).steps -= 1;
            self.change(chunk, |buddy| committed.map(|end| buddy.commit(end)));
            self.starved &= committed.is_none();
            if chunk == self.growing && (*chunk).buddy.committed() == PAGES {
                self.growing = ptr::null_mut();
            }
        }
    }

    /// Takes in a new chunk. If it is not wholly committed, there is no other such chunk.
    ///
    /// # Safety
    /// Nobody else knows it.
    #[inline(never)]
    pub(super) unsafe fn adopt(&mut self, chunk: *mut Chunk) {
        // SAFETY: the caller's promise.
        unsafe {
            let in_steps = !(*chunk).large && !Chunk::terms(chunk).is_fixed;
            if in_steps && (*chunk).buddy.committed() != PAGES {
                self.growing = chunk;
            }
            self.starved = false;
            self.mapped += (*chunk).bytes;
            self.free_pages += (*chunk).buddy.free_pages();
            self.chunks.insert(chunk);
        }
    }

    /// Takes a chunk off its list, to be released.
    ///
    /// # Safety
    /// It is on a list, and nothing of it is handed out.
    pub(super) unsafe fn release(&mut self, chunk: *mut Chunk, unused: &mut Unused) {
        // SAFETY: the caller's promise.
        unsafe {
            self.chunks.remove(chunk);
            Chunk::forget(chunk, self.locked());
            if chunk == self.growing {
                self.growing = ptr::null_mut();
            }
            self.mapped -= (*chunk).bytes;
            let (free, dirty) = Chunk::free_and_dirty(chunk);
            self.free_pages -= free;
            self.dirty_pages -= dirty;
            if (*chunk).large {
                self.kept_dirty -= dirty;
            }
            if let Some(chunk) = self.not_lent(chunk) {
                unused.add(chunk);
            }
        }
    }

    /// Notes that a run of a chunk was freed.
    ///
    /// # Safety
    /// It is on a list of this heap.
    #[cfg(not(feature = "ext"))]
    unsafe fn freed_in(&self, _chunk: *mut Chunk) {}

    /// A chunk that is off its list, unless it is of memory that the program gave, which is seen to
    /// here.
    ///
    /// # Safety
    /// It was on a list of this heap, and nothing of it is handed out.
    #[cfg(not(feature = "ext"))]
    unsafe fn not_lent(&mut self, chunk: *mut Chunk) -> Option<*mut Chunk> {
        Some(chunk)
    }

    /// Frees the slabs of magazine blocks that are kept although they are empty. Returns whether
    /// there were any.
    #[inline(never)]
    pub(super) fn drop_spare_magazines(&mut self, unused: &mut Unused) -> bool {
        let mut freed = false;
        for class in 0..MAGAZINE_WORDS.len() {
            let Some(slab) = self.spare_magazines(class) else { continue };
            // SAFETY: slabs of magazine blocks belong to the heap's lock.
            unsafe {
                self.magazines[class].remove(slab);
                self.free_slab(slab, os::coarse_seconds(), unused);
            }
            freed = true;
        }
        freed
    }

    /// Frees the slabs of magazine blocks that are kept although they are empty, of chunks of which
    /// nothing else is handed out.
    pub(super) fn drop_lone_magazines(&mut self, now: u32, unused: &mut Unused) {
        for class in 0..MAGAZINE_WORDS.len() {
            let Some(slab) = self.spare_magazines(class) else { continue };
            let chunk: *mut Chunk = chunk_of(slab.cast());
            // SAFETY: slabs of magazine blocks, and the chunks that they are in, belong to the heap's
            // lock.
            unsafe {
                // It stays so for the chunk's other ones when this one goes.
                if (*chunk).buddy.used_pages() == self.spare_pages(chunk) {
                    self.magazines[class].remove(slab);
                    self.free_slab(slab, now, unused);
                }
            }
        }
    }

    /// How many pages of a chunk are slabs of magazine blocks that are empty.
    fn spare_pages(&self, chunk: *mut Chunk) -> usize {
        let spare = (0..MAGAZINE_WORDS.len()).filter_map(|class| self.spare_magazines(class));
        spare
            .filter(|slab| chunk_of(slab.cast()) == chunk)
            // SAFETY: slabs of magazine blocks belong to the heap's lock.
            .map(|slab| unsafe { 1 << (*slab).order() })
            .sum()
    }

    /// The slab of a class of magazine blocks that is kept although it is empty, if there is one.
    fn spare_magazines(&self, class: usize) -> Option<*mut Slab> {
        let slab = self.magazines[class].first();
        // SAFETY: slabs of magazine blocks belong to the heap's lock.
        unsafe { (!slab.is_null() && (*slab).is_empty()).then_some(slab) }
    }

    /// Ends what is over of epochs.
    #[inline(never)]
    pub(super) fn look(&mut self, now: u32) {
        let seconds = self.decay.seconds();
        self.peak.look(now, seconds);
        self.regret.look(now, seconds, self.others_in_use());
    }

    /// How many pages are in use.
    fn in_use(&self) -> usize {
        self.mapped / PAGE - self.free_pages
    }

    /// How many pages are in use, but for those of objects that no child caches.
    fn others_in_use(&self) -> usize {
        self.in_use() - self.peak.in_use()
    }

    /// How much may be dirty.
    pub(super) fn dirty_limit(&self) -> Limit {
        let regretted = |limit| self.regret.may_lie_free(limit, self.others_in_use());
        Limit::of(self.in_use(), self.peak.may_lie_free(), regretted)
    }

    /// Bytes that may have memory behind them.
    pub(super) fn resident(&self) -> usize {
        self.mapped - (self.free_pages - self.dirty_pages) * PAGE
    }

    pub(super) fn take_block(&mut self, class: u8) -> Option<*mut u8> {
        let list = class as usize;
        let mut slab = self.magazines[list].first();
        let mut block = [ptr::null_mut()];
        // SAFETY: slabs of magazine blocks belong to the heap's lock.
        unsafe {
            if slab.is_null() {
                slab = self.carve(&Geometry::magazines(class), MAGAZINES)?;
                (*slab).list.set(class);
                self.magazines[list].insert(slab);
            }
            (*slab).take(&mut block);
            if (*slab).is_full() {
                self.magazines[list].remove(slab);
            }
        }
        Some(block[0])
    }

    /// Takes a magazine block back, unless it is here already: two threads that used a child at
    /// once may have left its magazine in two places.
    ///
    /// # Safety
    /// `block` came from `take_block`, and nobody else uses it.
    pub(super) unsafe fn put_block(&mut self, block: *mut u8, now: u32, unused: &mut Unused) {
        // SAFETY: the caller's promise.
        unsafe {
            if owner_if_any(block) != MAGAZINES {
                return unused.note_twice(block);
            }
            self.put_block_of_slab(block, now, unused);
        }
    }

    /// The same of what is known to lie in a slab of magazine blocks of this heap.
    ///
    /// # Safety
    /// It does; and as above.
    pub(super) unsafe fn put_block_of_slab(
        &mut self,
        block: *mut u8,
        now: u32,
        unused: &mut Unused,
    ) {
        // SAFETY: the caller's promise; slabs of magazine blocks belong to the heap's lock.
        unsafe {
            let slab = slab_of(block);
            let list = (*slab).list.get() as usize;
            let was_full = (*slab).is_full();
            if (*slab).put(&[block]).1.is_err() {
                return unused.note_twice(block);
            }
            if was_full {
                self.magazines[list].insert(slab);
            }
            let only = self.magazines[list].first() == slab && (*slab).next.get().is_null();
            if (*slab).is_empty() && !only {
                self.magazines[list].remove(slab);
                self.free_slab(slab, now, unused);
            }
        }
    }

    /// Every slab of objects, limbo included. The lists of chunks must stay as they are meanwhile.
    pub(crate) fn object_slabs(&self) -> impl Iterator<Item = *mut Slab> {
        self.slabs().filter(|slab| {
            // SAFETY: a slab in use is in a chunk.
            let owner = unsafe { owner_of((**slab).base()) };
            !matches!(owner, MAGAZINES | PARKED)
        })
    }

    /// Every slab, likewise.
    pub(crate) fn slabs(&self) -> impl Iterator<Item = *mut Slab> {
        let mut slab = ptr::null_mut();
        core::iter::from_fn(move || {
            slab = self.slab_behind(slab);
            (!slab.is_null()).then_some(slab)
        })
    }

    /// The slab behind another one, or the first one behind null; null behind the last one.
    #[cfg_attr(feature = "ext", inline(never))]
    fn slab_behind(&self, mut slab: *mut Slab) -> *mut Slab {
        let mut chunk: *mut Chunk = chunk_of(slab.cast());
        loop {
            if !chunk.is_null() {
                // SAFETY: the chunk of a slab in use is on a list, and so is the one behind it.
                slab = unsafe { Chunk::slab_behind(chunk, slab, self.locked()) };
                if !slab.is_null() {
                    return slab;
                }
            }
            // SAFETY: the chunk of a slab in use is on a list.
            chunk = unsafe { self.chunks.behind(chunk) };
            if chunk.is_null() {
                return slab;
            }
        }
    }

    /// Checks all invariants of the heap, and calls `problem` with an address and what does not
    /// hold there.
    pub(crate) fn validate(&self, problem: &mut dyn FnMut(usize, &'static str)) {
        let (mut mapped, mut free_pages, mut dirty_pages, mut growing) = (0, 0, 0, 0);
        // Pages of large objects: kept and dirty, and in use.
        let mut large = (0, 0);
        self.chunks.validate(problem);
        for chunk in self.chunks.iter(self.locked()) {
            let (free, dirty) = chunk.free_and_dirty();
            mapped += chunk.bytes();
            free_pages += free;
            dirty_pages += dirty;
            large.0 += if chunk.is_large() { dirty } else { 0 };
            large.1 += chunk.validate(problem);
            let in_steps = !chunk.is_large() && !chunk.is_fixed();
            let grows = in_steps && chunk.buddy().committed() != PAGES;
            growing += usize::from(grows);
        }
        if growing != usize::from(!self.growing.is_null()) {
            problem(self.growing.addr(), "a chunk is not wholly committed and not known to be");
        }
        let counted = (self.mapped, self.free_pages, self.dirty_pages);
        let counted_large = (self.kept_dirty, self.peak.in_use());
        if (mapped, free_pages, dirty_pages) != counted || large != counted_large {
            problem(0, "the heap's pages are miscounted");
        }
    }

    /// Frees the block of an entry that was taken out, and its name's.
    ///
    /// # Safety
    /// The pool has ended, and nobody else will use it.
    #[inline(never)]
    pub(super) unsafe fn free_entry(&mut self, entry: *mut Entry, now: u32, unused: &mut Unused) {
        // SAFETY: the caller's promise; who found the entry under this lock has let go of it, as
        // the pool has ended.
        unsafe {
            if (*entry).is_held_when_freed(self.locked()) {
                return;
            }
            let name = (*entry).name_place();
            if !name.is_null() {
                self.put_block(name.cast(), now, unused);
            }
            (*entry).mutex.destroy();
            self.put_block(entry.cast(), now, unused);
        }
    }

    /// Counts everything.
    pub(crate) fn numbers(&self) -> HeapNumbers {
        let mut numbers = HeapNumbers {
            mapped: self.mapped,
            dirty: self.dirty_pages * PAGE,
            clean: (self.free_pages - self.dirty_pages) * PAGE,
            ..HeapNumbers::default()
        };
        for slab in self.slabs() {
            // SAFETY: a slab in use is in a chunk; only what is constant is read.
            let (owner, bytes) = unsafe { (owner_of((*slab).base()), (*slab).bytes()) };
            if owner == MAGAZINES || owner == PARKED {
                numbers.magazine_slabs += bytes;
            } else {
                numbers.object_slabs += bytes;
            }
        }
        for chunk in self.chunks.iter(self.locked()) {
            numbers.chunks += 1;
            numbers.large += usize::from(chunk.is_large() && !chunk.is_idle());
            numbers.metadata += chunk.metadata_bytes();
            chunk.buddy().for_each_free_run(|order| numbers.free_runs[order as usize] += 1);
        }
        numbers.held =
            numbers.object_slabs + numbers.magazine_slabs + numbers.metadata + numbers.dirty;
        numbers
    }
}

/// Pages of a chunk that are to be committed, for which the lock is not held.
pub(super) struct Step {
    chunk: *mut Chunk,
    from: usize,
    /// The first page behind what is needed, and behind what is best committed.
    least: usize,
    best: usize,
}

impl Step {
    /// Commits them, and returns the first page behind; none if there is no memory.
    pub(super) fn commit(&self) -> Option<usize> {
        let commit = |end: &usize| {
            let bytes = (end - self.from) * PAGE;
            // SAFETY: the chunk is there until the step is ended, and these are pages of it.
            unsafe { os::commit(self.chunk.cast::<u8>().add(self.from * PAGE), bytes) }
        };
        [self.best, self.least].into_iter().find(commit)
    }
}

/// What is left to do once the heap's lock is not held: chunks that are off its lists are released,
/// and blocks that came back twice are reported.
#[must_use]
pub(crate) struct Unused {
    first: *mut Chunk,
    /// Whether the system was given something already.
    #[cfg(feature = "ext")]
    gave: bool,
    /// The first such block, or 0, and how many there are.
    twice: (usize, u32),
}

impl Unused {
    pub(crate) const NONE: Unused = Unused {
        first: ptr::null_mut(),
        #[cfg(feature = "ext")]
        gave: false,
        twice: (0, 0),
    };

    /// Whether chunks are to be released.
    pub(super) fn has_chunks(&self) -> bool {
        !self.first.is_null()
    }

    /// Notes that the system was given something.
    pub(super) fn note_given(&mut self) {
        #[cfg(feature = "ext")]
        {
            self.gave = true;
        }
    }

    /// Notes a magazine block that is taken back twice.
    #[cold]
    pub(super) fn note_twice(&mut self, block: *mut u8) {
        if self.twice.1 == 0 {
            self.twice.0 = block.addr();
        }
        self.twice.1 += 1;
    }

    #[cold]
    fn report_twice(address: usize, count: u32) {
        hooks::report("heap", None, address, "corrupted magazine");
        if count > 1 {
            hooks::report_more("heap", count - 1);
        }
    }

    /// # Safety
    /// The chunk is on no list, and nothing of it is handed out.
    pub(super) unsafe fn add(&mut self, chunk: *mut Chunk) {
        // SAFETY: the caller's promise.
        unsafe {
            (*chunk).next = self.first;
            (*chunk).list = RELEASED;
        }
        self.first = chunk;
    }

    /// Does it. Returns whether the system was given anything.
    pub(crate) fn release(self) -> bool {
        let (twice, count) = self.twice;
        let mut chunk = self.first;
        #[cfg(feature = "ext")]
        let gave = self.gave || !chunk.is_null();
        // Small builds do without.
        #[cfg(not(feature = "ext"))]
        let gave = false;
        while !chunk.is_null() {
            // SAFETY: nobody else knows the chunk.
            unsafe {
                let next = (*chunk).next;
                Chunk::release(chunk);
                chunk = next;
            }
        }
        if count != 0 {
            Unused::report_twice(twice, count);
        }
        gave
    }
}
