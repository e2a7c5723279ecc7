// SPDX-License-Identifier: MIT
//! The stacks from where objects were allocated and freed, each kept once.
//!
//! An arena of words that only grows, reserved when the first stack comes, and in front of it the
//! heads of the chains of a hash table. An entry is `next, frames, frame...`; a [`Stack`] is the
//! index of its first word. An entry never changes once it is in its chain, so that no lock is
//! needed. When the arena is full, further stacks are not kept, nor are any once the library is
//! unloaded, with which the arena goes.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::gate::Gate;
use super::stack::{FRAMES, capture};
use crate::base::layout::{Field, numbers};
use crate::sys::os;
use crate::sys::valgrind;

/// Words of the arena: room for 30,000 of the deepest stacks. Memory is taken as it fills.
const WORDS: usize = if usize::BITS == 64 { 1 << 20 } else { 1 << 18 };
const BYTES: usize = WORDS * size_of::<usize>();
/// Chains of the hash table.
const CHAINS: usize = 4096;

/// The frames of `capture`, of [`Stack::here`] and of the one that calls it are left out.
const OWN_FRAMES: usize = 3;

type Arena = [AtomicUsize; WORDS];

static ARENA: AtomicPtr<Arena> = AtomicPtr::new(ptr::null_mut());
/// What all who use the arena are inside of.
static GATE: Gate = Gate::open();
static USED: AtomicUsize = AtomicUsize::new(CHAINS);

/// For a walker outside of the process.
pub(super) const NUMBERS: &[Field] = numbers!("stacks": WORDS, CHAINS, FRAMES);
/// Where the arena is noted.
pub(super) const PLACE: *const () = (&raw const ARENA).cast();

/// The words that are not under a lock, but for the arena: addresses and bytes.
pub(crate) fn atomics() -> [(usize, usize); 3] {
    [
        ((&raw const ARENA).addr(), size_of_val(&ARENA)),
        ((&raw const GATE).addr(), size_of_val(&GATE)),
        ((&raw const USED).addr(), size_of_val(&USED)),
    ]
}

/// A stack that is kept, or none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Stack(u32);

impl Stack {
    /// None.
    pub const NONE: Stack = Stack(0);

    /// The stack of this call.
    #[inline(never)]
    pub fn here() -> Stack {
        let mut frames = [0; FRAMES];
        let count = capture(&mut frames);
        Stack::of(frames[..count.min(FRAMES)].get(OWN_FRAMES..).unwrap_or(&[]))
    }

    /// The stack of these frames; none if there is no room.
    pub fn of(frames: &[usize]) -> Stack {
        if frames.is_empty() {
            return Stack::NONE;
        }
        let Some(_stay) = GATE.enter() else { return Stack::NONE };
        let Some(arena) = arena() else { return Stack::NONE };
        let hash = frames.iter().fold(frames.len(), |hash, frame| {
            (hash ^ frame).wrapping_mul(0x9e37_79b1).rotate_left(13)
        });
        let head = word(arena, hash % CHAINS);
        // Acquire: the entry is read.
        let mut first = head.load(Ordering::Acquire);
        let mut entry = 0;
        loop {
            if let Some(known) = find(arena, first, frames) {
                return known;
            }
            if entry == 0 {
                // Relaxed: nobody else gets these words.
                entry = USED.fetch_add(2 + frames.len(), Ordering::Relaxed);
                if entry + 2 + frames.len() > WORDS {
                    // So that it never wraps around.
                    USED.store(WORDS, Ordering::Relaxed);
                    return Stack::NONE;
                }
                // Relaxed: they are read once the entry is in its chain.
                word(arena, entry + 1).store(frames.len(), Ordering::Relaxed);
                for (index, frame) in frames.iter().enumerate() {
                    word(arena, entry + 2 + index).store(*frame, Ordering::Relaxed);
                }
            }
            word(arena, entry).store(first, Ordering::Relaxed);
            // Release: whoever finds the entry finds what is in it. Acquire: as above.
            match head.compare_exchange(first, entry, Ordering::Release, Ordering::Acquire) {
                Ok(_) => return Stack(entry as u32),
                Err(now) => first = now,
            }
        }
    }

    /// Whether there is none.
    pub fn is_none(self) -> bool {
        self == Stack::NONE
    }

