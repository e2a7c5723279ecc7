// SPDX-License-Identifier: MIT
//! What is done with heaps of the program's: they are made, given memory, looked at, and destroyed
//! ([`super::lent`]). Hooks are called here alone, with nothing locked.

use core::ffi::c_void;
use core::{mem, ptr};

use super::chunk::{Chunk, LIMBO, Listed, Terms, owner_of};
use super::home::Home;
use super::lending::cut;
use super::lent::{HEAPS, Lent, Memory, heaps};
use super::locked::HeapLocked;
use super::owed::{Lack, Owed, TOO_MUCH, is_awake, sleep};
use super::page_heap::{HEAP, Heap, HeapGuard};
use super::registry;
use super::slab::Slab;
use super::state::{State, Unused};
use crate::base::address::at;
use crate::base::geometry::{CHUNK, Geometry, HEADER_PAGES, MAGAZINE_WORDS, PAGE, magazine_bytes};
use crate::hooks;
use crate::sys::os;
use crate::sys::probe;

/// How many times it is looked, a millisecond apart, whether what other threads have of a heap that
/// goes has come back.
const LOOKS: usize = 500;

/// A call that sees to the program's heaps gives back of each as if it had brought so many pages.
const SETTLED_PAGES: usize = 448;

/// The class of blocks that a heap lies in which has no place of its own.
const CLASS: u8 = {
    let mut class = MAGAZINE_WORDS.len() as u8 - 1;
    while magazine_bytes(class) < size_of::<Lent>() {
        class -= 1;
    }
    class
};

impl Home {
    /// The heap that a program's pointer names: null is the process's. None if there is none there.
    pub(crate) fn named(heap: *const c_void) -> Option<Home> {
        if heap.is_null() {
            return Some(Home::PROCESS);
        }
        HEAP.with_state(|state| {
            let lent = heaps(state.locked()).find(|lent| ptr::addr_eq(*lent, heap))?;
            Some(lent.home())
        })
    }

    /// Has the hook of a heap give what requests lacked that were not met. Returns whether they are to
    /// be made again. Nothing is locked.
    pub(crate) fn more(self) -> bool {
        match Lent::of(self) {
            Some(lent) => lent.more(),
            None => false,
        }
    }
}

impl Lent {
    #[cold]
    #[inline(never)]
    fn more(&self) -> bool {
        if self.memory.reserve.is_none() {
            return false;
        }
        let mut state = HEAP.lock().of(self.home());
        let (lack, starved) =
            (mem::replace(&mut state.owed.lack, Owed::NOTHING.lack), state.starved);
        drop(state);
        if !lack.chunk && lack.large == 0 {
            // Another call has asked for it, and got it or not.
            return !starved;
        }
        let mut more = false;
        // A chunk last: that there is none is what others are to know.
        for (bytes, large) in [(lack.large, true), (if lack.chunk { CHUNK } else { 0 }, false)] {
            if bytes != 0 && bytes != TOO_MUCH {
                more |= self.take(self.memory.reserve(bytes, CHUNK), bytes, large);
            }
        }
        more
    }

