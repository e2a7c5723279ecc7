// SPDX-License-Identifier: MIT
//! Parent pools: the owner of all objects of one size.
//!
//! | field | meaning | touched by |
//! |---|---|---|
//! | `mutex` | serialises visits ([`super::visit`]) | |
//! | `element_size` | bytes from one object to the next, for callers | written under the mutex, read by all |
//! | `num_elements`, `item_size` | as the pool was created with; constant | read by all |
//! | `modes` | what is looked at | written under the mutex, read by all |
//! | `body` | all else ([`super::body`]) | the mutex |
//!
//! `num_elements` is 0 if the pool is zeroed or destroyed.

use core::cell::UnsafeCell;

use super::body::Body;
use crate::base::modes::ModesWord;
use crate::base::pool_id::PoolId;
use crate::sys::sync::atomic::AtomicU32;
use crate::sys::sync::{Locked, Mutex};

/// The owner of all objects of one size. Lies in memory of the caller's.
#[repr(C)]
pub(crate) struct ParentPool {
    pub(crate) mutex: Mutex,
    pub(crate) element_size: AtomicU32,
    pub(crate) num_elements: u32,
    pub(crate) item_size: u32,
    pub(crate) modes: ModesWord,
    pub(super) body: UnsafeCell<Body>,
}

impl ParentPool {
    /// Whether there is a pool: it is not zeroed or destroyed.
    pub(crate) fn exists(&self) -> bool {
        self.num_elements != 0
    }

    /// Its address, which is the owner word of its slabs.
    pub(crate) fn address(&self) -> usize {
        (&raw const *self).addr()
    }

    /// Which pool this is. Takes the pool's lock, under which its name is written.
    #[cold]
    #[inline(never)]
    pub(crate) fn id(&self) -> PoolId {
        self.lock().id(self.address())
    }

    pub(crate) fn lock(&self) -> Locked<'_, Body> {
        // SAFETY: no thread holds a lock when it calls this (asserted in debug builds for the
        // heap's; no function here locks two parents), and `body` is reached through this lock
        // only.
        unsafe { Locked::lock(&self.mutex, self.body.get()) }
    }
}
