//! Parent pools: the owner of all objects of one size, and what its children do under its mutex.
//!
//! | field of [`ParentPool`] | meaning | touched by |
//! |---|---|---|
//! | `element_size` to `geometry` | constant while the pool exists (but see [`ParentPool::set_modes`]) | read by all |
//! | `depot` | magazines that no child has | the mutex |
//! | `slabs` | the slabs and their bitmaps | the mutex |
//! | `holders` | how many children have magazines | the mutex |
//! | `name`, `exchanges`, `foreign_frees` | what reports and statistics say | the mutex |
//!
//! **When `holders` falls to 0 the parent keeps nothing**: the depot is drained and empty slabs go to
//! the heap. What is left are slabs with objects that callers have. So a parent that is never destroyed
//! holds no memory of its own. (The heap may keep a magazine and a slab for its next child: [`Kit`].)
//!
//! Memory is called for with the parent's mutex held, and given back without it: what is not needed any
//! more is gathered in a [`Surplus`].

use core::cell::UnsafeCell;
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use crate::child::ChildPool;
use crate::chunk::{MAGAZINES, owner_if_any, slab_of};
use crate::debug::{self, Modes, ModesWord};
use crate::depot::{Depot, FIRST_QUOTA};
use crate::geometry::Geometry;
use crate::heap::{HEAP, KIT_MAX_ORDER, Kit, Owner, owner};
use crate::magazine::Magazine;
use crate::names::Name;
use crate::partial::Slabs;
use crate::report::{self, Misuse};
use crate::surplus::Surplus;
use crate::sync::{Guard, Mutex};

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
    /// How many times a child and the depot have exchanged magazines.
    exchanges: usize,
    /// How many objects came back through no child of this pool: a destroyed one, or another pool's.
    foreign_frees: usize,
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
            HEAP.disown(this.addr());
            let kept = debug::keep(this.addr(), modes, item_size, num_items.max(1));
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
                exchanges: 0,
                foreign_frees: 0,
                kept,
            }));
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
            let parent = &*this;
            let modes = parent.modes.get();
            let mut surplus = parent.surplus();
            let mut shared = parent.lock();
            debug::let_all_go("slab_destroy_parent", parent, &mut shared, &mut surplus);
            shared.drain_depot(parent, "slab_destroy_parent", &mut surplus);
            // Children of a pool with modes cache nothing.
            let caching = if modes.is_empty() { shared.holders } else { 0 };
            let (objects_out, children, kept) = (shared.slabs.out(), caching, shared.kept);
            drop(shared);
            HEAP.take_back(surplus);
            if objects_out != 0 {
                report::leak(parent, objects_out, children, |report| debug::places(report, kept));
                HEAP.disown(this.addr());
            } else {
                HEAP.forget(this.addr());
            }
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
        let (full, empty) = shared.depot.counts();
        let [slabs_full, slabs_partial, slabs_empty] = shared.slabs.by_state();
        ParentNumbers {
            geometry: self.geometry,
            slabs_full,
            slabs_partial,
            slabs_empty,
            objects_out: shared.slabs.out(),
            objects_in_depot: shared.depot.objects(&self.geometry),
            peak_objects_out: shared.slabs.peak(),
            children: shared.holders as usize,
            depot_magazines: (full + empty) as usize,
            exchanges: shared.exchanges,
            foreign_frees: shared.foreign_frees,
        }
    }

    /// Gives the heap everything that no child and no caller has. Returns how many bytes of slabs and
    /// magazines that were.
    ///
    /// # Safety
    /// The pool exists.
    pub unsafe fn trim(&self) -> usize {
        let mut surplus = self.surplus();
        let mut shared = self.lock();
        // SAFETY: the pool's lock is held.
        unsafe { debug::let_all_go("slab_trim_parent", self, &mut shared, &mut surplus) };
        shared.drain_depot(self, "slab_trim_parent", &mut surplus);
        drop(shared);
        let bytes = surplus.bytes();
        HEAP.take_back(surplus);
        bytes
    }

    pub(crate) fn lock(&self) -> Guard<'_, Shared> {
        // SAFETY: no thread holds a lock when it calls this (asserted in debug builds for the heap's;
        // no function here locks two parents), and `shared` is reached through this lock only.
        unsafe { Guard::lock(&self.mutex, self.shared.get()) }
    }

    pub(crate) fn surplus(&self) -> Surplus {
        Surplus::new(self.geometry.magazine_mask())
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
    /// Objects out of the slabs.
    pub objects_out: usize,
    /// How many of these are in the depot.
    pub objects_in_depot: usize,
    /// The most objects that were out of the slabs at a time.
    pub peak_objects_out: usize,
    /// Children that have magazines.
    pub children: usize,
    /// Magazines in the depot.
    pub depot_magazines: usize,
    /// Exchanges of magazines between a child and the depot.
    pub exchanges: usize,
    /// Objects that came back through no child of the pool.
    pub foreign_frees: usize,
}

