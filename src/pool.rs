//! Parent and child pools: the fast paths, and the slow paths behind them.
//!
//! A child has two magazines (see [`crate::magazine`]), the loaded one and the previous one, which is
//! always empty, full or none. With them, a child that allocates and frees in turns goes to the parent
//! once in a magazine's worth of calls at most, wherever it stands.
//!
//! | field of [`ChildPool`] | meaning | touched by |
//! |---|---|---|
//! | `parent` | null: destroyed, or never created | its user, one thread at a time |
//! | `loaded` | objects are taken from it and put into it | the same |
//! | `previous` | swapped in when the loaded one is used up | the same |
//! | `mask` | size of a magazine less 1; 0: it has none yet, or the parent is uncached | the same |
//!
//! | field of [`ParentPool`] | meaning | touched by |
//! |---|---|---|
//! | `element_size` to `geometry` | constant while the pool exists | read by all |
//! | `depot` | magazines that no child has | the mutex |
//! | `slabs` | the slabs and their bitmaps | the mutex |
//! | `holders` | how many children have magazines | the mutex |
//!
//! **When `holders` falls to 0 the parent keeps nothing**: the depot is drained and empty slabs go to
//! the heap. What is left are slabs with objects that callers have. So a parent that is never destroyed
//! holds no memory of its own.
//!
//! An object belongs to its slab, and so to a parent, never to a child. Freeing through a child of the
//! same parent is the fast path whichever child it is. Everything else that is legal (a destroyed child, a
//! child of another parent, an object whose parent is gone) is the slow path, where the owner word of the
//! object's page decides.
//!
//! Memory is called for with the parent's mutex held, and given back without it.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::mem;
use core::ptr;

use crate::chunk::{owner_of, slab_of};
use crate::depot::{Depot, FIRST_QUOTA};
use crate::geometry::Geometry;
use crate::heap::{HEAP, Owner, Surplus, owner};
use crate::magazine::Magazine;
use crate::partial::Slabs;
use crate::report::{self, Misuse};
use crate::sync::{Guard, Mutex};

/// The owner of all objects of one size. Lies in memory of the caller's.
#[repr(C)]
pub struct ParentPool {
    pub(crate) mutex: Mutex,
    pub(crate) element_size: u32,
    pub(crate) num_elements: u32,
    pub(crate) item_size: u32,
    flags: u32,
    geometry: Geometry,
    shared: UnsafeCell<Shared>,
}

/// What the mutex of a parent protects.
struct Shared {
    depot: Depot,
    slabs: Slabs,
    holders: u32,
}

/// One user's cache of free objects. Lies in memory of the caller's.
#[repr(C)]
pub struct ChildPool {
    pub(crate) parent: *const ParentPool,
    pub(crate) loaded: Magazine,
    pub(crate) previous: Magazine,
    pub(crate) mask: usize,
}

