// SPDX-License-Identifier: MIT
//! Calls on pools with modes: allocating, freeing and destroying.
//!
//! What is reported as misuse in `checks` although the library puts up with it: freeing through a
//! child of another pool, through a destroyed or a zeroed child, and after the object's pool is
//! destroyed. The object is freed all the same. Everything else that is reported changes nothing.
//!
//! What becomes of the object is in `object`.

use core::ptr;

use super::choice::given_any;
use super::entry::{COUNTED, Entry, FRESH, GONE, fate};
use super::fill;
use super::object::{self, BEYOND_THE_SLAB, Kept, Slots, let_all_go, say, this_call};
use super::recorded::after_alloc;
use crate::base::misuse::Misuse;
use crate::base::modes::Modes;
use crate::base::pool_id::PoolId;
use crate::heap::{HEAP, Owner, owner};
use crate::pool::child::{self, ChildPool};
use crate::pool::parent::ParentPool;
use crate::pool::visit::Visit;
use crate::sys::sync::atomic::Ordering::Relaxed;
#[cfg(unix)]
use crate::watch::guard::{self, Purpose};
use crate::watch::report;
use crate::watch::tools;

/// The modes that report children which are never destroyed.
const COUNTS_CHILDREN: Modes = Modes::CHECKS.with(Modes::LEAKS);

/// Reports a pool that is created over one whose children were not all destroyed.
pub(crate) fn before_create_parent(pool: &PoolId) {
    let children = HEAP.children(pool.address);
    if children != 0 {
        report::created_over(pool, children);
    }
}

/// Allocates from a pool with modes, or says that there is no pool; none if it is an ordinary one.
/// `parent` is the child's, unless it is destroyed or was never created.
///
/// # Safety
/// As for [`ChildPool::alloc`].
pub(crate) unsafe fn instead_of_alloc(
    parent: Option<&ParentPool>,
    child: *mut ChildPool,
    zeroed: bool,
) -> Option<*mut u8> {
    // SAFETY: the caller's promise.
    unsafe {
        match parent {
            Some(parent) if parent.modes.get().is_empty() => None,
            Some(parent) => {
                let object = alloc(parent, child);
                after_alloc(parent, child, object, zeroed);
                Some(object)
            }
            None => {
                report_no_pool("slab_alloc", child);
                None
            }
        }
    }
}

/// Frees through a child of a pool with modes; returns false if it is an ordinary one, or none.
///
/// # Safety
/// As for [`ChildPool::free`], and `object` is not null.
pub(crate) unsafe fn instead_of_free(
    parent: Option<&ParentPool>,
    child: *mut ChildPool,
    object: *mut u8,
) -> bool {
    let Some(parent) = parent.filter(|parent| !parent.modes.get().is_empty()) else {
        return false;
    };
    // SAFETY: the caller's promise.
    unsafe { free(parent, child, object) }
    true
}

/// Frees an object of a pool with modes that comes back through `child`, which is no child of that
/// pool; returns false if it is an ordinary one. `child` is null if there is none, or if it was
/// reported already.
///
/// # Safety
/// As for [`ChildPool::free`]; `parent` owns the page of the object.
pub(crate) unsafe fn instead_of_owner(
    function: &'static str,
    parent: &ParentPool,
    child: *mut ChildPool,
    object: *mut u8,
) -> bool {
    let modes = parent.modes.get();
    if modes.is_empty() {
        return false;
    }
    // SAFETY: the caller's promise.
    unsafe {
        report_stranger(function, parent, child, object);
        object::put(function, parent, object, None);
    }
    true
}

/// Looks at a guarded object that comes back through `child`, which is null if that is no child of
/// another pool, or if it was reported already.
///
/// # Safety
/// As for [`ChildPool::free`]; the object's owner word is that of guarded ones.
#[cfg(unix)]
pub(crate) unsafe fn before_guarded_free(
    function: &'static str,
    child: *mut ChildPool,
    object: *mut u8,
) {
    // SAFETY: the caller's promise; a pool that is named exists.
    unsafe {
        let parent = ptr::with_exposed_provenance::<ParentPool>(guard::pool_of(object));
        if let Some(parent) = parent.as_ref() {
            report_stranger(function, parent, child, object);
        }
    }
}

/// Reports an object that comes back through no child of its pool, if the pool is checked and
/// `child` not null.
///
/// # Safety
/// `child` is a child, or destroyed, zeroed or null.
unsafe fn report_stranger(
    function: &'static str,
    parent: &ParentPool,
    child: *mut ChildPool,
    object: *mut u8,
) {
    if !parent.modes.get().has(Modes::CHECKS) || child.is_null() {
        return;
    }
    // SAFETY: the caller's promise.
    let words = unsafe { through(child) };
    say(function, parent, object, words, this_call(parent));
}