/// Reports a magazine whose word 0 is not what it should be.
#[cold]
#[inline(never)]
fn corrupted(function: &str, parent: &ParentPool, magazine: Magazine) {
    let block = magazine.block(parent.geometry.magazine_mask());
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
        self.foreign_frees += 1;
    }

    /// Takes objects from slabs; see [`Slabs::take`].
    fn take(&mut self, parent: &ParentPool, rounds: &mut [*mut u8]) -> usize {
        let owner = (&raw const *parent).addr();
        self.slabs.take(rounds, || {
            let slab = HEAP.make_slab(owner, &parent.geometry);
            if !slab.is_null() && !parent.modes.get().is_empty() {
                // SAFETY: the slab is new, and belongs to the lock that is held.
                unsafe { debug::new_slab(parent, slab) }
            }
            slab
        })
    }

    /// Takes one object, for a child without a magazine. Null if there is no memory.
    #[inline(never)]
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
                    let keep_spare = self.holders != 0;
                    let put = self.slabs.put(slab_of(object), rounds, keep_spare, surplus);
                    match put {
                        (left, Ok(())) => (left, Ok(())),
                        (left, misuse) => (left - 1, misuse),
                    }
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

    /// Puts all rounds of a magazine back into their slabs.
    ///
    /// # Safety
    /// It is one of this parent's, and nobody else uses it.
    unsafe fn drain(
        &mut self,
        parent: &ParentPool,
        function: &str,
        magazine: &mut Magazine,
        surplus: &mut Surplus,
    ) {
        let mask = parent.geometry.magazine_mask();
        // SAFETY: the caller's promise.
        unsafe { magazine.drain(mask, |rounds| self.put(parent, function, rounds, surplus)) }
    }

    /// Drains `most` full magazines, or as many as the depot has above its limit.
    #[inline]
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
            self.drain_one(parent, function, surplus);
        }
    }

    /// Drains the part of the depot that went unused for an epoch, once the epoch is over.
    #[inline]
    fn reap(&mut self, parent: &ParentPool, surplus: &mut Surplus) {
        if let Some(magazines) = self.depot.end_epoch(surplus.now()) {
            self.drain_unused(parent, magazines, surplus);
        }
    }

    #[cold]
    fn drain_unused(&mut self, parent: &ParentPool, magazines: usize, surplus: &mut Surplus) {
        for _ in 0..magazines {
            self.drain_one(parent, "slab_free", surplus);
        }
        while self.depot.has_excess_empty(&parent.geometry, self.slabs.out()) {
            self.check_links(parent, "slab_free");
            if let Some(empty) = self.depot.take_empty(&parent.geometry) {
                // SAFETY: it was the depot's.
                unsafe { surplus.add_magazine(empty) }
            }
        }
    }

    #[cold]
    fn drain_one(&mut self, parent: &ParentPool, function: &str, surplus: &mut Surplus) {
        let geometry = &parent.geometry;
        self.check_links(parent, function);
        if let Some(mut full) = self.depot.take_full(geometry) {
            // SAFETY: it was the depot's.
            unsafe {
                self.drain(parent, function, &mut full, surplus);
                self.depot.keep_empty(full, geometry, self.slabs.out(), surplus);
            }
        }
    }

    /// Reports a magazine of the depot whose link was overwritten, and leaves those behind it alone. Looks at the
    /// first one of each list, before it is taken.
    fn check_links(&mut self, parent: &ParentPool, function: &str) {
        let mask = parent.geometry.magazine_mask();
        // SAFETY: a block that is on a list is not given back, so that its chunk stays.
        let sound = |link: Magazine| unsafe { owner_if_any(link.block(mask)) == MAGAZINES };
        if let Some(magazine) = self.depot.cut_unsound(mask, sound) {
            corrupted(function, parent, magazine);
        }
    }

    /// Gives up everything that no child and no caller has.
    #[inline(never)]
    fn drain_depot(&mut self, parent: &ParentPool, function: &str, surplus: &mut Surplus) {
        while !self.depot.is_empty() {
            self.check_links(parent, function);
            // SAFETY: it was the depot's.
            unsafe {
                if let Some(mut magazine) = self.depot.take_filled(&parent.geometry) {
                    self.drain(parent, function, &mut magazine, surplus);
                    surplus.add_magazine(magazine);
                } else if let Some(magazine) = self.depot.take_empty(&parent.geometry) {
                    surplus.add_magazine(magazine);
                }
            }
        }
        self.slabs.drop_spare(surplus);
    }

    /// Gives a child that has no magazine its first one. It is not full, and may be empty. Returns false if
    /// the parent is uncached or there is no memory.
    pub(crate) fn equip(&mut self, parent: &ParentPool, child: &mut ChildPool) -> bool {
        let geometry = &parent.geometry;
        let mask = geometry.magazine_mask();
        if mask == 0 {
            return false;
        }
        let magazine = match self.depot.take_half() {
            Some(half) => half,
            None => self.first_magazine(parent),
        };
        if magazine.is_none() {
            return false;
        }
        child.loaded = magazine;
        child.mask = mask;
        self.holders += 1;
        true
    }

    /// A magazine for a child when no half-filled one is there: what the last child left in the heap, or an
    /// empty one, or none if there is no memory.
    #[inline(never)]
    fn first_magazine(&mut self, parent: &ParentPool) -> Magazine {
        let geometry = &parent.geometry;
        let mask = geometry.magazine_mask();
        let magazine = if self.slabs.count() == 0 {
            let address = (&raw const *parent).addr();
            let kit = HEAP.equipment(address, geometry.class, mask);
            if !kit.is_none() {
                // SAFETY: the slab was this pool's, and is nobody else's now.
                unsafe { self.slabs.adopt(kit.slab) };
                return kit.magazine;
            }
            kit.magazine
        } else {
            self.empty_magazine(parent)
        };
        if !magazine.is_none() {
            // SAFETY: it is on no list.
            unsafe { magazine.set_quota(mask, FIRST_QUOTA.min(geometry.rounds())) }
        }
        magazine
    }

    /// If all that the pool has is one magazine and the slab of its rounds, leaves them in the heap for the next
    /// child.
    fn leave_kit(&mut self, parent: &ParentPool, surplus: &mut Surplus) {
        let geometry = &parent.geometry;
        let mask = geometry.magazine_mask();
        let half = self.depot.half();
        let few = self.slabs.count() == 1 && geometry.order <= KIT_MAX_ORDER && !half.is_none();
        if !few || half.rounds(mask) != self.slabs.out() {
            return;
        }
        // SAFETY: the half-filled magazine is the depot's, and a slab with a round of it this pool's.
        unsafe {
            let address = (&raw const *parent).addr();
            if owner_if_any(half.last()) != address {
                return;
            }
            let slab = slab_of(half.last());
            // Not so if an object was freed twice, which draining will see.
            if (*slab).out_are(half.contents(mask)) {
                self.slabs.abandon(slab);
                self.depot.take_half();
                surplus.set_kit(Kit { slab, magazine: half, mask, parent: address });
            }
        }
    }

    /// Takes the magazines of a child that goes. If no other child has any, the parent keeps nothing.
    ///
    /// # Safety
    /// The child's magazines are of this parent, and not used any more.
    #[inline]
    pub(crate) unsafe fn retire(
        &mut self,
        parent: &ParentPool,
        child: &ChildPool,
        function: &str,
        surplus: &mut Surplus,
    ) {
        let out = self.slabs.out();
        // SAFETY: the caller's promise.
        unsafe {
            self.depot.keep(child.previous, &parent.geometry, out, surplus);
            self.depot.keep(child.loaded, &parent.geometry, out, surplus);
        }
        self.holders = self.holders.saturating_sub(1);
        if self.holders == 0 {
            self.leave_kit(parent, surplus);
            self.drain_depot(parent, function, surplus);
        } else {
            // A child brings two magazines.
            self.drain_excess(parent, function, 2, surplus);
        }
    }

    /// Drains the magazines of a child and gives them up. Returns how many objects there were in them.
    ///
    /// # Safety
    /// The child's magazines are of this parent.
    pub(crate) unsafe fn strip(
        &mut self,
        parent: &ParentPool,
        child: &mut ChildPool,
        function: &str,
        surplus: &mut Surplus,
    ) -> usize {
        let mut objects = 0;
        for magazine in [&mut child.loaded, &mut child.previous] {
            if !magazine.is_none() {
                objects += magazine.rounds(child.mask);
                // SAFETY: the caller's promise.
                unsafe {
                    self.drain(parent, function, magazine, surplus);
                    surplus.add_magazine(*magazine);
                }
                *magazine = Magazine::NONE;
            }
        }
        child.mask = 0;
        self.holders = self.holders.saturating_sub(1);
        if self.holders == 0 {
            self.drain_depot(parent, function, surplus);
        }
        objects
    }

    /// An empty magazine, or none if there is no memory. Its quota is a full magazine.
    #[inline(never)]
    fn empty_magazine(&mut self, parent: &ParentPool) -> Magazine {
        let geometry = &parent.geometry;
        let empty = self.depot.take_empty(geometry);
        let empty = empty.unwrap_or_else(|| HEAP.make_magazine(geometry.class));
        if !empty.is_none() {
            // SAFETY: it is on no list.
            unsafe { empty.set_quota(geometry.magazine_mask(), geometry.rounds()) }
        }
        empty
    }

    /// Fills the loaded magazine of a child, which is empty, as is its previous one. It stays empty if there
    /// is no memory.
    #[inline(never)]
    pub(crate) fn reload(
        &mut self,
        parent: &ParentPool,
        child: &mut ChildPool,
        surplus: &mut Surplus,
    ) {
        let geometry = &parent.geometry;
        let mask = geometry.magazine_mask();
        self.check_links(parent, "slab_alloc");
        self.reap(parent, surplus);
        // SAFETY: the child's magazines are its own.
        unsafe {
            if let Some(full) = self.depot.take_full(geometry) {
                self.exchanges += 1;
                let empty = mem::replace(&mut child.loaded, full);
                let spare = mem::replace(&mut child.previous, empty);
                if !spare.is_none() {
                    self.depot.keep_empty(spare, geometry, self.slabs.out(), surplus);
                }
            } else {
                let mut quota = child.loaded.quota(mask);
                if quota.wrapping_sub(1) >= geometry.rounds() {
                    corrupted("slab_alloc", parent, child.loaded);
                    quota = 1;
                }
                child.loaded.set_quota(mask, (2 * quota).min(geometry.rounds()));
                child.loaded.fill(quota, |rounds| self.take(parent, rounds));
            }
        }
    }

    /// Gives a child an empty loaded magazine in place of its full one, which becomes its previous one.
    /// Returns false if there is no memory and nothing has changed.
    pub(crate) fn unload(
        &mut self,
        parent: &ParentPool,
        child: &mut ChildPool,
        surplus: &mut Surplus,
    ) -> bool {
        let geometry = &parent.geometry;
        self.check_links(parent, "slab_free");
        // SAFETY: the child's magazines are its own, and the depot's that are drained are nobody's.
        unsafe {
            let wanted = self.depot.wants_full(geometry, self.slabs.out());
            let empty = if child.previous.is_none() || wanted {
                let empty = self.empty_magazine(parent);
                if !empty.is_none() && !child.previous.is_none() {
                    self.exchanges += 1;
                    self.depot.keep_full(child.previous, geometry);
                    child.previous = Magazine::NONE;
                }
                empty
            } else {
                Magazine::NONE
            };
            let empty = if !empty.is_none() {
                empty
            } else if !child.previous.is_none() {
                self.drain(parent, "slab_free", &mut child.previous, surplus);
                mem::replace(&mut child.previous, Magazine::NONE)
            } else {
                return false;
            };
            self.drain_excess(parent, "slab_free", 1, surplus);
            self.reap(parent, surplus);
            child.previous = mem::replace(&mut child.loaded, empty);
            true
        }
    }
}