    /// Takes in what the hook gave, as a chunk or for a large object, or reports what is wrong with
    /// it. Returns whether it is taken. Nothing is locked.
    fn take(&self, start: *mut u8, bytes: usize, large: bool) -> bool {
        let (home, terms) = (self.home(), self.memory.terms());
        start.expose_provenance();
        let has_room = start.is_null() || registry::make_room(start.addr());
        if !start.is_null() {
            hooks::chunk_reserved(start, bytes);
        }
        let mut state = HEAP.lock().of(home);
        let first = !mem::replace(&mut state.starved, true);
        let (give_back, words) = if start.is_null() {
            (false, if first { "no memory for this heap" } else { "" })
        } else if overlaps(start.addr(), bytes, state.locked()) {
            (false, "memory that the library has already")
        } else if start.addr() % CHUNK != 0 {
            (true, "memory that is not aligned as it was asked for")
        } else if !has_room {
            (true, "")
        } else {
            // SAFETY: the program's promise, as far as it was looked at.
            unsafe {
                if large {
                    state.make_ready(start.cast(), bytes, home, terms);
                } else {
                    state.lend(start.cast(), bytes, home, terms);
                }
            }
            drop(state);
            probe::chunk_reserve(start.addr(), bytes, bytes);
            return true;
        };
        drop(state);
        if !start.is_null() {
            hooks::chunk_released(start, bytes);
        }
        if give_back {
            // SAFETY: the hook gave it just now, and nothing of it is used.
            unsafe { self.memory.release(start, bytes) }
        }
        if !words.is_empty() {
            let what = if start.is_null() { ptr::from_ref(self).addr() } else { start.addr() };
            hooks::report("slab_memory.reserve", None, what, words);
        }
        false
    }

    /// Gives a chunk back to the hook that takes it. Nothing is locked.
    ///
    /// # Safety
    /// It is on no list and forgotten, and nothing of it is used.
    unsafe fn release(&self, chunk: *mut Chunk) {
        // SAFETY: the caller's promise.
        unsafe {
            let bytes = (*chunk).bytes;
            probe::chunk_release(chunk.addr(), bytes);
            hooks::chunk_released(chunk.cast(), bytes);
            self.memory.release(chunk.cast(), bytes);
        }
    }
}

/// Whether a range of memory has something in common with any chunk.
#[inline(never)]
fn overlaps(start: usize, bytes: usize, lock: HeapLocked<'_>) -> bool {
    let Some(last) = start.checked_add(bytes - 1) else { return true };
    if registry::first_from(start & !(CHUNK - 1)).is_some_and(|chunk| chunk <= last) {
        return true;
    }
    // A large object's chunk is noted where it begins, and nothing between that and `start` is.
    let is_in = |chunk: Listed<'_>| {
        let begin = chunk.place().addr();
        begin <= start && start - begin < chunk.bytes()
    };
    let own = HEAP.state.get().cast_const();
    let states = heaps(lock).map(|lent| lent.state().cast_const());
    core::iter::once(own).chain(states).any(|state| {
        // SAFETY: the lock is held, and nobody changes a state meanwhile.
        unsafe { (*state).chunks.iter(lock).any(is_in) }
    })
}

impl Heap {
    /// Makes a slab of a large object in a heap of the program's. Null if there is no memory.
    #[cold]
    #[inline(never)]
    pub(super) fn make_large_in(&self, home: Home, owner: usize, geometry: &Geometry) -> *mut Slab {
        let page = geometry.large_page();
        // What stays is cut into chunks when the object is freed.
        let stays = Lent::of(home).is_some_and(|lent| lent.memory.terms().is_fixed);
        let whole = if stays { CHUNK } else { os::page_size().max(PAGE) };
        let bytes = (geometry.stride as usize)
            .checked_add(page * PAGE)
            .and_then(|bytes| bytes.checked_next_multiple_of(whole));
        let mut state = self.lock().of(home);
        let Some(bytes) = bytes else {
            state.owed.lack = Lack { large: TOO_MUCH, ..state.owed.lack };
            state.starved = true;
            return ptr::null_mut();
        };
        let mut unused = Unused::NONE;
        // They may be all that is in a chunk.
        self.unpark(&mut state, os::coarse_seconds(), &mut unused);
        state.drop_spare_magazines(&mut unused);
        let Some(chunk) = state.take_for_large(bytes, home) else { return ptr::null_mut() };
        // SAFETY: the chunk is on no list, and has room for this object.
        unsafe {
            state.adopt(chunk);
            state.open(chunk, page, geometry, owner, false)
        }
    }

