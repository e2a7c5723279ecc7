// SPDX-License-Identifier: MIT
//! Child pools: one user's cache of free objects; the fast paths, and the slow paths behind them.
//!
//! | field | meaning | touched by |
//! |---|---|---|
//! | `parent` | null: destroyed, or never created | its user, one thread at a time |
//! | `cache` | its magazines ([`super::cache`]) | the same |
//!
//! An object belongs to its slab, and so to a parent, never to a child. Freeing through a child of
//! the same parent is the fast path whichever child it is. Everything else that is legal (a
//! destroyed child, a child of another parent, an object whose parent is gone) is the slow path,
//! where the owner word of the object's page decides.

use core::ffi::c_void;
use core::ptr;

use super::cache::Cache;
use super::parent::ParentPool;
#[cfg(feature = "ext")]
use super::sleepers;
use crate::base::config::HARDENED;
use crate::base::layout::{Field, layout};
use crate::base::misuse::Misuse;
use crate::base::zero::zero;
use crate::heap::chunk::{owner_if_any, owner_of};
use crate::heap::surplus::Surplus;
use crate::heap::{HEAP, Owner, owner};
use crate::hooks;
use crate::sys::{os, probe};

/// One user's cache of free objects. Lies in memory of the caller's.
#[repr(C)]
pub(crate) struct ChildPool {
    pub(crate) parent: *const ParentPool,
    pub(crate) cache: Cache,
}

/// For a walker outside of the process. The library knows of no child, as they lie in the
/// program's memory: who looks for one looks for its parent's address there.
pub(crate) const LAYOUT: &[Field] = layout!(
    "child", ChildPool: parent, cache.loaded, cache.previous, cache.mask, cache.item_size
);

impl ChildPool {
    /// Creates a child in memory of any content.
    ///
    /// # Safety
    /// `this` is writable, no other call uses it, and `parent` is a pool.
    pub(crate) unsafe fn create(this: *mut ChildPool, parent: *const ParentPool) {
        // SAFETY: the caller's promise.
        unsafe { ChildPool::init(this, parent) }
        probe::child_create(this.addr(), parent.addr());
    }

    /// Writes a child of a pool, or a destroyed one.
    ///
    /// # Safety
    /// As for [`ChildPool::create`], but `parent` may be null.
    unsafe fn init(this: *mut ChildPool, parent: *const ParentPool) {
        // SAFETY: the caller's promise.
        unsafe {
            let item_size = parent.as_ref().map_or(0, |parent| parent.item_size.max(1));
            this.write(ChildPool { parent, cache: Cache::of(item_size) });
            hooks::child_made(this, parent);
        }
    }

    /// Allocates an object, or returns null.
    ///
    /// # Safety
    /// `this` is a child, or destroyed or zeroed, and no other call uses it.
    #[inline(always)]
    pub(crate) unsafe fn alloc(this: *mut ChildPool) -> *mut c_void {
        // SAFETY: the caller's promise.
        unsafe {
            let child = &mut *this;
            if child.cache.is_empty() {
                return alloc_slow(child);
            }
            child.cache.pop().cast()
        }
    }

    /// Allocates an object and zeroes it, or returns null.
    ///
    /// # Safety
    /// As for [`ChildPool::alloc`].
    #[inline(always)]
    pub(crate) unsafe fn zalloc(this: *mut ChildPool) -> *mut c_void {
        // SAFETY: the caller's promise; an object has the parent's item_size bytes at least.
        unsafe {
            let child = &mut *this;
            if child.cache.is_empty() {
                return zalloc_slow(child);
            }
            let object = child.cache.pop();
            zero(object, child.cache.item_size as usize);
            object.cast()
        }
    }

    /// Frees an object.
    ///
    /// # Safety
    /// `this` is a child, or destroyed or zeroed, and no other call uses it. `object` is null or an
    /// object.
    #[inline(always)]
    pub(crate) unsafe fn free(this: *mut ChildPool, object: *mut c_void) {
        // SAFETY: the caller's promise; an object lies in a chunk.
        unsafe {
            let child = &mut *this;
            let object = object.cast::<u8>();
            let next = child.cache.loaded.next();
            if object.is_null()
                || next.is_beyond(child.cache.mask)
                || owner_on_free(object) != child.parent.addr()
            {
                one_exit();
                return free_slow(child, object);
            }
            child.cache.loaded.push_at(next, object);
        }
    }

