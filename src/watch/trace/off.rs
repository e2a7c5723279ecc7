//! The library without modes, or on a system without recording: nothing is recorded.

#[cfg(feature = "debug")]
use crate::pool::child::ChildPool;
#[cfg(feature = "debug")]
use crate::pool::parent::ParentPool;

/// It is not written down.
#[cfg(feature = "debug")]
pub fn create_child(_child: *const ChildPool, _parent: &ParentPool) {}

/// It is not written down.
#[cfg(feature = "debug")]
pub fn destroy_child(_child: *const ChildPool) {}

/// It is not written down.
#[cfg(feature = "debug")]
pub fn destroy_parent(_parent: *const ParentPool) {}

/// It is not written down.
#[cfg(feature = "debug")]
pub fn alloc(_child: *const ChildPool, _parent: &ParentPool, _object: *const u8, _zeroed: bool) {}

/// It is not written down.
#[cfg(feature = "debug")]
pub fn free(_child: *const ChildPool, _object: *const u8) {}

/// There is no file.
#[inline(always)]
pub fn at_unload() {}

/// # Safety
/// None is needed.
#[inline(always)]
pub unsafe fn before_fork() {}

/// # Safety
/// None is needed.
#[inline(always)]
pub unsafe fn after_fork(_in_new_process: bool) {}
