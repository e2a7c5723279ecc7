// SPDX-License-Identifier: MIT
//! What is recorded of the calls on pools in the mode `trace`. Without such a pool it is one test
//! in each of these.

#[cfg(unix)]
use super::choice::given_any;
#[cfg(unix)]
use crate::base::modes::Modes;
use crate::pool::child::ChildPool;
use crate::pool::parent::ParentPool;
#[cfg(unix)]
use crate::watch::trace;

/// A child was created.
///
/// # Safety
/// `parent` is a pool, or null.
#[cfg(unix)]
#[inline]
pub(crate) unsafe fn after_create_child(child: *const ChildPool, parent: *const ParentPool) {
    if given_any(Modes::TRACE) {
        // SAFETY: the caller's promise.
        let parent = unsafe { parent.as_ref() };
        if let Some(parent) = parent.filter(|parent| parent.modes.get().has(Modes::TRACE)) {
            trace::create_child(child, parent);
        }
    }
}

/// A child that has a parent is to be destroyed.
#[cfg(unix)]
#[inline]
pub(crate) fn before_destroy_child(child: *const ChildPool) {
    if given_any(Modes::TRACE) {
        trace::destroy_child(child);
    }
}

/// A pool is to be destroyed, or its memory to be used for another one.
#[cfg(unix)]
#[inline]
pub(crate) fn before_parent_goes(parent: *const ParentPool) {
    if given_any(Modes::TRACE) {
        trace::destroy_parent(parent);
    }
}

/// Something is to be freed, not on the fast path.
#[cfg(unix)]
#[inline]
pub(crate) fn before_free(child: *const ChildPool, object: *const u8) {
    if given_any(Modes::TRACE) {
        trace::free(child, object);
    }
}

/// An object was allocated.
#[cfg_attr(not(unix), allow(unused_variables, reason = "there are no recordings"))]
#[inline]
pub(crate) fn after_alloc(
    parent: &ParentPool,
    child: *const ChildPool,
    object: *const u8,
    zeroed: bool,
) {
    #[cfg(unix)]
    if parent.modes.get().has(Modes::TRACE) && !object.is_null() {
        trace::alloc(child, parent, object, zeroed);
    }
}
