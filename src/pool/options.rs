// SPDX-License-Identifier: MIT
//! Pools of which more is said than the size of their objects: `struct slab_options` of
//! `slab_ext.h`.

use super::parent::ParentPool;
use crate::base::alignment::Alignment;
use crate::heap::Home;
use crate::hooks;

/// What a pool is to be like.
pub(crate) struct PoolOptions<'a> {
    /// Bytes of an object.
    pub(crate) item_size: u32,
    /// Objects at a time.
    pub(crate) num_items: u32,
    /// What objects are to be aligned to.
    pub(crate) alignment: Alignment,
    /// What the pool is called.
    pub(crate) name: &'a [u8],
    /// The heap that it is to be in.
    pub(crate) home: Home,
}

/// Why there is no pool.
pub(crate) enum Refusal {
    /// What was asked for cannot be had: this is wrong with it.
    Wrong(&'static str),
    /// There is no memory.
    NoMemory,
}

impl PoolOptions<'_> {
    /// Creates a pool in memory of any content. If it is refused, a destroyed pool is there, as after a
    /// pool was created and destroyed.
    ///
    /// # Safety
    /// As for [`ParentPool::create`].
    pub(crate) unsafe fn create(&self, this: *mut ParentPool) -> Result<(), Refusal> {
        // SAFETY: the caller's promise.
        unsafe {
            loop {
                let PoolOptions { item_size, num_items, alignment, home, .. } = *self;
                if ParentPool::create_in(this, home, item_size, num_items, alignment) {
                    if self.name.is_empty() || (*this).set_name(self.name) {
                        return Ok(());
                    }
                    ParentPool::destroy(this);
                }
                if !home.more() {
                    return Err(Refusal::NoMemory);
                }
            }
        }
    }
}

impl Refusal {
    /// Reports what is wrong with what a function was asked for, and leaves a destroyed pool.
    ///
    /// # Safety
    /// As for [`ParentPool::create`].
    #[cold]
    pub(crate) unsafe fn settle(self, function: &'static str, this: *mut ParentPool) {
        if let Refusal::Wrong(words) = self {
            // SAFETY: the caller's promise.
            unsafe {
                // What an old pool keeps there goes to the heap.
                ParentPool::create(this, 1, 1);
                ParentPool::destroy(this);
            }
            hooks::report(function, None, this.addr(), words);
        }
    }
}