    /// Calls `each` with the frames, innermost first.
    pub fn for_each_frame(self, mut each: impl FnMut(usize)) {
        let Some(_stay) = GATE.enter() else { return };
        if let Some(arena) = arena().filter(|_| !self.is_none()) {
            // Relaxed: whoever has the stack got it through a lock, or from someone who did.
            let load = |index| word(arena, self.number() + index).load(Ordering::Relaxed);
            for index in 0..load(1) {
                each(load(2 + index));
            }
        }
    }

    /// A number below [`Stack::numbers`].
    pub(crate) fn number(self) -> usize {
        self.0 as usize
    }

    /// The stack of a number that was one's.
    pub(crate) fn numbered(number: usize) -> Stack {
        Stack(number as u32)
    }

    /// What the numbers of all stacks are below.
    pub(crate) fn numbers() -> usize {
        // Relaxed: a stack that someone has is below it.
        USED.load(Ordering::Relaxed).min(WORDS)
    }
}

/// A word of the arena.
fn word(arena: &Arena, index: usize) -> &AtomicUsize {
    // The index is below; this only tells the compiler.
    &arena[index % WORDS]
}

fn find(arena: &Arena, first: usize, frames: &[usize]) -> Option<Stack> {
    let mut entry = first;
    while entry != 0 {
        // Relaxed: the entry was found through its chain, whose head was acquired.
        let load = |index: usize| word(arena, entry + index).load(Ordering::Relaxed);
        if load(1) == frames.len()
            && (0..frames.len()).all(|index| load(2 + index) == frames[index])
        {
            return Some(Stack(entry as u32));
        }
        entry = load(0);
    }
    None
}

/// Gives all stacks up: when the library is unloaded.
pub(crate) fn at_unload() {
    if GATE.shut() {
        // Relaxed: the gate orders it with all who were inside.
        let words = ARENA.swap(ptr::null_mut(), Ordering::Relaxed);
        if !words.is_null() {
            // SAFETY: the reservation that `arena` made; nobody is inside the gate.
            unsafe { os::release(words.cast(), BYTES) };
        }
    }
}

/// All words; none if there is no memory. The gate is entered.
fn arena() -> Option<&'static Arena> {
    // Acquire: the words are used.
    let mut words = ARENA.load(Ordering::Acquire);
    if words.is_null() {
        let new: *mut Arena = os::reserve(BYTES, crate::base::geometry::PAGE).cast();
        if new.is_null() {
            return None;
        }
        valgrind::atomic(new.addr(), BYTES);
        // Release: whoever finds it, finds its zeroes. Acquire: as above.
        let swap = ARENA.compare_exchange(words, new, Ordering::AcqRel, Ordering::Acquire);
        words = match swap {
            Ok(_) => new,
            Err(others) => {
                // SAFETY: nobody has seen the new arena.
                unsafe { os::release(new.cast(), BYTES) };
                others
            }
        };
    }
    // SAFETY: so many words were reserved, and are given back only when nobody is inside the gate.
    Some(unsafe { &*words })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(stack: Stack) -> Vec<usize> {
        let mut frames = Vec::new();
        stack.for_each_frame(|frame| frames.push(frame));
        frames
    }

    #[test]
    fn a_stack_is_kept_once_and_gives_its_frames_back() {
        assert!(Stack::of(&[]).is_none());
        let stacks: Vec<_> = (1..1000).map(|n| Stack::of(&[n, 7, n * 3][..n % 3 + 1])).collect();
        for (index, stack) in stacks.iter().enumerate() {
            let n = index + 1;
            assert_eq!(frames(*stack), [n, 7, n * 3][..n % 3 + 1]);
            assert!(*stack == Stack::of(&[n, 7, n * 3][..n % 3 + 1]));
            assert!(stack.number() < Stack::numbers());
        }
    }

    #[test]
    fn threads_that_come_with_the_same_stacks_get_the_same() {
        let run = || (0..2000).map(|n| Stack::of(&[0x1000 + n, n]).number()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(run)).collect();
        let all: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(all.iter().all(|one| *one == all[0]));
    }

    #[test]
    #[cfg_attr(
        not(all(target_os = "linux", target_env = "gnu")),
        ignore = "only this C library has backtrace() in every process"
    )]
    fn this_call_has_a_stack() {
        assert!(frames(Stack::here()).len() > 2);
    }
}