    /// Makes a heap. Null if there is no memory.
    pub(crate) fn create_heap(&self, memory: Memory) -> *const c_void {
        let mut state = self.lock();
        let own = HEAPS.own.iter().find(|own| !own.is_used.get());
        let lent: *mut Lent = match own {
            Some(own) => ptr::from_ref(own).cast_mut(),
            None => {
                drop(state);
                let block = self.make_magazine(Home::PROCESS, CLASS);
                if block.is_none() {
                    return ptr::null();
                }
                state = self.lock();
                block.block(0).cast()
            }
        };
        // SAFETY: the place is nobody's, and large enough.
        unsafe {
            lent.write(Lent::new(memory));
            (*lent).is_used.set(true);
            (*(*lent).state()).decay.set_seconds(state.decay.seconds());
            (*lent).next.set(HEAPS.first.replace(lent));
        }
        lent.cast()
    }

    /// Adds a region to a heap, and returns how many bytes of it objects can be in.
    ///
    /// # Safety
    /// The heap exists. The region is writable and nobody else uses it until that is destroyed.
    pub(crate) unsafe fn add_region(
        &self,
        function: &'static str,
        home: Home,
        start: *mut u8,
        bytes: usize,
    ) -> usize {
        let terms = Terms { is_fixed: true, is_resident: true };
        let (mut usable, mut has_room) = (0, true);
        start.expose_provenance();
        cut(start.addr(), bytes, &mut |chunk, bytes| {
            usable += bytes - HEADER_PAGES * PAGE;
            has_room &= registry::make_room(chunk);
        });
        if !has_room {
            return 0;
        }
        let mut words = if usable == 0 { "a region without room for a piece" } else { "" };
        cut(start.addr(), bytes, &mut |chunk, bytes| hooks::chunk_reserved(at(chunk), bytes));
        let mut state = self.lock().of(home);
        if usable != 0 && overlaps(start.addr(), bytes, state.locked()) {
            words = "a region in memory that the library has already";
        }
        if words.is_empty() {
            // SAFETY: the caller's promise.
            cut(start.addr(), bytes, &mut |chunk, bytes| unsafe {
                state.lend(at(chunk), bytes, home, terms);
            });
        }
        drop(state);
        if words.is_empty() {
            cut(start.addr(), bytes, &mut |chunk, bytes| probe::chunk_reserve(chunk, bytes, bytes));
            return usable;
        }
        cut(start.addr(), bytes, &mut |chunk, bytes| hooks::chunk_released(at(chunk), bytes));
        hooks::report(function, None, start.addr(), words);
        0
    }

    /// Destroys a heap, whose memory is the program's again. Returns false if there is something in
    /// it.
    ///
    /// # Safety
    /// It exists, and no other call uses it or what is in it.
    pub(crate) unsafe fn destroy_heap(&self, home: Home) -> bool {
        let Some(lent) = Lent::of(home) else { return false };
        for _ in 0..LOOKS {
            let mut unused = Unused::NONE;
            let mut state = self.lock().of(home);
            state.drop_spare_magazines(&mut unused);
            if state.owed.guests == 0 && state.is_unused() {
                self.end_heap(state, lent);
                return true;
            }
            if self.has_pool_in(&state, home) {
                return false;
            }
            // Who goes round over pools has something of one, or another thread is in a hook.
            drop(state);
            wait();
        }
        false
    }

    /// Whether there is a pool in a heap, or an object of one that is gone.
    fn has_pool_in(&self, state: &HeapGuard<'_>, home: Home) -> bool {
        let mut place = 0;
        while let Some((entry, next)) = self.pools.first_from(place, state.locked()) {
            // SAFETY: an entry is a block.
            if unsafe { Home::of(entry) } == home {
                return true;
            }
            place = next;
        }
        // SAFETY: a slab in use is in a chunk.
        state.slabs().any(|slab| unsafe { owner_of((*slab).base()) } == LIMBO)
    }