    /// Destroys a child: its magazines go to the parent's depot.
    ///
    /// # Safety
    /// `this` is a child, or destroyed or zeroed, and no other call uses it.
    pub(crate) unsafe fn destroy(this: *mut ChildPool) {
        const FUNCTION: &str = "slab_destroy_child";
        // SAFETY: the caller's promise; the magazines are the child's own.
        unsafe {
            let child = &mut *this;
            let Some(parent) = child.parent.as_ref() else {
                return;
            };
            probe::child_destroy(this.addr(), parent.address());
            if hooks::instead_of_destroy_child(parent, child) {
                return;
            }
            // One that never had a magazine is not known to the parent.
            if !child.cache.is_none() && !child.retire(FUNCTION) {
                child.abandon(FUNCTION);
            }
            ChildPool::init(this, ptr::null());
        }
    }

    /// Gives the parent the magazines of a child that goes. Returns false if they are stale.
    ///
    /// # Safety
    /// The child has magazines, and a parent that exists or is destroyed.
    #[inline(never)]
    unsafe fn retire(&mut self, function: &'static str) -> bool {
        // SAFETY: the caller's promise; the magazines are the child's own.
        unsafe {
            let Some(parent) = self.live_parent() else { return false };
            let retired = parent.visit(function, |visit| {
                let fresh = !visit.is_stale(&self.cache);
                if fresh {
                    visit.retire(&self.cache);
                }
                fresh
            });
            retired.unwrap_or(false)
        }
    }

    /// Gives the parent all free objects that the child has, and its magazines. Returns how many
    /// bytes of objects that were.
    ///
    /// # Safety
    /// `this` is a child, or destroyed or zeroed, and no other call uses it.
    pub(crate) unsafe fn trim(this: *mut ChildPool) -> usize {
        const FUNCTION: &str = "slab_trim_child";
        // SAFETY: the caller's promise; the magazines are the child's own.
        unsafe {
            let child = &mut *this;
            let Some(parent) = child.live_parent() else { return 0 };
            if child.cache.is_none() {
                return 0;
            }
            let bytes = parent.visit(FUNCTION, |visit| {
                if visit.is_stale(&child.cache) {
                    return 0;
                }
                visit.strip(&mut child.cache) * visit.stride()
            });
            bytes.unwrap_or(0)
        }
    }

    /// Gives up the magazines of a stale child.
    ///
    /// # Safety
    /// The child has magazines.
    #[cold]
    #[inline(never)]
    unsafe fn abandon(&mut self, function: &'static str) {
        let mut surplus = Surplus::EMPTY;
        let mask = self.cache.mask();
        for mut magazine in [self.cache.loaded, self.cache.previous] {
            if magazine.is_none() {
                continue;
            }
            while !magazine.is_empty(mask) {
                // SAFETY: it is not empty; a round is in a chunk, as its slab is not free while it
                // is out.
                unsafe { free_to_owner(function, ptr::null_mut(), magazine.pop()) }
            }
            // SAFETY: the magazine is the child's own, and given up here.
            unsafe { surplus.add_magazine(magazine, mask) }
        }
        HEAP.take_back(&mut surplus);
        HEAP.settle();
    }

    /// The parent, if there is one and it is not destroyed.
    ///
    /// # Safety
    /// The parent's memory is readable if the child is not destroyed.
    pub(crate) unsafe fn live_parent<'a>(&self) -> Option<&'a ParentPool> {
        // SAFETY: the caller's promise.
        unsafe { self.parent.as_ref().filter(|parent| parent.exists()) }
    }
}

/// Keeps several conditions for leaving a fast path one jump to the slow path. The compiler would
/// make each of them a jump of its own to that function, which takes four bytes more; slab_free
/// then did not fit into a line of the cache.
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
pub(crate) unsafe fn owner_on_free(object: *mut u8) -> usize {
    // SAFETY: the caller's promise.
    if HARDENED { unsafe { owner_if_any(object) } } else { unsafe { owner_of(object) } }
}

