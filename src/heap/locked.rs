// SPDX-License-Identifier: MIT
//! The proof that a thread holds the heap's lock.

use core::marker::PhantomData;

/// A part of what the lock protects, so that whoever can reach it holds the lock.
pub(super) struct Protected(());

impl Protected {
    /// For the state that a lock protects.
    pub(crate) const fn by_the_lock() -> Protected {
        Protected(())
    }

    /// The proof, for as long as the state is borrowed.
    pub(crate) fn proof(&self) -> HeapLocked<'_> {
        HeapLocked(PhantomData)
    }
}

/// Taken by what needs the heap's lock held. There is no code behind it.
#[derive(Clone, Copy)]
pub(crate) struct HeapLocked<'a>(PhantomData<&'a Protected>);
