//! The library without guarded objects: none is ever made, and no code of it is left.

use crate::inspect::stats::PoolKey;
use crate::pool::parent::ParentPool;

/// Why an object would be guarded.
#[cfg(feature = "debug")]
pub enum Purpose {
    /// All of its pool would be.
    Mode,
}

/// There is none: an ordinary object is taken in its place.
#[cfg(feature = "debug")]
pub fn alloc(_parent: &ParentPool, _purpose: Purpose) -> *mut u8 {
    core::ptr::null_mut()
}

/// There is no object to free.
pub fn free(_function: &str, _object: *mut u8) {}

/// It is none of any pool's.
///
/// # Safety
/// None is needed.
pub unsafe fn pool_of(_object: *mut u8) -> usize {
    0
}

/// No pool has any.
pub fn forget(_parent: usize) {}

/// No pool has any.
pub fn live(_parent: usize) -> (usize, usize) {
    (0, 0)
}

/// There is none.
pub fn live_objects() -> impl Iterator<Item = LiveObject> {
    core::iter::empty()
}

/// What there is none of.
pub struct LiveObject {
    /// Its pool.
    pub pool: PoolKey,
    /// Bytes of its pages.
    pub bytes: usize,
    /// The number of the stack that it was allocated from.
    pub stack: usize,
}

/// There is no lock.
pub fn is_locked() -> bool {
    false
}

/// There is no lock.
pub fn before_fork() {}

/// There is no lock.
pub fn after_fork(_in_new_process: bool) {}

/// There is nothing to end.
pub fn at_unload() {}

/// No object is drawn.
pub mod sample {
    /// Whether objects are sampled: they are not.
    pub fn is_on() -> bool {
        false
    }

    use super::ParentPool;

    /// SLAB_SAMPLE is not read.
    pub fn choose() {}

    /// There is no count.
    pub fn atomics() -> (usize, usize) {
        (0, 0)
    }

    /// Nothing can be set.
    pub fn set(_rate: u32) -> u32 {
        0
    }

    /// No object is drawn.
    pub fn count(_parent: &ParentPool, _rounds: usize) -> *mut u8 {
        core::ptr::null_mut()
    }
}