    /// Gives everything of a heap back, and its place. The lock is dropped meanwhile.
    fn end_heap(&self, mut state: HeapGuard<'_>, lent: &Lent) {
        state.give_up_ready();
        let (mut leaving, mut fixed) =
            (mem::replace(&mut state.owed, Owed::NOTHING).leaving, Owed::NOTHING.leaving);
        // SAFETY: nothing is in the chunks, and nobody uses the heap.
        unsafe {
            loop {
                let chunk = state.chunks.behind(ptr::null_mut());
                if chunk.is_null() {
                    break;
                }
                state.chunks.remove(chunk);
                Chunk::forget(chunk, state.locked());
                let is_fixed = (*chunk).terms.is_fixed;
                if is_fixed { &mut fixed } else { &mut leaving }.add(chunk);
            }
            // It is found no more.
            let before = heaps(state.locked()).find(|other| ptr::eq(other.next.get(), lent));
            before.map_or(&HEAPS.first, |before| &before.next).set(lent.next.get());
            drop(state);
            while let Some(chunk) = fixed.take_any() {
                probe::chunk_release(chunk.addr(), (*chunk).bytes);
                hooks::chunk_released(chunk.cast(), (*chunk).bytes);
            }
            while let Some(chunk) = leaving.take_any() {
                lent.release(chunk);
            }
            if HEAPS.own.as_ptr_range().contains(&ptr::from_ref(lent)) {
                let _state = self.lock();
                lent.is_used.set(false);
            } else {
                let mut unused = Unused::NONE;
                let block = ptr::from_ref(lent).cast_mut().cast();
                self.lock().put_block(block, os::coarse_seconds(), &mut unused);
                unused.release();
            }
        }
    }

    /// Sees to what hooks are to take back or to purge. Nothing is locked.
    #[inline(always)]
    pub(crate) fn settle(&self) {
        if is_awake() {
            self.settle_all();
        }
    }

    #[cold]
    #[inline(never)]
    fn settle_all(&self) {
        sleep();
        let now = os::coarse_seconds();
        self.visit_heaps(&mut |state, unused| self.decay_one(state, now, SETTLED_PAGES, unused));
    }

    /// Gives back everything that is free in the program's heaps, and returns how many bytes of it
    /// may have had memory behind them. Nothing is locked.
    pub(crate) fn trim_lent(&self) -> usize {
        let mut freed = 0;
        self.visit_heaps(&mut |mut state, unused| {
            let before = state.resident();
            state = self.trim_one(state, unused);
            freed += before.saturating_sub(state.resident());
            state
        });
        freed
    }

    /// Calls `work` with each heap of the program's, and has taken back what is to leave then.
    #[inline(never)]
    fn visit_heaps<'a>(
        &'a self,
        work: &mut dyn FnMut(HeapGuard<'a>, &mut Unused) -> HeapGuard<'a>,
    ) {
        let mut unused = Unused::NONE;
        let mut state = self.lock();
        let mut next = HEAPS.first.get();
        // SAFETY: heaps in the list exist while the lock is held, and one with guests in any case.
        while let Some(lent) = unsafe { next.as_ref() } {
            state = state.of(lent.home());
            state.owed.guests += 1;
            state.give_up_ready();
            state = work(state, &mut unused);
            while let Some(chunk) = state.owed.leaving.take_any() {
                drop(state);
                // SAFETY: it was to leave, and is this thread's now.
                unsafe { lent.release(chunk) }
                state = self.lock().of(lent.home());
            }
            state.owed.guests -= 1;
            next = lent.next.get();
        }
        drop(state);
        unused.release();
    }

    /// Calls `look` with the state of each heap, of which the first one is the process's, in one
    /// hold of the lock.
    pub(crate) fn with_each_state(&self, look: &mut dyn FnMut(&State)) {
        let state = self.lock();
        look(&state);
        for lent in heaps(state.locked()) {
            // SAFETY: the lock is held.
            look(unsafe { &*lent.state() });
        }
    }
}

