// SPDX-License-Identifier: MIT
//! Parent pools: what callers have of the owner of all objects of one size.
//!
//! | field | meaning | written | read |
//! |---|---|---|---|
//! | `pool` | its body ([`super::body`]); null before the first object | once, by the first thread that needs it | by all |
//! | `element_size` | bytes from one object to the next, for callers | before the first object | by all |
//! | `num_elements`, `item_size` | as the pool was created with | when it is created | by all |
//! | `modes` | what is looked at | before the first object | by all |
//! | `alignment` | what objects are to be aligned to | when it is created | by all |
//!
//! `num_elements` is 0 if the pool is zeroed or destroyed.

use core::ptr;

use super::body::{Body, CLASS, Pool};
use super::policy::Policy;
use super::visit::Visit;
use crate::base::alignment::Alignment;
use crate::base::layout::{Field, layout};
use crate::base::modes::ModesWord;
use crate::base::pool_id::PoolId;
use crate::heap::{HEAP, Home};
use crate::hooks;
use crate::sys::sync::Locked;
use crate::sys::sync::atomic::{
    AtomicPtr, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

/// The owner of all objects of one size. Lies in memory of the caller's.
#[repr(C)]
pub(crate) struct ParentPool {
    pub(crate) pool: AtomicPtr<Pool>,
    pub(crate) element_size: AtomicU32,
    pub(crate) num_elements: u32,
    pub(crate) item_size: u32,
    pub(crate) modes: ModesWord,
    #[cfg(feature = "ext")]
    alignment: u32,
}

/// For a walker outside of the process.
pub(crate) const LAYOUT: &[Field] =
    layout!("parent", ParentPool: pool, element_size, num_elements, item_size, modes);

impl ParentPool {
    /// Whether there is a pool: it is not zeroed or destroyed.
    pub(crate) fn exists(&self) -> bool {
        self.num_elements != 0
    }

    /// Its address, which is the owner word of its slabs.
    pub(crate) fn address(&self) -> usize {
        (&raw const *self).addr()
    }

    /// The body; none before the first object.
    pub(crate) fn pool(&self) -> Option<&Pool> {
        // SAFETY: it lives until the parent is destroyed, or created anew. Acquire: it is used.
        unsafe { self.pool.load(Acquire).as_ref() }
    }

    /// The body, made if there is none. None if there is no memory.
    #[inline(always)]
    pub(crate) fn pool_or_new(&self) -> Option<&Pool> {
        match self.pool() {
            Some(pool) => Some(pool),
            None => self.new_pool(Home::PROCESS),
        }
    }

    pub(super) fn new_pool(&self, home: Home) -> Option<&Pool> {
        self.begin_pool(home).map(|(pool, _)| pool)
    }

    /// Makes the body, unless another thread is faster, and locks it.
    #[cold]
    #[inline(never)]
    fn begin_pool(&self, home: Home) -> Option<(&Pool, Locked<'_, Body>)> {
        let id = self.plain_id();
        let modes = self.modes.get();
        let kept = hooks::kept(&id, modes);
        // SAFETY: a spare entry is that of a pool, as it is one here that left it.
        unsafe {
            // The spare is the process's.
            let spare =
                if home.is_process() { HEAP.take_spare(self.address()) } else { ptr::null_mut() };
            let mut entry = spare;
            let locked = Pool::of(entry).map(|spare| spare.begin_again(&id, modes, kept));
            if locked.is_none() {
                let (geometry, modes) = hooks::layout(modes, &id);
                let policy = Policy::new(&geometry, modes.is_empty());
                entry = HEAP.enrol(home, CLASS, |block| {
                    let body = Body::new(geometry, policy, modes, kept);
                    Pool::init(block, self.address(), body)
                });
            }
            let pool = Pool::of(entry)?;
            let body = locked.unwrap_or_else(|| pool.lock());
            // Release: whoever finds it uses it. Acquire: what another thread has made is used.
            let found = self.pool.compare_exchange(ptr::null_mut(), entry.cast(), Release, Acquire);
            match found {
                Ok(_) => Some((pool, body)),
                Err(others) => {
                    pool.end_unused(body);
                    others.as_ref().map(|pool| (pool, pool.lock()))
                }
            }
        }
    }

    /// Calls `work` with the pool locked; see [`Visit`]. None if the pool has no body and there is
    /// no memory for it.
    #[inline(always)]
    pub(crate) fn visit<T>(
        &self,
        function: &'static str,
        work: impl FnOnce(&mut Visit<'_>) -> T,
    ) -> Option<T> {
        let mut visit = match self.pool() {
            Some(pool) => Visit::begin(pool, function),
            None => {
                let (pool, body) = self.begin_pool(Home::PROCESS)?;
                Visit::with(pool, body, function)
            }
        };
        let result = work(&mut visit);
        visit.end();
        Some(result)
    }

    /// The heap that it is in. One without a body will be in the process's.
    pub(crate) fn home(&self) -> Home {
        self.pool().map_or(Home::PROCESS, Pool::home)
    }

    /// Which pool this is, without its name.
    pub(super) fn plain_id(&self) -> PoolId {
        let mut pool = PoolId::new(self.address(), self.item_size, self.num_elements);
        pool.alignment = self.alignment();
        pool
    }

    /// What objects are to be aligned to.
    pub(crate) fn alignment(&self) -> Alignment {
        #[cfg(feature = "ext")]
        return Alignment::from_bits(self.alignment as u8);
        #[cfg(not(feature = "ext"))]
        Alignment::NATURAL
    }

    /// Which pool this is. Takes the pool's lock, under which its name is written.
    #[cold]
    #[inline(never)]
    pub(crate) fn id(&self) -> PoolId {
        match self.pool() {
            Some(pool) => pool.id(&pool.lock()),
            None => self.plain_id(),
        }
    }

    /// Writes the parent of a pool without objects.
    ///
    /// # Safety
    /// `this` is writable, and nobody uses it.
    pub(super) unsafe fn init(
        this: *mut ParentPool,
        element_size: u32,
        pool: &PoolId,
        modes: ModesWord,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            this.write(ParentPool {
                pool: AtomicPtr::new(ptr::null_mut()),
                element_size: AtomicU32::new(element_size),
                num_elements: pool.num_items,
                item_size: pool.item_size,
                modes,
                #[cfg(feature = "ext")]
                alignment: pool.alignment.to_bits().into(),
            });
            // Relaxed: nobody else knows the parent. (The model checker has to see the word before
            // two threads meet at it.)
            (*this).pool.store(ptr::null_mut(), Relaxed);
        }
    }
}
