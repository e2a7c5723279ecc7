// SPDX-License-Identifier: MIT
//! Which fork has a mutex that is locked across fork().
//!
//! A signal handler may interrupt a fork, and fork itself. That one finds the mutex locked by its
//! own thread: it locks nothing, and unlocks nothing in the end. Its handlers run between those of
//! the outer one, in both processes.
//!
//! When the library is unloaded while a thread forks, the C library does not call its handlers any
//! more: the fork that has the mutex will not unlock it. Whoever unloads takes it from the fork
//! ([`Forker::is_given_up`]); if the fork comes back all the same, it finds that it has nothing.
//!
//! | word | meaning | written by |
//! |---|---|---|
//! | `thread` | the thread whose fork has the mutex, or 0 | that thread; 0 also by who unloads the library |
//! | `nested` | forks that have interrupted that one, and are going on | that thread, whose handlers nest |

// The model checker is not told of these words: they order nothing.
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use crate::sys::os;

/// See the head of this file.
#[repr(C)]
pub(super) struct Forker {
    // Relaxed: a thread compares it with its own number, which only that thread stores. SeqCst
    // where two may meet, of whom one gets it.
    thread: AtomicUsize,
    // Relaxed: used by one thread.
    nested: AtomicU32,
}

/// A fork that is over.
#[derive(PartialEq, Eq)]
pub(super) enum Ended {
    /// It had locked the mutex, and unlocks it.
    With,
    /// One that it has interrupted has it still.
    Within,
    /// It had left the mutex alone, or has lost it.
    Without,
}

impl Forker {
    /// No fork.
    pub(super) const fn none() -> Forker {
        Forker { thread: AtomicUsize::new(0), nested: AtomicU32::new(0) }
    }

    /// Whether the mutex is locked by a fork that this one has interrupted.
    #[inline(never)]
    pub(super) fn is_interrupted(&self) -> bool {
        let is_mine = self.thread.load(Relaxed) == os::thread_id();
        if is_mine {
            self.nested.fetch_add(1, Relaxed);
        }
        is_mine
    }

    /// Whether a fork has the mutex. What it protects is in order then, and stays as it is.
    pub(super) fn is_some(&self) -> bool {
        self.thread.load(SeqCst) != 0
    }

    /// Notes that the fork of this thread has locked the mutex.
    pub(super) fn begin(&self) {
        self.thread.store(os::thread_id(), SeqCst);
    }

    /// Behind a fork: what it is to do with the mutex.
    #[inline(never)]
    pub(super) fn end(&self) -> Ended {
        let own = os::thread_id();
        if self.thread.load(Relaxed) != own {
            return Ended::Without;
        }
        if self.nested.load(Relaxed) != 0 {
            self.nested.fetch_sub(1, Relaxed);
            return Ended::Within;
        }
        match self.thread.compare_exchange(own, 0, SeqCst, Relaxed) {
            Ok(_) => Ended::With,
            Err(_) => Ended::Without,
        }
    }

    /// Takes the mutex from the fork that has it, and will not come back. Returns whether one had.
    pub(super) fn is_given_up(&self) -> bool {
        let had = self.thread.swap(0, SeqCst) != 0;
        if had {
            self.nested.store(0, Relaxed);
        }
        had
    }
}
