//! Parent pools: the owner of all objects of one size, its slabs and its depot. What children do with its magazines is
//! in `exchange`.
//!
//! | field of [`ParentPool`] | meaning | touched by |
//! |---|---|---|
//! | `element_size` to `geometry` | constant while the pool exists (but see [`ParentPool::set_modes`]) | read by all |
//! | `depot` | magazines that no child has | the mutex |
//! | `slabs` | the slabs and their bitmaps | the mutex |
//! | `holders` | how many children have magazines | the mutex |
//! | `name` | what reports and statistics say | the mutex |
//! | `kept` | what modes need | the mutex |
//!
//! **When `holders` falls to 0 the parent keeps nothing**: the depot is drained and empty slabs go to
//! the heap. What is left are slabs with objects that callers have. So a parent that is never destroyed
//! holds no memory of its own. (The heap may keep a magazine and a slab for its next child: [`crate::heap::Kit`].)
//!
//! Memory is called for with the parent's mutex held, and given back without it: what is not needed any
//! more is gathered in a [`Surplus`].

mod exchange;

use core::cell::UnsafeCell;
use core::ptr;

use crate::chunk::{MAGAZINES, owner_if_any, slab_of};
use crate::debug::{self, Modes, ModesWord};
use crate::depot::{Depot, List};
use crate::geometry::{Geometry, PAGE, rounds};
use crate::guard;
use crate::harden;
use crate::heap::{HEAP, Owner, owner};
use crate::magazine::Magazine;
use crate::names::Name;
use crate::partial::Slabs;
use crate::report::{self, Misuse};
use crate::surplus::Surplus;
use crate::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use crate::sync::{Guard, Mutex, renew};
use crate::tools;
use crate::validate;

/// The owner of all objects of one size. Lies in memory of the caller's.
#[repr(C)]
pub struct ParentPool {
    pub(crate) mutex: Mutex,
    pub(crate) element_size: u32,
    pub(crate) num_elements: u32,
    pub(crate) item_size: u32,
    pub(crate) modes: ModesWord,
    pub(crate) geometry: Geometry,
    /// Null if it has none.
    name: AtomicPtr<Name>,
    shared: UnsafeCell<Shared>,
}

/// What the mutex of a parent protects.
pub(crate) struct Shared {
    depot: Depot,
    slabs: Slabs,
    holders: u32,
    /// What modes need.
    pub(crate) kept: debug::Kept,
}

impl ParentPool {
    /// Creates a pool in memory of any content. Slabs that still belong to a pool at this address (it
    /// was never destroyed, or its memory was freed) are left in limbo.
    ///
    /// # Safety
    /// `this` is writable, and no other call uses it.
    pub unsafe fn create(this: *mut ParentPool, item_size: u32, num_items: u32) {
        let (geometry, modes) = debug::layout(&[], item_size, num_items);
        // SAFETY: the caller's promise. Fields are written one by one as the old content may be no
        // valid pool.
        unsafe {
            debug::before_parent_goes(this);
            HEAP.disown(this.addr());
            let kept = debug::keep(this.addr(), modes, item_size, num_items.max(1));
            guard::forget(this.addr());
            guard::sample::choose();
            harden::prepare();
            renew(this, size_of::<ParentPool>());
            Mutex::init(&raw mut (*this).mutex);
            (&raw mut (*this).element_size).write(geometry.stride);
            (&raw mut (*this).num_elements).write(num_items.max(1));
            (&raw mut (*this).item_size).write(item_size);
            (&raw mut (*this).modes).write(ModesWord::new(modes));
            (&raw mut (*this).geometry).write(geometry);
            (&raw mut (*this).name).write(AtomicPtr::new(ptr::null_mut()));
            (&raw mut (*this).shared).write(UnsafeCell::new(Shared {
                depot: Depot::EMPTY,
                slabs: Slabs::EMPTY,
                holders: 0,
                kept,
            }));
            tools::initialised(this.cast(), size_of::<ParentPool>());
        }
    }