/// Allocation when the loaded magazine is empty, or there is none. A child that goes up and down by
/// a magazine comes here often, and swaps its two: that takes no stack frame, as what takes one is
/// called last.
///
/// # Safety
/// As for [`ChildPool::alloc`].
#[cold]
#[inline(never)]
pub(crate) unsafe extern "C" fn alloc_slow(child: &mut ChildPool) -> *mut c_void {
    // SAFETY: the caller's promise; a magazine that is swapped in has a round to pop.
    unsafe {
        // What is sampled is drawn further on.
        if child.cache.can_swap_to_alloc() && !hooks::is_sampling() {
            child.cache.swap();
            child.cache.pop().cast()
        } else {
            alloc_far(child, None)
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
        let mut is_zero = false;
        let object = alloc_far(child, Some(&mut is_zero));
        if !object.is_null() && !is_zero {
            ptr::write_bytes(object.cast::<u8>(), 0, child.cache.item_size as usize);
        }
        object
    }
}

/// The time, for a visit in which a cache exchanges its magazines. Such visits look at it, and who waits
/// for the pool is not to wait for the clock as well.
pub(super) fn time_to_exchange(cache: &Cache) -> Option<u32> {
    (!cache.is_none()).then(os::coarse_seconds)
}

/// Who is told, if the object is to be zeroed, that it need not be.
type Zeroes<'a> = Option<&'a mut bool>;

/// Allocation that may take more than another magazine of the child's, for a caller that will zero
/// the object, unless it is told that it reads as zeroes, or not.
///
/// # Safety
/// As for [`ChildPool::alloc`].
#[inline(never)]
pub(super) unsafe fn alloc_far(child: &mut ChildPool, mut zeroes: Zeroes<'_>) -> *mut c_void {
    const FUNCTION: &str = "slab_alloc";
    // SAFETY: the caller's promise; the child's magazines are its own.
    unsafe {
        if child.cache.can_swap_to_alloc() {
            child.cache.swap();
            let drawn = hooks::sampled(&*child.parent, child.cache.rounds());
            return if drawn.is_null() { child.cache.pop().cast() } else { drawn.cast() };
        }
        let parent = child.live_parent();
        if let Some(object) = hooks::instead_of_alloc(parent, child, zeroes.is_some()) {
            return if object.is_null() { alloc_again(child, zeroes) } else { object.cast() };
        }
        let Some(parent) = parent else {
            return ptr::null_mut();
        };
        let cache = &mut child.cache;
        let now = time_to_exchange(cache);
        let object = parent.visit(FUNCTION, |visit| {
            visit.surplus.set_now(now);
            if !parent.modes.get().is_empty() {
                // It got them just now.
                None
            } else if cache.is_none() && !visit.equip(cache) {
                let (object, is_zero) = visit.take_one();
                if let Some(zeroes) = &mut zeroes {
                    **zeroes = is_zero;
                }
                Some(object)
            } else {
                if cache.is_empty() {
                    visit.reload(cache);
                }
                Some(if cache.is_empty() { ptr::null_mut() } else { cache.pop() })
            }
        });
        let object = match object {
            Some(Some(object)) if object.is_null() => return alloc_again(child, zeroes),
            Some(Some(object)) => object,
            Some(None) => return alloc_far(child, zeroes),
            None => return ptr::null_mut(),
        };
        if !child.cache.is_none() {
            let drawn = hooks::sampled(parent, 1 + child.cache.rounds());
            if !drawn.is_null() {
                child.cache.push(object);
                return drawn.cast();
            }
        }
        object.cast()
    }
}

/// Whether the heap of a child's parent has memory now for what was not met.
///
/// # Safety
/// As for [`ChildPool::alloc`].
#[cfg(feature = "ext")]
#[cold]
#[inline(never)]
pub(super) unsafe fn has_more(child: &ChildPool) -> bool {
    // SAFETY: the caller's promise.
    unsafe { child.live_parent() }.is_some_and(|parent| parent.home().more())
}

/// The same, or whether other pools of the process's heap gave what they keep.
///
/// # Safety
/// As for [`ChildPool::alloc`].
#[cfg(feature = "ext")]
#[cold]
#[inline(never)]
pub(super) unsafe fn finds_more(child: &ChildPool) -> bool {
    // SAFETY: the caller's promise.
    let home = unsafe { child.live_parent() }.map(ParentPool::home);
    home.is_some_and(|home| home.more() || home.is_process() && sleepers::give_all())
}

/// The build without `ext` does without.
#[cfg(not(feature = "ext"))]
unsafe fn finds_more(_child: &ChildPool) -> bool {
    false
}

/// Allocation after there was no memory: if there is some now, it begins again.
///
/// # Safety
/// As for [`ChildPool::alloc`].
#[cold]
#[inline(never)]
unsafe fn alloc_again(child: &mut ChildPool, zeroes: Zeroes<'_>) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { if finds_more(child) { alloc_far(child, zeroes) } else { ptr::null_mut() } }
}

/// Freeing when the loaded magazine is full, or there is none, or the object is not of this parent.
/// Swaps the magazines as [`alloc_slow`] does.
///
/// # Safety
/// As for [`ChildPool::free`].
#[cold]
#[inline(never)]
pub(crate) unsafe extern "C" fn free_slow(child: &mut ChildPool, object: *mut u8) {
    // SAFETY: the caller's promise, as on the fast path; a magazine that is swapped in has room.
    unsafe {
        if child.cache.can_swap_to_free()
            && !object.is_null()
            && owner_on_free(object) == child.parent.addr()
        {
            child.cache.swap();
            child.cache.push(object);
        } else {
            free_far(child, object);
        }
    }
}

/// Freeing that may take more than another magazine of the child's. The address may be any: it is
/// not followed unless it is in a chunk.
///
/// # Safety
/// As for [`ChildPool::free`].
#[inline(never)]
unsafe fn free_far(child: &mut ChildPool, object: *mut u8) {
    const FUNCTION: &str = "slab_free";
    if object.is_null() {
        return;
    }
    // SAFETY: the caller's promise; the child's magazines are its own.
    unsafe {
        let parent = child.live_parent();
        if hooks::instead_of_free(parent, child, object) {
            return;
        }
        let parent = match parent {
            Some(parent) if owner_if_any(object) == child.parent.addr() => parent,
            _ => return free_to_owner(FUNCTION, child, object),
        };
        let cache = &mut child.cache;
        let now = time_to_exchange(cache);
        parent.visit(FUNCTION, |visit| {
            visit.surplus.set_now(now);
            let equipped = !cache.is_none() || visit.equip(cache);
            if equipped && (!cache.is_full() || visit.unload(cache)) {
                cache.push(object);
            } else {
                visit.put(&[object]);
            }
        });
    }
}

/// Freeing through no child: into the object's slab, under its owner's lock.
///
/// # Safety
/// It is an object, whose parent exists or is destroyed.
pub(crate) unsafe fn free_through_none(object: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe {
        if !hooks::instead_of_free(None, ptr::null_mut(), object) {
            free_to_owner("slab_free", ptr::null_mut(), object);
        }
    }
}

/// Freeing into the slab that the object came from, whoever owns it. `child` is the one it comes
/// back through, or null, for what is reported of it.
///
/// # Safety
/// The owner of the address, if it is a parent, exists.
pub(crate) unsafe fn free_to_owner(function: &'static str, child: *mut ChildPool, object: *mut u8) {
    // SAFETY: the caller's promise.
    let result = unsafe {
        match owner(object) {
            Owner::Parent(address) => {
                let parent = &*ptr::with_exposed_provenance::<ParentPool>(address);
                if hooks::instead_of_owner(function, parent, child, object) {
                    return;
                }
                parent.visit(function, |visit| {
                    visit.count_foreign_free();
                    visit.put(&[object]);
                });
                Ok(())
            }
            Owner::Limbo => HEAP.free_in_limbo(object),
            Owner::Guards => {
                hooks::guarded_free(function, child, object);
                Ok(())
            }
            Owner::None => Err(Misuse::NotAnObject),
        }
    };
    if let Err(misuse) = result {
        // SAFETY: the caller's promise.
        let parent = unsafe { child.as_ref().and_then(|child| child.live_parent()) };
        let pool = parent.map(ParentPool::id);
        hooks::report(function, pool.as_ref(), object.addr(), misuse.words());
    }
}