/// Lets other threads go on for a while.
fn wait() {
    #[cfg(unix)]
    os::pause();
    #[cfg(not(unix))]
    (0..100_000).for_each(|_| core::hint::spin_loop());
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::alloc::{Layout, alloc, dealloc};
    use std::cell::RefCell;

    use super::*;
    use crate::heap::surplus::Surplus;

    const PARENT: usize = 0x1000;

    /// Memory of any content, aligned to a chunk's size.
    struct Region(*mut u8, Layout);

    impl Region {
        fn new(bytes: usize) -> Region {
            let layout = Layout::from_size_align(bytes, CHUNK).unwrap();
            // SAFETY: the layout has bytes, all of which are written.
            unsafe {
                let start = alloc(layout);
                assert!(!start.is_null());
                start.write_bytes(0xa5, bytes);
                Region(start, layout)
            }
        }
    }

    impl Drop for Region {
        fn drop(&mut self) {
            // SAFETY: it was allocated so.
            unsafe { dealloc(self.0, self.1) }
        }
    }

    fn make(memory: Memory) -> Home {
        let heap = HEAP.create_heap(memory);
        Home::named(heap).filter(|home| !home.is_process()).expect("a heap that was just made")
    }

    fn add(home: Home, region: &Region, bytes: usize) -> usize {
        // SAFETY: the region is the test's, and stays until the heap is destroyed.
        unsafe { HEAP.add_region("slab_add_region", home, region.0, bytes) }
    }

    fn destroy(home: Home) -> bool {
        // SAFETY: the heap is the test's alone.
        unsafe { HEAP.destroy_heap(home) }
    }

    /// Slabs of a geometry until there is no memory.
    fn use_up(home: Home, geometry: &Geometry) -> Vec<*mut Slab> {
        let make = || HEAP.make_slabs(home, PARENT, geometry, 1);
        std::iter::from_fn(|| Some(make()).filter(|slab| !slab.is_null())).collect()
    }

    fn give_back(slabs: Vec<*mut Slab>) {
        let mut surplus = Surplus::EMPTY;
        // SAFETY: the slabs are empty, and the test's alone.
        slabs.into_iter().for_each(|slab| unsafe { surplus.add_slab(slab) });
        HEAP.take_back(&mut surplus);
    }

    fn check(home: Home) {
        HEAP.with_state_of(home, |state| {
            state.validate(&mut |address, words| panic!("{address:#x}: {words}"));
        });
    }

    #[test]
    fn a_region_is_used_up_and_used_again_by_slabs_of_any_size() {
        let region = Region::new(2 * CHUNK);
        let home = make(Memory::NONE);
        let short = HEADER_PAGES * PAGE + CHUNK / 32;
        assert_eq!(add(home, &region, CHUNK + short), CHUNK - HEADER_PAGES * PAGE + CHUNK / 32);
        for item_size in [PAGE as u32, CHUNK as u32 / 4, PAGE as u32] {
            let slabs = use_up(home, &Geometry::new(item_size, 1));
            let bytes: usize = slabs.len() * item_size as usize;
            assert!(bytes >= CHUNK / 4 * 3, "{bytes}");
            check(home);
            for slab in &slabs {
                // SAFETY: the slab is the test's.
                let place = unsafe { (**slab).base().addr() } - region.0.addr();
                assert!(place < CHUNK + short);
            }
            assert!(!HEAP.with_state_of(home, State::is_unused));
            if item_size == CHUNK as u32 / 4 {
                assert!(!destroy(home), "something is in it");
            }
            give_back(slabs);
            check(home);
            assert!(HEAP.with_state_of(home, |state| state.dirty_pages == 0 && state.is_unused()));
        }
        HEAP.trim_lent();
        assert!(HEAP.with_state_of(home, |state| state.mapped == CHUNK + short), "it stays");
        assert!(destroy(home));
    }

    #[test]
    fn a_large_object_takes_chunks_that_lie_side_by_side_and_leaves_them() {
        let region = Region::new(4 * CHUNK);
        let home = make(Memory::NONE);
        add(home, &region, 4 * CHUNK);
        let (large, page) = (Geometry::new(CHUNK as u32 + 1, 1), Geometry::new(PAGE as u32, 1));
        for _ in 0..3 {
            let objects = use_up(home, &large);
            assert_eq!(objects.len(), 2);
            check(home);
            assert!(use_up(home, &page).is_empty());
            give_back(objects);
            check(home);
            let pages = use_up(home, &page);
            assert_eq!(pages.len(), 4 * (CHUNK / PAGE - HEADER_PAGES));
            assert!(use_up(home, &large).is_empty());
            give_back(pages);
        }
        assert!(destroy(home));
    }

    thread_local! {
        /// What the hook gives next.
        static NEXT: RefCell<Vec<*mut u8>> = const { RefCell::new(Vec::new()) };
        static RELEASED: RefCell<Vec<(usize, usize)>> = const { RefCell::new(Vec::new()) };
    }

    unsafe extern "C" fn reserve(_: *mut c_void, bytes: usize, _: usize) -> *mut c_void {
        assert_eq!(bytes, CHUNK);
        NEXT.with_borrow_mut(|next| next.pop().unwrap_or(ptr::null_mut()).cast())
    }

    unsafe extern "C" fn release(_: *mut c_void, start: *mut c_void, bytes: usize) {
        RELEASED.with_borrow_mut(|released| released.push((start.addr(), bytes)));
    }

    #[test]
    fn a_hook_is_asked_when_nothing_is_locked_and_what_it_gives_is_looked_at() {
        let hooks = Memory { reserve: Some(reserve), release: Some(release), ..Memory::NONE };
        let (home, region) = (make(hooks), Region::new(3 * CHUNK));
        let page = Geometry::new(PAGE as u32, 1);
        let make = || HEAP.make_slabs(home, PARENT, &page, 1);
        let next = |start: *mut u8| NEXT.with_borrow_mut(|next| next.push(start));
        let released = || RELEASED.with_borrow_mut(mem::take);

        assert!(make().is_null() && !home.more(), "it has nothing");
        assert!(!home.more(), "it was not asked for anything since");
        next(region.0);
        assert!(make().is_null() && home.more(), "only `more` asks");
        let slab = make();
        assert!(!slab.is_null());
        check(home);
        // Not aligned; the same again, in the middle of it, and up to it; then what is right.
        let second = region.0.wrapping_add(CHUNK);
        let mut slabs = use_up(home, &page);
        next(second.wrapping_add(PAGE));
        assert!(!home.more());
        assert_eq!(released(), [(second.addr() + PAGE, CHUNK)]);
        let before = region.0.wrapping_sub(1);
        for wrong in [region.0, region.0.wrapping_add(PAGE), second.wrapping_sub(1), before] {
            next(wrong);
            assert!(make().is_null() && !home.more(), "{wrong:?}");
            assert!(released().is_empty());
        }
        next(second);
        assert!(make().is_null() && home.more());
        slabs.append(&mut use_up(home, &page));
        assert_eq!(slabs.len() + 1, 2 * (CHUNK / PAGE - HEADER_PAGES));
        slabs.push(slab);
        give_back(slabs);
        check(home);
        assert!(destroy(home));
        let mut all = released();
        all.sort();
        assert_eq!(all, [(region.0.addr(), CHUNK), (second.addr(), CHUNK)]);
    }

    #[test]
    fn no_heap_is_found_that_is_not_there() {
        assert!(Home::named(ptr::null()).is_some_and(Home::is_process));
        let local = 0u8;
        assert!(Home::named((&raw const local).cast()).is_none());
        let heaps: Vec<_> = (0..20).map(|_| HEAP.create_heap(Memory::NONE)).collect();
        for (place, heap) in heaps.iter().enumerate() {
            assert!(!heaps[..place].contains(heap));
            assert!(destroy(Home::named(*heap).unwrap()));
        }
    }
}
