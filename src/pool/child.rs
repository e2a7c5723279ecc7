//! Child pools: one user's cache of free objects; the fast paths, and the slow paths behind them.
//!
//! A child has two magazines (see [`crate::heap::magazine`]), the loaded one and the previous one, which is
//! always empty, full or none. With them, a child that allocates and frees in turns goes to the parent
//! once in a magazine's worth of calls at most, wherever it stands.
//!
//! | field | meaning | touched by |
//! |---|---|---|
//! | `parent` | null: destroyed, or never created | its user, one thread at a time |
//! | `loaded` | objects are taken from it and put into it | the same |
//! | `previous` | swapped in when the loaded one is used up | the same |
//! | `mask` | size of a magazine less 1; 0: it has none yet, or the parent is uncached | the same |
//!
//! An object belongs to its slab, and so to a parent, never to a child. Freeing through a child of the
//! same parent is the fast path whichever child it is. Everything else that is legal (a destroyed child, a
//! child of another parent, an object whose parent is gone) is the slow path, where the owner word of the
//! object's page decides.

use core::ffi::c_void;
use core::mem;
use core::ptr;

use crate::base::config::HARDENED;
use crate::base::misuse::Misuse;
use crate::base::zero::zero;
use crate::heap::chunk::{owner_if_any, owner_of};
use crate::heap::magazine::Magazine;
use crate::heap::surplus::Surplus;
use crate::heap::{HEAP, Owner, owner};
use crate::pool::parent::ParentPool;
use crate::watch::debug;
use crate::watch::guard;
use crate::watch::report;
use crate::watch::tools;

/// One user's cache of free objects. Lies in memory of the caller's.
#[repr(C)]
pub struct ChildPool {
    pub(crate) parent: *const ParentPool,
    pub(crate) loaded: Magazine,
    pub(crate) previous: Magazine,
    pub(crate) mask: usize,
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
            tools::initialised(this.cast(), size_of::<ChildPool>());
            debug::after_create_child(this, parent);
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
            let child = &mut *this;
            if child.loaded.is_empty(child.mask) {
                return zalloc_slow(child);
            }
            let object = child.loaded.pop();
            zero(object, (*child.parent).item_size.max(1) as usize);
            object.cast()
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
                || owner_on_free(object) != child.parent.addr()
            {
                one_exit();
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
            debug::before_destroy_child(child);
            if debug::instead_of_destroy_child(parent, child) {
                return;
            }
            if child.mask == 0 {
                // It never had a magazine, so that the parent knows nothing of it.
            } else if child.is_stale(parent) {
                child.abandon(FUNCTION);
            } else {
                parent.locked(|body, surplus| body.retire(parent, child, FUNCTION, surplus));
            }
            ChildPool::create(this, ptr::null());
        }
    }

    /// Gives the parent all free objects that the child has, and its magazines. Returns how many bytes of
    /// objects that were.
    ///
    /// # Safety
    /// `this` is a child, or destroyed or zeroed, and no other call uses it.
    pub unsafe fn trim(this: *mut ChildPool) -> usize {
        const FUNCTION: &str = "slab_trim_child";
        // SAFETY: the caller's promise; the magazines are the child's own.
        unsafe {
            let child = &mut *this;
            let Some(parent) = child.live_parent() else { return 0 };
            if child.mask == 0 || child.is_stale(parent) {
                return 0;
            }
            let objects =
                parent.locked(|body, surplus| body.strip(parent, child, FUNCTION, surplus));
            objects * parent.element_size as usize
        }
    }

    /// Whether the previous magazine has rounds, and none of them is to be a sampled object.
    #[inline(always)]
    fn can_swap_to_alloc(&self) -> bool {
        !self.previous.is_empty(self.mask) && !guard::sample::is_on()
    }

    /// Whether the loaded magazine is full and the previous one empty. (A child of a pool with modes has no magazines.)
    #[inline(always)]
    fn can_swap_to_free(&self) -> bool {
        self.mask != 0
            && !self.previous.is_none()
            && self.previous.is_empty(self.mask)
            && self.loaded.is_full(self.mask)
    }

    /// Whether the parent that the magazines were filled from was destroyed, or created anew, before the
    /// child. Then their rounds are in limbo.
    ///
    /// # Safety
    /// The child has magazines.
    unsafe fn is_stale(&self, parent: &ParentPool) -> bool {
        let of_another = |magazine: Magazine| {
            if magazine.is_empty(self.mask) {
                return false;
            }
            // SAFETY: a round is in a chunk, as its slab is not free while it is out; it may have been overwritten.
            unsafe { owner_if_any(magazine.last()) != (&raw const *parent).addr() }
        };
        parent.num_elements == 0
            || !parent.geometry.masks().contains(&self.mask)
            || of_another(self.loaded)
            || of_another(self.previous)
    }

    /// Gives up the magazines of a stale child.
    ///
    /// # Safety
    /// The child has magazines.
    unsafe fn abandon(&mut self, function: &str) {
        let mut surplus = Surplus::EMPTY;
        for mut magazine in [self.loaded, self.previous] {
            if magazine.is_none() {
                continue;
            }
            while !magazine.is_empty(self.mask) {
                // SAFETY: it is not empty; a round is in a chunk, as its slab is not free while it is out.
                unsafe { free_to_owner(function, ptr::null_mut(), magazine.pop()) }
            }
            // SAFETY: the magazine is the child's own, and given up here.
            unsafe { surplus.add_magazine(magazine, self.mask) }
        }
        HEAP.take_back(&mut surplus);
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

/// Keeps several conditions for leaving a fast path one jump to the slow path. The compiler would make each of them a jump of
/// its own to that function, which takes four bytes more; slab_free then did not fit into a line of the cache.
#[inline(always)]
fn one_exit() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: no instruction.
    unsafe {
        core::arch::asm!("", options(nomem, nostack, preserves_flags));
    }
}

