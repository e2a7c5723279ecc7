// SPDX-License-Identifier: MIT
//! Heaps whose memory the program gives: regions that it adds, and what its hooks hand out.
//!
//! Such a heap has a [`State`] like the process's own, under the same lock, and all that its pools
//! are made of lies in its memory: slabs, magazines, names, bodies. Chunks are what they are
//! elsewhere: 4 MiB aligned to their size, the last one of a region perhaps shorter.
//!
//! | a chunk's memory | its terms | when it is free |
//! |---|---|---|
//! | a region's | fixed, resident | stays |
//! | a hook's, and there is one that takes it back | | is purged, and leaves, as chunks of the system's are |
//! | a hook's, and there is none that takes it back | fixed | is purged, and stays |
//! | a hook's, and there is none that purges it | resident | stays, or leaves as a whole |
//!
//! What is free of resident memory counts as clean: there is nobody to be told of it.
//!
//! **Hooks are called with nothing locked**, neither the heaps' lock nor a pool's, and from
//! [`super::heaps`] alone. A request comes with a pool locked. So if there is no run for it, it
//! fails, and it is noted what it lacked ([`super::owed`]). Whoever made it unlocks, has the hook
//! asked for that ([`Home::more`]), and makes it again. What is to be taken back, or purged, is noted
//! likewise, and seen to at the end of the next call that has nothing locked
//! ([`super::page_heap::Heap::settle`]), whichever pool that is of.
//!
//! A large object takes fixed chunks that lie side by side, or memory of its own of a hook's. When it
//! is freed, what is fixed is cut into chunks again.
//!
//! | field of [`Lent`] | belongs to |
//! |---|---|
//! | `memory` | nobody: it is written before the heap is shared |
//! | all others | the heaps' lock |

use core::cell::{Cell, UnsafeCell};
use core::ffi::c_void;
use core::ptr;

use super::chunk::Terms;
use super::home::Home;
use super::locked::HeapLocked;
use super::owed::wake;
use super::state::State;
use crate::sys::os;

/// So many heaps need no memory of the process's own heap.
const OWN: usize = 8;

/// Where a heap's memory comes from, but for regions: `struct slab_memory` of `slab_ext.h`.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) data: *mut c_void,
    pub(crate) reserve: Option<unsafe extern "C" fn(*mut c_void, usize, usize) -> *mut c_void>,
    pub(crate) release: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, usize)>,
    pub(crate) purge: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, usize)>,
}

impl Memory {
    /// Nothing but regions.
    pub(crate) const NONE: Memory =
        Memory { data: ptr::null_mut(), reserve: None, release: None, purge: None };

    /// What a heap may do with a chunk of this.
    pub(super) fn terms(&self) -> Terms {
        Terms { is_fixed: self.release.is_none(), is_resident: self.purge.is_none() }
    }

    /// Memory of a hook's, or null. Nothing is locked.
    pub(super) fn reserve(&self, bytes: usize, alignment: usize) -> *mut u8 {
        // SAFETY: the program's promise.
        let start = self.reserve.map(|reserve| unsafe { reserve(self.data, bytes, alignment) });
        start.unwrap_or(ptr::null_mut()).cast()
    }

    /// Gives it back. Nothing is locked.
    ///
    /// # Safety
    /// It was reserved, and nobody uses it.
    pub(super) unsafe fn release(&self, start: *mut u8, bytes: usize) {
        if let Some(release) = self.release {
            // SAFETY: the caller's promise, and the program's.
            unsafe { release(self.data, start.cast(), bytes) }
        }
    }
}

/// See the head of this file.
pub(super) struct Lent {
    state: UnsafeCell<State>,
    pub(super) memory: Memory,
    pub(super) next: Cell<*const Lent>,
    pub(super) is_used: Cell<bool>,
}

/// All heaps, and places for the first ones.
pub(super) struct Heaps {
    pub(super) first: Cell<*const Lent>,
    pub(super) own: [Lent; OWN],
}

// SAFETY: what changes belongs to the heaps' lock.
unsafe impl Sync for Heaps {}

pub(super) static HEAPS: Heaps =
    Heaps { first: Cell::new(ptr::null()), own: [const { Lent::new(Memory::NONE) }; OWN] };

/// All heaps of the program's.
pub(super) fn heaps(_lock: HeapLocked<'_>) -> impl Iterator<Item = &'static Lent> {
    let mut next = HEAPS.first.get();
    core::iter::from_fn(move || {
        // SAFETY: heaps in the list exist while the lock is held.
        let lent = unsafe { next.as_ref() }?;
        next = lent.next.get();
        Some(lent)
    })
}

/// Has the program's heaps looked at soon, if there are any.
pub(super) fn wake_if_any(_lock: HeapLocked<'_>) {
    if !HEAPS.first.get().is_null() {
        wake();
    }
}

/// Sets for how long free memory is kept in the program's heaps.
pub(super) fn set_decay(seconds: u32, lock: HeapLocked<'_>) {
    for lent in heaps(lock) {
        // SAFETY: the lock is held, and nobody has a reference to the state.
        unsafe { (*lent.state()).decay.set_seconds(seconds) };
        wake();
    }
}

impl Lent {
    /// A heap without memory.
    pub(super) const fn new(memory: Memory) -> Lent {
        Lent {
            state: UnsafeCell::new(State::EMPTY),
            memory,
            next: Cell::new(ptr::null()),
            is_used: Cell::new(false),
        }
    }

    /// The heap, if it is one of the program's.
    #[inline(always)]
    pub(super) fn of<'a>(home: Home) -> Option<&'a Lent> {
        // SAFETY: a heap is not destroyed while something is in it, or a call uses it.
        unsafe { home.lent.cast::<Lent>().as_ref() }
    }

    /// Its name.
    pub(super) fn home(&self) -> Home {
        Home { lent: ptr::from_ref(self).cast() }
    }

    /// What it has under the lock.
    pub(super) fn state(&self) -> *mut State {
        self.state.get()
    }
}

impl Home {
    /// Gives back the memory behind pages, which stay the heap's. No lock is held, unless it is the
    /// process's. Returns whether their next use finds zeroes.
    ///
    /// # Safety
    /// They are pages of the heap that nobody uses.
    pub(super) unsafe fn purge(self, start: *mut u8, bytes: usize) -> bool {
        // SAFETY: the caller's promise, and the program's.
        unsafe {
            match Lent::of(self).map(|lent| &lent.memory) {
                None => os::purge(start, bytes),
                Some(Memory { data, purge: Some(purge), .. }) => {
                    purge(*data, start.cast(), bytes);
                    false
                }
                Some(_) => false,
            }
        }
    }
}
