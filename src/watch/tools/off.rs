//! The library without modes: no tool is told of anything.

/// There is nothing to look for.
#[inline(always)]
pub fn watch_objects() -> bool {
    false
}

/// Nobody is told.
#[inline(always)]
pub fn freed(_object: *mut u8, _item_size: u32) {}

/// Nobody is told.
#[inline(always)]
pub fn initialised(_start: *const u8, _bytes: usize) {}

/// Nobody is told.
#[inline(always)]
pub fn slab_gone(_start: *mut u8, _bytes: usize) {}

/// Nobody is told.
#[inline(always)]
pub fn chunk_reserved(_start: *mut u8, _bytes: usize) {}

/// Nobody is told.
#[inline(always)]
pub fn chunk_released(_start: *mut u8, _bytes: usize) {}