/// The owner word of what is freed, on the fast path.
///
/// # Safety
/// The address is in a chunk, unless this is the hardened build.
#[inline(always)]
unsafe fn owner_on_free(object: *mut u8) -> usize {
    // SAFETY: the caller's promise.
    if HARDENED { unsafe { owner_if_any(object) } } else { unsafe { owner_of(object) } }
}

/// Allocation when the loaded magazine is empty, or there is none. A child that goes up and down by a magazine comes here
/// often, and swaps its two: that takes no stack frame, as what takes one is called last.
///
/// # Safety
/// As for [`ChildPool::alloc`].
#[cold]
#[inline(never)]
pub(crate) unsafe extern "C" fn alloc_slow(child: &mut ChildPool) -> *mut c_void {
    // SAFETY: the caller's promise; a magazine that is swapped in has a round to pop.
    unsafe {
        if child.can_swap_to_alloc() {
            mem::swap(&mut child.loaded, &mut child.previous);
            child.loaded.pop().cast()
        } else {
            alloc_far(child, false)
        }
    }
}

/// The same, zeroed.
///
/// # Safety
/// As for [`ChildPool::alloc`].
#[cold]
#[inline(never)]
unsafe extern "C" fn zalloc_slow(child: &mut ChildPool) -> *mut c_void {
    // SAFETY: the caller's promise; an object has the parent's item_size bytes at least.
    unsafe {
        let object = alloc_far(child, true);
        if !object.is_null() {
            let bytes = (*child.parent).item_size.max(1) as usize;
            ptr::write_bytes(object.cast::<u8>(), 0, bytes);
        }
        object
    }
}

