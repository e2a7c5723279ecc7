//! The library without modes: nothing is recorded.

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
pub unsafe fn after_fork() {}
