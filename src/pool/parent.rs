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
use core::cell::UnsafeCell;
use core::ptr;

use super::body::Body;
use super::depot::Depot;
use crate::base::geometry::Geometry;
use crate::base::modes::{Modes, ModesWord};
use crate::base::seal;
use crate::heap::HEAP;
use crate::heap::names::Name;
use crate::heap::surplus::Surplus;
use crate::inspect::validate;
use crate::pool::partial::Slabs;
use crate::sys::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use crate::sys::sync::{Guard, Mutex, renew};
use crate::watch::debug;
use crate::watch::guard;
use crate::watch::report;
use crate::watch::tools;

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
    body: UnsafeCell<Body>,
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
            seal::prepare();
            renew(this, size_of::<ParentPool>());
            Mutex::init(&raw mut (*this).mutex);
            (&raw mut (*this).element_size).write(geometry.stride);
            (&raw mut (*this).num_elements).write(num_items.max(1));
            (&raw mut (*this).item_size).write(item_size);
            (&raw mut (*this).modes).write(ModesWord::new(modes));
            (&raw mut (*this).geometry).write(geometry);
            (&raw mut (*this).name).write(AtomicPtr::new(ptr::null_mut()));
            (&raw mut (*this).body).write(UnsafeCell::new(Body {
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
            let body = parent.body.get();
            let (mut objects_out, mut caching) = (guard::live(this.addr()).0, 0);
            let kept = (*body).kept;
            if (*body).holders != 0 || (*body).slabs.count() != 0 {
                let mut surplus = Surplus::EMPTY;
                let mut body = parent.lock();
                debug::let_all_go("slab_destroy_parent", parent, &mut body, &mut surplus);
                body.drain_depot(parent, "slab_destroy_parent", &mut surplus);
                // Children of a pool with modes cache nothing.
                caching = if modes.is_empty() { body.holders } else { 0 };
                objects_out += body.slabs.out();
                drop(body);
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
            let _body = parent.lock();
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
            let mut body = Guard::lock(&(*this).mutex, (*this).body.get());
            if body.slabs.peak() != 0 || body.holders != 0 {
                return false;
            }
            (&raw mut (*this).element_size).write(geometry.stride);
            (&raw mut (*this).geometry).write(geometry);
            (*this).modes.set(modes);
            let (item_size, num_items) = ((*this).item_size, (*this).num_elements);
            body.kept = debug::keep(this.addr(), modes, item_size, num_items);
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
        let body = self.lock();
        let [first, busy] = body.depot.counts().map(|count| count as usize);
        let [slabs_full, slabs_partial, slabs_empty] = body.slabs.by_state();
        let (objects_guarded, guarded_bytes) = guard::live((&raw const *self).addr());
        let objects_out = body.slabs.out() + objects_guarded;
        ParentNumbers {
            geometry: self.geometry,
            slabs_full,
            slabs_partial,
            slabs_empty,
            objects_out,
            objects_guarded,
            guarded_bytes,
            objects_in_depot: body.depot.objects(&self.geometry),
            peak_objects_out: body.slabs.peak().max(objects_out),
            children: body.holders as usize,
            depot_bytes: first * (self.geometry.magazine_mask() + 1)
                + busy * (self.geometry.busy_mask() + 1),
            exchanges: body.depot.exchanges() as usize,
            foreign_frees: body.slabs.foreign_frees() as usize,
        }
    }

    /// Gives the heap everything that no child and no caller has. Returns how many bytes of slabs and
    /// magazines that were.
    ///
    /// # Safety
    /// The pool exists.
    pub unsafe fn trim(&self) -> usize {
        let mut surplus = Surplus::EMPTY;
        let mut body = self.lock();
        // SAFETY: the pool's lock is held.
        unsafe { debug::let_all_go("slab_trim_parent", self, &mut body, &mut surplus) };
        body.drain_depot(self, "slab_trim_parent", &mut surplus);
        drop(body);
        let bytes = surplus.bytes();
        HEAP.take_back(&mut surplus);
        bytes
    }

    /// Calls `work` with the pool locked, and gives the heap what it leaves over.
    #[inline(always)]
    pub(crate) fn locked<T>(&self, work: impl FnOnce(&mut Body, &mut Surplus) -> T) -> T {
        let mut surplus = Surplus::EMPTY;
        let mut body = self.lock();
        let result = work(&mut body, &mut surplus);
        drop(body);
        HEAP.take_back(&mut surplus);
        validate::after_slow_path(self);
        result
    }

    pub(crate) fn lock(&self) -> Guard<'_, Body> {
        // SAFETY: no thread holds a lock when it calls this (asserted in debug builds for the heap's;
        // no function here locks two parents), and `body` is reached through this lock only.
        unsafe { Guard::lock(&self.mutex, self.body.get()) }
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