    /// Destroys a pool. Slabs with objects out are left in limbo.
    ///
    /// # Safety
    /// `this` is a pool or zeroed, and no other call uses it, its children or its objects.
    pub unsafe fn destroy(this: *mut ParentPool) {
        // SAFETY: the caller's promise.
        unsafe {
            debug::before_destroy_parent(this);
            if (*this).num_elements == 0 {
                return;
            }
            debug::before_parent_goes(this);
            let parent = &*this;
            let modes = parent.modes.get();
            // If the last child is gone, all that is left are slabs with objects of callers'.
            let shared = parent.shared.get();
            let (mut objects_out, mut caching) = (guard::live(this.addr()).0, 0);
            let kept = (*shared).kept;
            if (*shared).holders != 0 || (*shared).slabs.count() != 0 {
                let mut surplus = Surplus::EMPTY;
                let mut shared = parent.lock();
                debug::let_all_go("slab_destroy_parent", parent, &mut shared, &mut surplus);
                shared.drain_depot(parent, "slab_destroy_parent", &mut surplus);
                // Children of a pool with modes cache nothing.
                caching = if modes.is_empty() { shared.holders } else { 0 };
                objects_out += shared.slabs.out();
                drop(shared);
                HEAP.take_back(&mut surplus);
            }
            if objects_out != 0 {
                report::leak(parent, objects_out, caching, |report| {
                    debug::places(report, parent, kept);
                });
            }
            HEAP.disown(this.addr());
            guard::forget(this.addr());
            parent.mutex.destroy();
            ptr::write_bytes(this, 0, 1);
            debug::after_destroy_parent(this, modes, kept);
        }
    }

    /// Gives a pool a name; returns false if there is no memory for it. If it has not been used, it gets the
    /// modes that SLAB_DEBUG has for the name as well.
    ///
    /// # Safety
    /// `this` is a pool. Other calls may use it.
    pub unsafe fn set_name(this: *mut ParentPool, name: &[u8]) -> bool {
        // SAFETY: the caller's promise. The pool's lock is held, without which its name is not read.
        let (named, item_size, num_items, before) = unsafe {
            let parent = &*this;
            let _shared = parent.lock();
            let name = HEAP.set_name(this.addr(), name);
            if !name.is_null() {
                // Relaxed: whoever reads it holds the lock.
                parent.name.store(name, Relaxed);
            }
            (!name.is_null(), parent.item_size, parent.num_elements, parent.modes.get())
        };
        if cfg!(feature = "debug") && named {
            let (_, modes) = debug::layout(name, item_size, num_items);
            if modes.with(before) != before {
                // SAFETY: the caller's promise.
                unsafe { ParentPool::set_modes(this, modes.with(before)) };
            }
        }
        named
    }

    /// Changes the modes of a pool, and its layout with them. Returns false if it has been used.
    ///
    /// The fields are constant otherwise. Whoever reads them without the lock looks at the modes again once it
    /// has it.
    ///
    /// # Safety
    /// `this` is a pool. Other calls may use it.
    pub unsafe fn set_modes(this: *mut ParentPool, modes: Modes) -> bool {
        // SAFETY: the caller's promise; the lock is held while the fields are written.
        unsafe {
            let (geometry, modes) = debug::geometry(modes, (*this).item_size, (*this).num_elements);
            let mut shared = Guard::lock(&(*this).mutex, (*this).shared.get());
            if shared.slabs.peak() != 0 || shared.holders != 0 {
                return false;
            }
            (&raw mut (*this).element_size).write(geometry.stride);
            (&raw mut (*this).geometry).write(geometry);
            (*this).modes.set(modes);
            let (item_size, num_items) = ((*this).item_size, (*this).num_elements);
            shared.kept = debug::keep(this.addr(), modes, item_size, num_items);
        }
        true
    }

    /// The name; empty if it has none. For reports, which are made with the pool's lock held.
    pub(crate) fn name(&self) -> &[u8] {
        // SAFETY: a name lives as long as its pool. Relaxed: see `set_name`.
        unsafe { self.name.load(Relaxed).as_ref().map_or(&[], Name::text) }
    }

