// SPDX-License-Identifier: MIT
//! Which thread is inside a call on a child.
//!
//! A child of a pool with modes has no magazines, and a mask of 0. With that mask any two words in
//! the place of its magazines read as empty and as full, so that they are free for what is noted
//! here:
//!
//! | word | meaning | touched by |
//! |---|---|---|
//! | `loaded` | the thread that is inside a call, or 0 | any thread that calls, atomically |
//! | `previous` | [`FRESH`], [`COUNTED`] or [`GONE`] | the pool's lock |
//!
//! Two calls that overlap in time are seen by the later one. They may be of the same thread, one of
//! them in a signal handler.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::base::line::Text;
use crate::base::pool_id::PoolId;
use crate::pool::child::ChildPool;
use crate::pool::parent::ParentPool;
use crate::sys::os;
use crate::watch::report::{Report, begin};

/// The child has not been used.
pub(crate) const FRESH: usize = 0;
/// The pool counts the child as a holder.
pub(crate) const COUNTED: usize = 1;
/// The child was destroyed.
pub(crate) const GONE: usize = 2;

/// A call on a child, for as long as this exists.
pub(crate) struct Entry<'a> {
    /// None if another call is inside the child.
    thread: Option<&'a AtomicUsize>,
}

impl<'a> Entry<'a> {
    /// Begins a call, and reports it if another one is inside.
    ///
    /// # Safety
    /// `child` is a child of `parent` with a mask of 0.
    pub(crate) unsafe fn new(
        parent: &ParentPool,
        child: *mut ChildPool,
        function: &str,
    ) -> Entry<'a> {
        // SAFETY: the caller's promise: the word is no magazine, and all use of it is here.
        let thread = unsafe { AtomicUsize::from_ptr((&raw mut (*child).cache.loaded).cast()) };
        let own = os::thread_id();
        // Relaxed: the word protects nothing; calls that overlap are an error of the program's.
        let inside = thread.compare_exchange(0, own, Relaxed, Relaxed);
        if let Err(other) = inside {
            overlap(parent, child, function, own, other);
        }
        Entry { thread: inside.is_ok().then_some(thread) }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if let Some(thread) = self.thread {
            // Relaxed: as above.
            thread.store(0, Relaxed);
        }
    }
}

#[cold]
#[inline(never)]
fn overlap(parent: &ParentPool, child: *mut ChildPool, function: &str, own: usize, other: usize) {
    let mut line = Text::empty();
    // The lock of the pool may be this thread's, if a signal handler makes this call.
    let unnamed =
        || PoolId::new((&raw const *parent).addr(), parent.item_size, parent.num_elements);
    let pool = if own == other { unnamed() } else { parent.id() };
    begin(&mut line, function, Some(&pool));
    line.format(
        "@: child used by two threads at once: thread @ calls while thread @ is inside",
        &[child.addr(), own, other],
    );
    Report::say(&mut line).end();
}

/// The word that says what became of a child.
///
/// # Safety
/// `child` is memory of a child with a mask of 0, and the lock of its pool is held, or nobody else
/// uses it.
pub(crate) unsafe fn fate(child: *mut ChildPool) -> *mut usize {
    // SAFETY: the caller's promise.
    unsafe { (&raw mut (*child).cache.previous).cast() }
}