/// Allocation that may take more than another magazine of the child's, for a caller that will zero the object or not.
///
/// # Safety
/// As for [`ChildPool::alloc`].
#[inline(never)]
unsafe fn alloc_far(child: &mut ChildPool, zeroed: bool) -> *mut c_void {
    // SAFETY: the caller's promise; the child's magazines are its own.
    unsafe {
        if !child.previous.is_empty(child.mask) {
            mem::swap(&mut child.loaded, &mut child.previous);
            let drawn = guard::sample::count(&*child.parent, child.loaded.rounds(child.mask));
            return if drawn.is_null() { child.loaded.pop().cast() } else { drawn.cast() };
        }
        let parent = child.live_parent();
        if let Some(object) = debug::instead_of_alloc(parent, child, zeroed) {
            return object.cast();
        }
        let Some(parent) = parent else {
            return ptr::null_mut();
        };
        let object = parent.locked(|body, surplus| {
            if !parent.modes.get().is_empty() {
                // It got them just now.
                None
            } else if child.mask == 0 && !body.equip(parent, child) {
                Some(body.take_one(parent))
            } else {
                if child.loaded.is_empty(child.mask) {
                    body.reload(parent, child, surplus);
                }
                let empty = child.loaded.is_empty(child.mask);
                Some(if empty { ptr::null_mut() } else { child.loaded.pop() })
            }
        });
        let Some(object) = object else {
            return alloc_far(child, zeroed);
        };
        if !object.is_null() && child.mask != 0 {
            let drawn = guard::sample::count(parent, 1 + child.loaded.rounds(child.mask));
            if !drawn.is_null() {
                child.loaded.push(object);
                return drawn.cast();
            }
        }
        object.cast()
    }
}

/// Freeing when the loaded magazine is full, or there is none, or the object is not of this parent. Swaps the magazines
/// as [`alloc_slow`] does.
///
/// # Safety
/// As for [`ChildPool::free`].
#[cold]
#[inline(never)]
pub(crate) unsafe extern "C" fn free_slow(child: &mut ChildPool, object: *mut u8) {
    // SAFETY: the caller's promise, as on the fast path; a magazine that is swapped in has room.
    unsafe {
        if child.can_swap_to_free()
            && !object.is_null()
            && owner_on_free(object) == child.parent.addr()
        {
            mem::swap(&mut child.loaded, &mut child.previous);
            child.loaded.push(object);
        } else {
            free_far(child, object);
        }
    }
}

/// Freeing that may take more than another magazine of the child's. The address may be any: it is not followed unless it is
/// in a chunk.
///
/// # Safety
/// As for [`ChildPool::free`].
#[inline(never)]
unsafe fn free_far(child: &mut ChildPool, object: *mut u8) {
    const FUNCTION: &str = "slab_free";
    if object.is_null() {
        return;
    }
    debug::before_free(child, object);
    // SAFETY: the caller's promise; the child's magazines are its own.
    unsafe {
        let parent = child.live_parent();
        if debug::instead_of_free(parent, child, object) {
            return;
        }
        let parent = match parent {
            Some(parent) if owner_if_any(object) == child.parent.addr() => parent,
            _ => return free_to_owner(FUNCTION, child, object),
        };
        parent.locked(|body, surplus| {
            let equipped = child.mask != 0 || body.equip(parent, child);
            let has_room = equipped
                && (!child.loaded.is_full(child.mask) || body.unload(parent, child, surplus));
            if has_room {
                child.loaded.push(object);
            } else {
                body.put(parent, FUNCTION, &[object], surplus);
            }
        });
    }
}

/// Freeing into the slab that the object came from, whoever owns it. `child` is the one it comes back through,
/// or null, for what is reported of it.
///
/// # Safety
/// The owner of the address, if it is a parent, exists.
pub(crate) unsafe fn free_to_owner(function: &str, child: *mut ChildPool, object: *mut u8) {
    // SAFETY: the caller's promise.
    let result = unsafe {
        match owner(object) {
            Owner::Parent(address) => {
                let parent = &*ptr::with_exposed_provenance::<ParentPool>(address);
                if debug::instead_of_owner(function, parent, child, object) {
                    return;
                }
                parent.locked(|body, surplus| {
                    body.count_foreign_free();
                    body.put(parent, function, &[object], surplus);
                });
                Ok(())
            }
            Owner::Limbo => HEAP.free_in_limbo(object),
            Owner::Guards => {
                debug::before_guarded_free(function, child, object);
                guard::free(function, object);
                Ok(())
            }
            Owner::None => Err(Misuse::NotAnObject),
        }
    };
    if let Err(misuse) = result {
        // SAFETY: the caller's promise.
        let parent = unsafe { child.as_ref().and_then(|child| child.live_parent()) };
        report::misuse(function, parent, object, misuse);
    }
}