    /// What the pool holds.
    pub fn numbers(&self) -> ParentNumbers {
        let shared = self.lock();
        let [first, busy] = shared.depot.counts().map(|count| count as usize);
        let [slabs_full, slabs_partial, slabs_empty] = shared.slabs.by_state();
        let (objects_guarded, guarded_bytes) = guard::live((&raw const *self).addr());
        let objects_out = shared.slabs.out() + objects_guarded;
        ParentNumbers {
            geometry: self.geometry,
            slabs_full,
            slabs_partial,
            slabs_empty,
            objects_out,
            objects_guarded,
            guarded_bytes,
            objects_in_depot: shared.depot.objects(&self.geometry),
            peak_objects_out: shared.slabs.peak().max(objects_out),
            children: shared.holders as usize,
            depot_bytes: first * (self.geometry.magazine_mask() + 1)
                + busy * (self.geometry.busy_mask() + 1),
            exchanges: shared.depot.exchanges() as usize,
            foreign_frees: shared.slabs.foreign_frees() as usize,
        }
    }

    /// Gives the heap everything that no child and no caller has. Returns how many bytes of slabs and
    /// magazines that were.
    ///
    /// # Safety
    /// The pool exists.
    pub unsafe fn trim(&self) -> usize {
        let mut surplus = Surplus::EMPTY;
        let mut shared = self.lock();
        // SAFETY: the pool's lock is held.
        unsafe { debug::let_all_go("slab_trim_parent", self, &mut shared, &mut surplus) };
        shared.drain_depot(self, "slab_trim_parent", &mut surplus);
        drop(shared);
        let bytes = surplus.bytes();
        HEAP.take_back(&mut surplus);
        bytes
    }

    /// Calls `work` with the pool locked, and gives the heap what it leaves over.
    #[inline(always)]
    pub(crate) fn locked<T>(&self, work: impl FnOnce(&mut Shared, &mut Surplus) -> T) -> T {
        let mut surplus = Surplus::EMPTY;
        let mut shared = self.lock();
        let result = work(&mut shared, &mut surplus);
        drop(shared);
        HEAP.take_back(&mut surplus);
        validate::after_slow_path(self);
        result
    }

    pub(crate) fn lock(&self) -> Guard<'_, Shared> {
        // SAFETY: no thread holds a lock when it calls this (asserted in debug builds for the heap's;
        // no function here locks two parents), and `shared` is reached through this lock only.
        unsafe { Guard::lock(&self.mutex, self.shared.get()) }
    }
}

/// What a parent pool holds; see `struct slab_parent_stats` in `slab_ext.h`.
pub struct ParentNumbers {
    /// The layout of its objects.
    pub geometry: Geometry,
    /// Slabs without a free object.
    pub slabs_full: usize,
    /// Slabs with some objects out.
    pub slabs_partial: usize,
    /// Slabs without an object out.
    pub slabs_empty: usize,
    /// Objects out of the slabs, guarded ones included.
    pub objects_out: usize,
    /// How many of these are guarded, and so in no slab.
    pub objects_guarded: usize,
    /// Bytes of their pages.
    pub guarded_bytes: usize,
    /// How many of these are in the depot.
    pub objects_in_depot: usize,
    /// The most objects of slabs that were out at a time, or those that are out, if that is more.
    pub peak_objects_out: usize,
    /// Children that have magazines.
    pub children: usize,
    /// Bytes of the magazines in the depot.
    pub depot_bytes: usize,
    /// Exchanges of magazines between a child and the depot.
    pub exchanges: usize,
    /// Objects that came back through no child of the pool.
    pub foreign_frees: usize,
}

/// Reports a magazine whose word 0 is not what it should be.
#[cold]
#[inline(never)]
fn corrupted(function: &str, parent: &ParentPool, magazine: Magazine, mask: usize) {
    let block = magazine.block(mask);
    report::problem(function, Some(parent), block.addr(), "corrupted magazine");
}

impl Shared {
    /// The magazines that no child has.
    pub(crate) fn depot(&self) -> &Depot {
        &self.depot
    }

    /// The slabs.
    pub(crate) fn slabs(&self) -> &Slabs {
        &self.slabs
    }

    /// Counts a child that uses the pool without magazines.
    #[cfg(feature = "debug")]
    pub(crate) fn add_holder(&mut self) {
        self.holders += 1;
    }

    /// Counts it no more. If no other child uses the pool, the parent keeps nothing.
    #[cfg(feature = "debug")]
    pub(crate) fn remove_holder(
        &mut self,
        parent: &ParentPool,
        function: &str,
        surplus: &mut Surplus,
    ) {
        self.holders = self.holders.saturating_sub(1);
        if self.holders == 0 {
            self.drain_depot(parent, function, surplus);
        }
    }

