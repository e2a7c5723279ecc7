// SPDX-License-Identifier: MIT
//! What is still to be done for a heap of the program's, as a request or a free noted it that had a
//! pool locked: hooks are called with nothing locked.

use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::chunk::Chunk;
use super::chunk_lists::RELEASED;

/// Whether there may be something to do for one of the heaps. Relaxed: it only decides whether to
/// look closer. The model checker is not told.
static IS_AWAKE: AtomicBool = AtomicBool::new(false);

/// Has the heaps looked at in the next call that has nothing locked.
pub(super) fn wake() {
    IS_AWAKE.store(true, Relaxed);
}

/// Whether they are to be looked at.
#[inline(always)]
pub(super) fn is_awake() -> bool {
    IS_AWAKE.load(Relaxed)
}

/// Begins to look at them.
pub(super) fn sleep() {
    IS_AWAKE.store(false, Relaxed);
}

/// More bytes than any hook is asked for.
pub(super) const TOO_MUCH: usize = usize::MAX;

/// What requests lacked, and no hook was asked for yet.
#[derive(Clone, Copy)]
pub(super) struct Lack {
    /// A run of pages.
    pub(super) chunk: bool,
    /// So many bytes, header included, for a large object, if it is not 0.
    pub(super) large: usize,
}

/// See the head of this file. Belongs to the heaps' lock.
pub(super) struct Owed {
    pub(super) lack: Lack,
    /// Chunks that are to be taken back, linked by `next`.
    pub(super) leaving: Chunks,
    /// Memory for large objects that is not used yet.
    pub(super) ready: Chunks,
    /// Threads that look at the heap and unlock meanwhile: it is not destroyed.
    pub(super) guests: usize,
}

impl Owed {
    pub(super) const NOTHING: Owed = Owed {
        lack: Lack { chunk: false, large: 0 },
        leaving: Chunks::NONE,
        ready: Chunks::NONE,
        guests: 0,
    };
}

/// Chunks that are on no list of the heap's, linked by `next`, and nobody else's.
pub(super) struct Chunks(*mut Chunk);

impl Chunks {
    pub(super) const NONE: Chunks = Chunks(ptr::null_mut());

    /// Adds a chunk.
    ///
    /// # Safety
    /// It is on no list, and nobody else knows it.
    pub(super) unsafe fn add(&mut self, chunk: *mut Chunk) {
        // SAFETY: the caller's promise.
        unsafe {
            (*chunk).next = self.0;
            (*chunk).list = RELEASED;
        }
        self.0 = chunk;
    }

    /// Takes a chunk out that is as is asked for.
    pub(super) fn take(
        &mut self,
        mut is_right: impl FnMut(*mut Chunk) -> bool,
    ) -> Option<*mut Chunk> {
        let mut place = &raw mut self.0;
        // SAFETY: what is here is nobody else's.
        unsafe {
            while !(*place).is_null() {
                let chunk = *place;
                if is_right(chunk) {
                    *place = (*chunk).next;
                    return Some(chunk);
                }
                place = &raw mut (*chunk).next;
            }
        }
        None
    }

    /// Takes any chunk out.
    pub(super) fn take_any(&mut self) -> Option<*mut Chunk> {
        self.take(|_| true)
    }
}