/// What is said of a free through a child that is none of the object's pool.
///
/// # Safety
/// `child` is a child, or destroyed or zeroed.
unsafe fn through(child: *mut ChildPool) -> &'static str {
    // SAFETY: the caller's promise.
    match unsafe { state_of(child) } {
        State::Destroyed => "freed through a destroyed child pool",
        State::Missing => "freed through a child pool that is destroyed or was never created",
        State::PoolDestroyed => "freed through a child of a destroyed pool",
        State::PoolMissing => {
            "freed through a child of a pool that is destroyed or was never created"
        }
        State::Fine => "freed through a child of another pool",
    }
}

/// Ends a child that was used in a pool with modes; returns false if it is another one.
///
/// # Safety
/// As for [`ChildPool::destroy`]; `parent` is the child's.
#[inline(always)]
pub(crate) unsafe fn instead_of_destroy_child(
    parent: *const ParentPool,
    child: *mut ChildPool,
) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let counted = (*child).cache.is_none() && *fate(child) == COUNTED;
        if counted {
            destroy_child(parent, child);
        }
        counted
    }
}

/// # Safety
/// As for [`ChildPool::destroy`]; `parent` is that of the child, which was used in a pool with
/// modes. (One that was never used does not need its parent any more.)
#[cold]
#[inline(never)]
unsafe fn destroy_child(parent: *const ParentPool, child: *mut ChildPool) {
    const FUNCTION: &str = "slab_destroy_child";
    // SAFETY: the caller's promise; a parent that is destroyed is zeroed but for its modes.
    unsafe {
        let parent = &*parent;
        if parent.exists() {
            let entry = Entry::new(parent, child, FUNCTION);
            parent.visit(FUNCTION, |visit| {
                visit.remove_holder();
                if visit.body.modes.has_any(COUNTS_CHILDREN) {
                    count_child(visit, false);
                }
                drop(entry);
            });
        }
        ChildPool::create(child, ptr::null());
        *fate(child) = GONE;
    }
}

/// Reports a pool that is destroyed for the second time.
///
/// # Safety
/// `parent` is a pool, or destroyed or zeroed.
pub(crate) unsafe fn before_destroy_parent(parent: *mut ParentPool) {
    // SAFETY: the caller's promise.
    unsafe {
        if !(*parent).exists() && (*parent).modes.get().has(Modes::DESTROYED) {
            report::problem(
                "slab_destroy_parent",
                None,
                parent.addr(),
                "the pool is destroyed already",
            );
        }
    }
}

/// Ends what was kept of a pool that was destroyed, and leaves word in its zeroed memory if it had
/// modes.
///
/// # Safety
/// `parent` is memory of a pool.
pub(crate) unsafe fn after_destroy_parent(parent: *mut ParentPool, modes: Modes, kept: Kept) {
    if let Some(ledger) = kept {
        ledger.close();
    }
    if modes.has(Modes::CHECKS) {
        // SAFETY: the caller's promise.
        unsafe { (*parent).modes.set(Modes::DESTROYED) }
    }
}

/// Allocates an object, or returns null.
///
/// # Safety
/// As for [`ChildPool::alloc`]; the pool has modes.
#[cold]
#[inline(never)]
unsafe fn alloc(parent: &ParentPool, child: *mut ChildPool) -> *mut u8 {
    const FUNCTION: &str = "slab_alloc";
    // SAFETY: the caller's promise. The child's mask is 0, as the pool is uncached.
    unsafe {
        let entry = Entry::new(parent, child, FUNCTION);
        let now = this_call(parent);
        #[cfg(unix)]
        if parent.modes.get().has(Modes::GUARD) {
            let object = guard::alloc(parent, Purpose::Mode);
            if !object.is_null() {
                return object;
            }
        }
        let object = parent.visit(FUNCTION, move |visit| {
            // Over before the visit is, and what it found is said.
            let _entry = entry;
            count(visit, child);
            let (mut slot, _) = visit.take_one();
            if slot.is_null() && let_all_go(visit) {
                slot = visit.take_one().0;
            }
            if !slot.is_null() && parent.modes.get().has_any(BEYOND_THE_SLAB) {
                let ledger = visit.body.kept;
                let record = ledger.and_then(|ledger| ledger.lock().record(slot.addr()));
                let view = Slots::of(visit);
                view.mend(slot, true, now, record, &mut visit.notes);
                if parent.modes.get().has(Modes::POISON) {
                    view.slot(slot).fill(fill::FRESH);
                }
                if let Some(ledger) = ledger {
                    ledger.lock().allocated(slot.addr(), now);
                }
                slot = slot.add(view.lead());
                if parent.modes.get().has(Modes::TOOLS) {
                    tools::allocated(slot, parent.item_size);
                }
            }
            slot
        });
        object.unwrap_or(ptr::null_mut())
    }
}