    /// Counts an object that comes back through no child of this pool.
    pub(crate) fn count_foreign_free(&mut self) {
        self.slabs.count_foreign_free();
    }

    /// Takes objects from slabs; see [`Slabs::take`]. Of objects above a page no slab is made for what is taken ahead.
    fn take(&mut self, parent: &ParentPool, rounds: &mut [*mut u8]) -> usize {
        let owner = (&raw const *parent).addr();
        self.slabs.take(rounds, |found| {
            if found && parent.geometry.stride as usize > PAGE {
                return ptr::null_mut();
            }
            let slab = HEAP.make_slab(owner, &parent.geometry);
            if !slab.is_null() && !parent.modes.get().is_empty() {
                // SAFETY: the slab is new, and belongs to the lock that is held.
                unsafe { debug::new_slab(parent, slab) }
            }
            slab
        })
    }

    /// Takes one object, for a child without a magazine. Null if there is no memory.
    pub(crate) fn take_one(&mut self, parent: &ParentPool) -> *mut u8 {
        let mut object = [ptr::null_mut()];
        self.take(parent, &mut object);
        object[0]
    }

    /// Puts objects back into the slab of the last one, from the end of `rounds`, and returns how many are
    /// left: not that one, in any case.
    pub(crate) fn put(
        &mut self,
        parent: &ParentPool,
        function: &str,
        rounds: &[*mut u8],
        surplus: &mut Surplus,
    ) -> usize {
        let left = rounds.len() - 1;
        let object = rounds[left];
        // SAFETY: each was handed out by a slab of some parent, or passed the owner check.
        let (left, result) = unsafe {
            match owner(object) {
                Owner::Parent(address) if address == (&raw const *parent).addr() => {
                    self.put_own(parent, rounds, surplus)
                }
                // A child that outlived the pool it was created with had it in a magazine.
                Owner::Limbo => (left, HEAP.free_in_limbo(object)),
                _ => (left, Err(Misuse::NotAnObject)),
            }
        };
        if let Err(misuse) = result {
            report::misuse(function, Some(parent), rounds[left], misuse);
        }
        left
    }

    /// Puts objects back into the slab of the last one, from the end of `rounds`, and returns how many are left, the
    /// first of which is not an object that is out if there is an error.
    ///
    /// # Safety
    /// The last one lies in a slab of this parent's.
    #[inline]
    pub(crate) unsafe fn put_own(
        &mut self,
        parent: &ParentPool,
        rounds: &[*mut u8],
        surplus: &mut Surplus,
    ) -> (usize, Result<(), Misuse>) {
        // A slab of a large object is as large as that. (Without modes no pool of such has holders.)
        let keep_spare = self.holders != 0 && !parent.geometry.is_large();
        // SAFETY: the caller's promise.
        let put = unsafe {
            let slab = slab_of(rounds[rounds.len() - 1]);
            self.slabs.put(slab, rounds, keep_spare, surplus)
        };
        match put {
            (left, Ok(())) => (left, Ok(())),
            (left, misuse) => (left - 1, misuse),
        }
    }

    /// Puts all rounds of a magazine back into their slabs.
    ///
    /// # Safety
    /// It is one of this parent's, of this mask, and nobody else uses it.
    unsafe fn drain(
        &mut self,
        parent: &ParentPool,
        function: &str,
        magazine: &mut Magazine,
        mask: usize,
        surplus: &mut Surplus,
    ) {
        // SAFETY: the caller's promise.
        unsafe { magazine.drain(mask, |rounds| self.put(parent, function, rounds, surplus)) }
    }

    /// Drains `most` full magazines, or as many as the depot has above its limit.
    #[inline(never)]
    fn drain_excess(
        &mut self,
        parent: &ParentPool,
        function: &str,
        most: usize,
        surplus: &mut Surplus,
    ) {
        for _ in 0..most {
            if !self.depot.has_excess(&parent.geometry, self.slabs.out()) {
                break;
            }
            let drained = self.drain_one(parent, function, surplus);
            self.depot.note_drained(drained);
        }
    }

