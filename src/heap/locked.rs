//! The proof that a thread holds the heap's lock.

use core::marker::PhantomData;

use super::state::State;

/// Taken by what needs the heap's lock held. Only the locked state gives it, for as long as it is borrowed. There is no
/// code behind it.
#[derive(Clone, Copy)]
pub struct HeapLocked<'a>(PhantomData<&'a State>);

impl State {
    /// The proof that the lock is held which this belongs to.
    pub fn locked(&self) -> HeapLocked<'_> {
        HeapLocked(PhantomData)
    }
}