/// Frees an object through a child of this pool, whoever owns it.
///
/// # Safety
/// As for [`ChildPool::free`]; the pool has modes.
#[cold]
#[inline(never)]
unsafe fn free(parent: &ParentPool, child: *mut ChildPool, object: *mut u8) {
    const FUNCTION: &str = "slab_free";
    // SAFETY: the caller's promise. The child's mask is 0, as the pool is uncached.
    unsafe {
        let entry = Entry::new(parent, child, FUNCTION);
        let own = (&raw const *parent).addr();
        let (words, wild) = match owner(object) {
            Owner::Parent(address) if address == own => {
                return object::put(FUNCTION, parent, object, Some(entry));
            }
            Owner::Parent(_) => ("object of another pool", false),
            Owner::Limbo => ("object of a pool that is destroyed", false),
            #[cfg(unix)]
            Owner::Guards if [0, own].contains(&guard::pool_of(object)) => {
                drop(entry);
                return guard::free(FUNCTION, object);
            }
            Owner::Guards => ("object of another pool", false),
            Owner::None => (Misuse::NotAnObject.words(), true),
        };
        drop(entry);
        if wild || parent.modes.get().has(Modes::CHECKS) {
            say(FUNCTION, parent, object, words, this_call(parent));
        }
        if !wild {
            child::free_to_owner(FUNCTION, ptr::null_mut(), object);
        }
    }
}

/// Has the pool count a child that is used for the first time, so that it keeps a spare slab for
/// it.
///
/// # Safety
/// The child is one of the pool's, with a mask of 0.
unsafe fn count(visit: &mut Visit<'_>, child: *mut ChildPool) {
    // SAFETY: the caller's promise.
    unsafe {
        if *fate(child) == FRESH {
            *fate(child) = COUNTED;
            visit.add_holder();
            if visit.body.modes.has_any(COUNTS_CHILDREN) {
                count_child(visit, true);
            }
        }
    }
}

/// Counts a child of a pool that is used for the first time, or one that goes.
fn count_child(visit: &Visit<'_>, comes: bool) {
    let children = &visit.pool.entry().children;
    // Relaxed: the pool's lock is held, and whoever reads it without takes any recent value.
    let before = children.load(Relaxed);
    children.store(if comes { before + 1 } else { before.saturating_sub(1) }, Relaxed);
}

/// Reports a call on a child without a pool, if there are pools that are checked.
///
/// # Safety
/// `child` is destroyed or zeroed, or its parent is.
#[cold]
#[inline(never)]
unsafe fn report_no_pool(function: &str, child: *mut ChildPool) {
    // SAFETY: the caller's promise.
    let words = match unsafe { state_of(child) } {
        State::Fine => return,
        State::Destroyed => "a destroyed child pool",
        State::Missing => "a child pool that is destroyed or was never created",
        State::PoolDestroyed => "a child of a destroyed pool",
        State::PoolMissing => "a child of a pool that is destroyed or was never created",
    };
    report::problem(function, None, child.addr(), words);
}

/// Whether a child has a pool, and if not, why, as far as it can be told.
#[derive(Clone, Copy)]
enum State {
    /// It has one, or no pool is checked.
    Fine,
    Destroyed,
    /// It is destroyed or was never created.
    Missing,
    PoolDestroyed,
    /// The pool is destroyed or was never created.
    PoolMissing,
}

/// # Safety
/// `child` is a child, or destroyed or zeroed; its parent may be destroyed or zeroed.
unsafe fn state_of(child: *mut ChildPool) -> State {
    // SAFETY: the caller's promise.
    unsafe {
        match (*child).parent.as_ref() {
            None if (*child).cache.is_none() && *fate(child) == GONE => State::Destroyed,
            None if given_any(Modes::CHECKS) => State::Missing,
            Some(parent) if parent.exists() => State::Fine,
            Some(parent) if parent.modes.get().has(Modes::DESTROYED) => State::PoolDestroyed,
            Some(_) if given_any(Modes::CHECKS) => State::PoolMissing,
            _ => State::Fine,
        }
    }
}