impl ParentPool {
    /// Creates a pool in memory of any content. Slabs that still belong to a pool at this address (it
    /// was never destroyed, or its memory was freed) are left in limbo.
    ///
    /// # Safety
    /// `this` is writable, and no other call uses it.
    pub unsafe fn create(this: *mut ParentPool, item_size: u32, num_items: u32) {
        let geometry = Geometry::new(item_size, num_items);
        // SAFETY: the caller's promise. Fields are written one by one as the old content may be no
        // valid pool.
        unsafe {
            HEAP.disown(this.addr());
            Mutex::init(&raw mut (*this).mutex);
            (&raw mut (*this).element_size).write(geometry.stride);
            (&raw mut (*this).num_elements).write(num_items.max(1));
            (&raw mut (*this).item_size).write(item_size);
            (&raw mut (*this).flags).write(0);
            (&raw mut (*this).geometry).write(geometry);
            (&raw mut (*this).shared).write(UnsafeCell::new(Shared {
                depot: Depot::EMPTY,
                slabs: Slabs::EMPTY,
                holders: 0,
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
            if (*this).num_elements == 0 {
                return;
            }
            let parent = &*this;
            let mut surplus = parent.surplus();
            let mut shared = parent.lock();
            shared.drain_depot(parent, "slab_destroy_parent", &mut surplus);
            let objects_out = shared.slabs.count() != 0;
            drop(shared);
            HEAP.take_back(surplus);
            if objects_out {
                HEAP.disown(this.addr());
            }
            parent.mutex.destroy();
            ptr::write_bytes(this, 0, 1);
        }
    }

    fn lock(&self) -> Guard<'_, Shared> {
        // SAFETY: no thread holds a lock when it calls this (asserted in debug builds for the heap's;
        // no function here locks two parents), and `shared` is reached through this lock only.
        unsafe { Guard::lock(&self.mutex, self.shared.get()) }
    }

    fn surplus(&self) -> Surplus {
        Surplus::new(self.geometry.magazine_mask())
    }
}

impl Shared {
    /// Takes objects from slabs; see [`Slabs::take`].
    fn take(&mut self, parent: &ParentPool, rounds: &mut [*mut u8]) -> usize {
        let owner = (&raw const *parent).addr();
        self.slabs.take(rounds, || HEAP.make_slab(owner, &parent.geometry))
    }

    /// Takes one object, for a child without a magazine. Null if there is no memory.
    fn take_one(&mut self, parent: &ParentPool) -> *mut u8 {
        let mut object = [ptr::null_mut()];
        self.take(parent, &mut object);
        object[0]
    }

    /// Puts objects back into the slab of the last one, from the end of `rounds`, and returns how many are
    /// left: not that one, in any case.
    fn put(
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

    #[cold]
    fn drain_one(&mut self, parent: &ParentPool, function: &str, surplus: &mut Surplus) {
        let geometry = &parent.geometry;
        if let Some(mut full) = self.depot.take_full(geometry) {
            // SAFETY: it was the depot's.
            unsafe {
                self.drain(parent, function, &mut full, surplus);
                self.depot.keep_empty(full, geometry, self.slabs.out(), surplus);
            }
        }
    }

    /// Gives up everything that no child and no caller has.
    #[inline(never)]
    fn drain_depot(&mut self, parent: &ParentPool, function: &str, surplus: &mut Surplus) {
        while let Some(mut magazine) = self.depot.take_filled(&parent.geometry) {
            // SAFETY: it was the depot's.
            unsafe {
                self.drain(parent, function, &mut magazine, surplus);
                surplus.add_magazine(magazine);
            }
        }
        self.depot.drop_empty(&parent.geometry, surplus);
        self.slabs.drop_spare(surplus);
    }

    /// Gives a child that has no magazine its first one. It is not full, and may be empty. Returns false if
    /// the parent is uncached or there is no memory.
    fn equip(&mut self, parent: &ParentPool, child: &mut ChildPool) -> bool {
        let geometry = &parent.geometry;
        let mask = geometry.magazine_mask();
        if mask == 0 {
            return false;
        }
        let magazine = match self.depot.take_half() {
            Some(half) => half,
            None => {
                let empty = self.empty_magazine(parent);
                if empty.is_none() {
                    return false;
                }
                // SAFETY: it is on no list.
                unsafe { empty.set_quota(mask, FIRST_QUOTA.min(geometry.rounds())) }
                empty
            }
        };
        child.loaded = magazine;
        child.mask = mask;
        self.holders += 1;
        true
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
    fn reload(&mut self, parent: &ParentPool, child: &mut ChildPool, surplus: &mut Surplus) {
        let geometry = &parent.geometry;
        let mask = geometry.magazine_mask();
        // SAFETY: the child's magazines are its own.
        unsafe {
            if let Some(full) = self.depot.take_full(geometry) {
                let empty = mem::replace(&mut child.loaded, full);
                let spare = mem::replace(&mut child.previous, empty);
                if !spare.is_none() {
                    self.depot.keep_empty(spare, geometry, self.slabs.out(), surplus);
                }
            } else {
                let quota = child.loaded.quota(mask);
                child.loaded.set_quota(mask, (2 * quota).min(geometry.rounds()));
                child.loaded.fill(quota, |rounds| self.take(parent, rounds));
            }
        }
    }

    /// Gives a child an empty loaded magazine in place of its full one, which becomes its previous one.
    /// Returns false if there is no memory and nothing has changed.
    fn unload(
        &mut self,
        parent: &ParentPool,
        child: &mut ChildPool,
        surplus: &mut Surplus,
    ) -> bool {
        let geometry = &parent.geometry;
        // SAFETY: the child's magazines are its own, and the depot's that are drained are nobody's.
        unsafe {
            let wanted = self.depot.wants_full(geometry, self.slabs.out());
            let empty = if child.previous.is_none() || wanted {
                let empty = self.empty_magazine(parent);
                if !empty.is_none() && !child.previous.is_none() {
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
            child.previous = mem::replace(&mut child.loaded, empty);
            true
        }
    }
}

impl ChildPool {
    /// Creates a child in memory of any content.
    ///
    /// # Safety
    /// `this` is writable, no other call uses it, and `parent` is a pool.
    pub unsafe fn create(this: *mut ChildPool, parent: *const ParentPool) {
        // SAFETY: the caller's promise.
        unsafe {
            this.write(ChildPool {
                parent,
                loaded: Magazine::NONE,
                previous: Magazine::NONE,
                mask: 0,
            });
        }
    }

    /// Allocates an object, or returns null.
    ///
    /// # Safety
    /// `this` is a child, or destroyed or zeroed, and no other call uses it.
    #[inline(always)]
    pub unsafe fn alloc(this: *mut ChildPool) -> *mut c_void {
        // SAFETY: the caller's promise; a magazine that is not empty has a round to pop.
        unsafe {
            let child = &mut *this;
            if child.loaded.is_empty(child.mask) {
                return alloc_slow(child);
            }
            child.loaded.pop().cast()
        }
    }

    /// Allocates an object and zeroes it, or returns null.
    ///
    /// # Safety
    /// As for [`ChildPool::alloc`].
    #[inline(always)]
    pub unsafe fn zalloc(this: *mut ChildPool) -> *mut c_void {
        // SAFETY: the caller's promise; an object has the parent's item_size bytes at least.
        unsafe {
            let object = ChildPool::alloc(this);
            if !object.is_null() {
                ptr::write_bytes(object.cast::<u8>(), 0, (*(*this).parent).item_size as usize);
            }
            object
        }
    }

    /// Frees an object.
    ///
    /// # Safety
    /// `this` is a child, or destroyed or zeroed, and no other call uses it. `object` is null or an object.
    #[inline(always)]
    pub unsafe fn free(this: *mut ChildPool, object: *mut c_void) {
        // SAFETY: the caller's promise; an object lies in a chunk, and a magazine that is not full has room.
        unsafe {
            let child = &mut *this;
            let object = object.cast::<u8>();
            if object.is_null()
                || child.loaded.is_full(child.mask)
                || owner_of(object) != child.parent.addr()
            {
                return free_slow(child, object);
            }
            child.loaded.push(object);
        }
    }

    /// Destroys a child: its magazines go to the parent's depot.
    ///
    /// # Safety
    /// `this` is a child, or destroyed or zeroed, and no other call uses it.
    pub unsafe fn destroy(this: *mut ChildPool) {
        const FUNCTION: &str = "slab_destroy_child";
        // SAFETY: the caller's promise; the magazines are the child's own.
        unsafe {
            let child = &mut *this;
            let Some(parent) = child.parent.as_ref() else {
                return;
            };
            if child.mask == 0 {
                // It never had a magazine, so that the parent knows nothing of it.
            } else if child.is_stale(parent) {
                child.abandon(FUNCTION);
            } else {
                let geometry = &parent.geometry;
                let mut surplus = parent.surplus();
                let mut shared = parent.lock();
                let out = shared.slabs.out();
                shared.depot.keep(child.previous, geometry, out, &mut surplus);
                shared.depot.keep(child.loaded, geometry, out, &mut surplus);
                shared.holders = shared.holders.saturating_sub(1);
                if shared.holders == 0 {
                    shared.drain_depot(parent, FUNCTION, &mut surplus);
                } else {
                    // A child brings two magazines.
                    shared.drain_excess(parent, FUNCTION, 2, &mut surplus);
                }
                drop(shared);
                HEAP.take_back(surplus);
            }
            ChildPool::create(this, ptr::null());
        }
    }

    /// Whether the parent that the magazines were filled from was destroyed, or created anew, before the
    /// child. Then their rounds are in limbo.
    ///
    /// # Safety
    /// The child has magazines.
    unsafe fn is_stale(&self, parent: &ParentPool) -> bool {
        let of_another = |magazine: Magazine| {
            // SAFETY: a round is in a chunk, as its slab is not free while it is out.
            !magazine.is_empty(self.mask)
                && unsafe { owner_of(magazine.last()) != (&raw const *parent).addr() }
        };
        parent.num_elements == 0
            || parent.geometry.magazine_mask() != self.mask
            || of_another(self.loaded)
            || of_another(self.previous)
    }

    /// Gives up the magazines of a stale child.
    ///
    /// # Safety
    /// The child has magazines.
    unsafe fn abandon(&mut self, function: &str) {
        let mut surplus = Surplus::new(self.mask);
        for mut magazine in [self.loaded, self.previous] {
            if magazine.is_none() {
                continue;
            }
            while !magazine.is_empty(self.mask) {
                // SAFETY: it is not empty; a round is in a chunk, as its slab is not free while it is out.
                unsafe { free_to_owner(function, magazine.pop()) }
            }
            // SAFETY: the magazine is the child's own, and given up here.
            unsafe { surplus.add_magazine(magazine) }
        }
        HEAP.take_back(surplus);
    }

    /// The parent, if there is one and it is not destroyed.
    ///
    /// # Safety
    /// The parent's memory is readable if the child is not destroyed.
    unsafe fn live_parent<'a>(&self) -> Option<&'a ParentPool> {
        // SAFETY: the caller's promise.
        unsafe { self.parent.as_ref().filter(|parent| parent.num_elements != 0) }
    }
}

/// Allocation when the loaded magazine is empty, or there is none.
///
/// # Safety
/// As for [`ChildPool::alloc`].
#[cold]
#[inline(never)]
unsafe extern "C" fn alloc_slow(child: &mut ChildPool) -> *mut c_void {
    // SAFETY: the caller's promise; the child's magazines are its own.
    unsafe {
        if !child.previous.is_empty(child.mask) {
            mem::swap(&mut child.loaded, &mut child.previous);
            return child.loaded.pop().cast();
        }
        let Some(parent) = child.live_parent() else {
            return ptr::null_mut();
        };
        let mut surplus = parent.surplus();
        let mut shared = parent.lock();
        let object = if child.mask == 0 && !shared.equip(parent, child) {
            shared.take_one(parent)
        } else {
            if child.loaded.is_empty(child.mask) {
                shared.reload(parent, child, &mut surplus);
            }
            if child.loaded.is_empty(child.mask) { ptr::null_mut() } else { child.loaded.pop() }
        };
        drop(shared);
        HEAP.take_back(surplus);
        object.cast()
    }
}

/// Freeing when the loaded magazine is full, or there is none, or the object is not of this parent.
///
/// # Safety
/// As for [`ChildPool::free`].
#[cold]
#[inline(never)]
unsafe extern "C" fn free_slow(child: &mut ChildPool, object: *mut u8) {
    const FUNCTION: &str = "slab_free";
    if object.is_null() {
        return;
    }
    // SAFETY: the caller's promise; the child's magazines are its own.
    unsafe {
        let parent = match child.live_parent() {
            Some(parent) if owner_of(object) == child.parent.addr() => parent,
            _ => return free_to_owner(FUNCTION, object),
        };
        if !child.previous.is_none() && child.previous.is_empty(child.mask) {
            mem::swap(&mut child.loaded, &mut child.previous);
            child.loaded.push(object);
            return;
        }
        let mut surplus = parent.surplus();
        let mut shared = parent.lock();
        let has_room = if child.mask == 0 {
            shared.equip(parent, child)
        } else {
            shared.unload(parent, child, &mut surplus)
        };
        if has_room {
            child.loaded.push(object);
        } else {
            shared.put(parent, FUNCTION, &[object], &mut surplus);
        }
        drop(shared);
        HEAP.take_back(surplus);
    }
}

/// Freeing into the slab that the object came from, whoever owns it.
///
/// # Safety
/// The address is in a chunk; its owner, if it is a parent, exists.
unsafe fn free_to_owner(function: &str, object: *mut u8) {
    // SAFETY: the caller's promise.
    let result = unsafe {
        match owner(object) {
            Owner::Parent(address) => {
                let parent = &*ptr::with_exposed_provenance::<ParentPool>(address);
                let mut surplus = parent.surplus();
                let mut shared = parent.lock();
                shared.put(parent, function, &[object], &mut surplus);
                drop(shared);
                HEAP.take_back(surplus);
                Ok(())
            }
            Owner::Limbo => HEAP.free_in_limbo(object),
            Owner::None => Err(Misuse::NotAnObject),
        }
    };
    if let Err(misuse) = result {
        report::misuse(function, None, object, misuse);
    }
}
