//! The library without modes: every question that the other files ask is answered with no when it is compiled.

use crate::base::geometry::Geometry;
use crate::base::modes::Modes;
use crate::heap::slab::Slab;
use crate::heap::surplus::Surplus;
use crate::pool::body::Body;
use crate::pool::child::ChildPool;
use crate::pool::parent::ParentPool;
use crate::watch::report::Report;

/// The layout of a new pool.
#[inline(always)]
pub fn layout(_: &[u8], item_size: u32, num_items: u32) -> (Geometry, Modes) {
    (Geometry::new(item_size, num_items), Modes::NONE)
}

/// The layout of a pool, whatever modes are asked for.
#[inline(always)]
pub fn geometry(_: Modes, item_size: u32, num_items: u32) -> (Geometry, Modes) {
    layout(&[], item_size, num_items)
}

/// # Safety
/// None is needed.
pub unsafe fn set(_: *mut ParentPool, _: &[u8]) -> bool {
    false
}

/// Nothing can be set.
pub fn set_default(_: &[u8]) -> bool {
    false
}

/// # Safety
/// None is needed.
#[inline(always)]
pub unsafe fn instead_of_alloc(
    _: Option<&ParentPool>,
    _: *mut ChildPool,
    _: bool,
) -> Option<*mut u8> {
    None
}

/// # Safety
/// None is needed.
#[inline(always)]
pub unsafe fn instead_of_free(_: Option<&ParentPool>, _: *mut ChildPool, _: *mut u8) -> bool {
    false
}

/// # Safety
/// None is needed.
#[inline(always)]
pub unsafe fn instead_of_owner(_: &str, _: &ParentPool, _: *mut ChildPool, _: *mut u8) -> bool {
    false
}

/// # Safety
/// None is needed.
#[inline(always)]
pub unsafe fn before_guarded_free(_: &str, _: *mut ChildPool, _: *mut u8) {}

/// # Safety
/// None is needed.
#[inline(always)]
pub unsafe fn instead_of_destroy_child(_: *const ParentPool, _: *mut ChildPool) -> bool {
    false
}

/// # Safety
/// None is needed.
#[inline(always)]
pub unsafe fn before_destroy_parent(_: *mut ParentPool) {}

/// # Safety
/// None is needed.
#[inline(always)]
pub unsafe fn after_destroy_parent(_: *mut ParentPool, _: Modes, _: Kept) {}

/// # Safety
/// None is needed.
#[inline(always)]
pub unsafe fn new_slab(_: &ParentPool, _: *mut Slab) {}

/// What is kept of a pool beyond what an ordinary one has: nothing.
#[derive(Clone, Copy)]
pub struct Kept;

/// # Safety
/// None is needed.
#[inline(always)]
pub unsafe fn keep(_: usize, _: Modes, _: u32, _: u32) -> Kept {
    Kept
}

/// # Safety
/// None is needed.
#[inline(always)]
pub(crate) unsafe fn let_all_go(_: &str, _: &ParentPool, _: &mut Body, _: &mut Surplus) -> bool {
    false
}

/// # Safety
/// None is needed.
#[inline(always)]
pub unsafe fn check_slab(_: &str, _: &ParentPool, _: &Slab, _: &Records<'_>) -> u32 {
    0
}

/// What is known of a pool's objects: nothing.
pub struct Records<'a>(core::marker::PhantomData<&'a ()>);

/// Nothing is known.
#[inline(always)]
pub fn records(_: Kept) -> Records<'static> {
    Records(core::marker::PhantomData)
}

/// Adds nothing to a report.
#[inline(always)]
pub fn places(_: &Report, _: &ParentPool, _: Kept) {}

/// Reports nothing.
#[inline(always)]
pub fn at_end() {}

/// Nothing is kept.
#[inline(always)]
pub fn at_unload() {}
/// # Safety
/// None is needed.
#[inline(always)]
pub unsafe fn after_create_child(_: *const ChildPool, _: *const ParentPool) {}

/// Nothing is recorded.
#[inline(always)]
pub fn before_destroy_child(_: *const ChildPool) {}

/// Nothing is recorded.
#[inline(always)]
pub fn before_parent_goes(_: *const ParentPool) {}

/// Nothing is recorded.
#[inline(always)]
pub fn before_free(_: *const ChildPool, _: *const u8) {}