    /// Drains the part of the depot that went unused for an epoch, once the epoch is over.
    #[inline(never)]
    fn reap(&mut self, parent: &ParentPool, surplus: &mut Surplus) {
        if let Some(rounds) = self.depot.end_epoch(surplus.now(), &parent.geometry) {
            self.drain_unused(parent, rounds, surplus);
        }
    }

    #[cold]
    fn drain_unused(&mut self, parent: &ParentPool, rounds: usize, surplus: &mut Surplus) {
        let mut left = rounds;
        while left != 0 {
            match self.drain_one(parent, "slab_free", surplus) {
                0 => break,
                drained => left = left.saturating_sub(drained),
            }
        }
        let geometry = &parent.geometry;
        for mask in geometry.masks() {
            while self.depot.has_excess_empty(mask, geometry, self.slabs.out()) {
                self.drop_empty(parent, "slab_free", mask, surplus);
            }
        }
    }

    /// Gives up an empty magazine of the depot; returns false if there is none of that size.
    fn drop_empty(
        &mut self,
        parent: &ParentPool,
        function: &str,
        mask: usize,
        surplus: &mut Surplus,
    ) -> bool {
        self.check_link(parent, function, List::Empty, mask);
        let Some(empty) = self.depot.take_empty(mask, &parent.geometry) else { return false };
        // SAFETY: it was the depot's.
        unsafe { surplus.add_magazine(empty, mask) }
        true
    }

    /// Drains a full magazine of the depot, and returns how many rounds that was.
    #[cold]
    fn drain_one(&mut self, parent: &ParentPool, function: &str, surplus: &mut Surplus) -> usize {
        let geometry = &parent.geometry;
        let smallest = geometry.magazine_mask();
        let Some((mut full, mask)) = self.take_full(parent, function, smallest) else { return 0 };
        // SAFETY: it was the depot's.
        unsafe {
            self.drain(parent, function, &mut full, mask, surplus);
            self.depot.keep_empty(full, mask, geometry, self.slabs.out(), surplus);
        }
        rounds(mask)
    }

    /// Takes a full magazine from the depot, of this size if there is one, and says of which it is.
    fn take_full(
        &mut self,
        parent: &ParentPool,
        function: &str,
        wanted: usize,
    ) -> Option<(Magazine, usize)> {
        if !self.depot.has_full() {
            return None;
        }
        let [first, busy] = parent.geometry.masks();
        let other = if wanted == first { busy } else { first };
        [wanted, other].into_iter().find_map(|mask| {
            self.check_link(parent, function, List::Full, mask);
            Some((self.depot.take_full(mask, &parent.geometry)?, mask))
        })
    }

    /// Takes any magazine that has rounds from the depot, and says of what size it is.
    fn take_filled(&mut self, parent: &ParentPool, function: &str) -> Option<(Magazine, usize)> {
        let smallest = parent.geometry.magazine_mask();
        self.depot.take_half().or_else(|| self.take_full(parent, function, smallest))
    }

    /// Before a magazine is taken from a list of the depot: reports one whose link was overwritten, and leaves those
    /// behind it alone.
    #[inline(never)]
    fn check_link(&mut self, parent: &ParentPool, function: &str, list: List, mask: usize) {
        // SAFETY: a block that is on a list is not given back, so that its chunk stays.
        let sound = |link: Magazine| unsafe { owner_if_any(link.block(mask)) == MAGAZINES };
        if let Some(magazine) = self.depot.cut_unsound(list, mask, &parent.geometry, sound) {
            corrupted(function, parent, magazine, mask);
        }
    }

    /// Gives up everything that no child and no caller has.
    #[inline(never)]
    fn drain_depot(&mut self, parent: &ParentPool, function: &str, surplus: &mut Surplus) {
        // Mostly it is when a pool's only child goes.
        if !self.depot.is_empty() {
            while let Some((mut magazine, mask)) = self.take_filled(parent, function) {
                // SAFETY: it was the depot's.
                unsafe {
                    self.drain(parent, function, &mut magazine, mask, surplus);
                    surplus.add_magazine(magazine, mask);
                }
            }
            for mask in parent.geometry.masks() {
                while self.drop_empty(parent, function, mask, surplus) {}
            }
        }
        self.slabs.drop_spare(surplus);
    }
}
