// SPDX-License-Identifier: MIT
//! Stacks that belong to a processor: restartable sequences, where the system has them.
//!
//! A thread that runs on a processor uses that one's stack without an atomic operation. If it is
//! interrupted before the last instruction of a sequence, by another thread, by a signal, or as it
//! moves to another processor, the kernel has it go on at the beginning: rseq(2) of Linux, which
//! glibc 2.35 and later register for each thread. Elsewhere, and where a tool watches that knows
//! threads by their mutexes, there is no [`Processor`].
//!
//! A sequence ends with one store, before which nothing is changed that counts: `top` of a stack.
//! (The word behind `top` may have been written.) So a stack is whole at each moment, also for a
//! process that is forked then.
//!
//! Who needs a stack for longer *takes* it: its thread's number is stored in `holder`, by a sequence
//! on the stack's own processor. From then on the sequences of others find it taken, and before
//! then none of them was within, as two threads are not on one processor at a time. Whoever has
//! taken a stack may go on elsewhere. The store that gives it back is a release, which those on the
//! stack's processor acquire, as each load does on x86-64.

use core::sync::atomic::AtomicUsize;

/// What a stack consists of: that of magazines, as a child has it, and who has taken it.
#[repr(C)]
pub(crate) struct Stack {
    _parent: usize,
    /// The last filled word of a block of `mask + 1` bytes that is aligned to its size. The first
    /// word of the block is not used.
    pub(crate) top: *mut *mut u8,
    _previous: usize,
    pub(crate) mask: u32,
    _item_size: u32,
    /// 0: nobody has.
    pub(crate) holder: AtomicUsize,
}

/// What came of a sequence.
#[cfg_attr(
    not(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64")),
    allow(dead_code, reason = "without such sequences nothing comes of one")
)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome<T> {
    Done(T),
    /// The stack is empty, or full, or taken.
    Not,
    /// The thread was interrupted, and may be on another processor now.
    Interrupted,
}

pub(crate) use family::Processor;

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
mod family {
    use core::arch::{asm, global_asm};
    use core::mem::offset_of;
    use core::sync::atomic::{AtomicIsize, Ordering::Relaxed};

    use super::{Outcome, Stack};
    use crate::sys::os;

    /// The processor that a thread was on just now.
    #[derive(Clone, Copy)]
    pub(crate) struct Processor {
        /// Where the thread's struct rseq is, from its thread pointer on.
        area: isize,
        number: u32,
    }

    // Weak, so that a C library without them will do, and so is the table, as a program may have two
    // copies of the library.
    global_asm!(
        ".weak __rseq_offset",
        ".weak __rseq_size",
        ".pushsection .data.rel.ro.mesa_slab_rseq, \"aw\"",
        ".balign 8",
        ".weak mesa_slab_rseq",
        ".hidden mesa_slab_rseq",
        "mesa_slab_rseq: .quad __rseq_offset, __rseq_size",
        ".popsection",
    );

    unsafe extern "C" {
        static mesa_slab_rseq: Rseq;
    }

    #[repr(C)]
    struct Rseq {
        offset: *const isize,
        size: *const u32,
    }

    const UNKNOWN: isize = 1;
    const NONE: isize = 0;

    /// Where a thread's struct rseq is. Relaxed: threads that look for themselves find the same.
    static AREA: AtomicIsize = AtomicIsize::new(UNKNOWN);

    /// The words that are not under a lock: address and bytes.
    #[cfg(feature = "debug")]
    pub(crate) fn atomics() -> (usize, usize) {
        ((&raw const AREA).addr(), size_of::<AtomicIsize>())
    }

    #[cold]
    #[inline(never)]
    fn look() {
        // SAFETY: the words are written by the loader before any code runs, and so is what they
        // point at.
        let area = unsafe {
            let Rseq { offset, size } = mesa_slab_rseq;
            let registered = !offset.is_null() && !size.is_null() && *size != 0;
            if registered && !os::is_watched() { *offset } else { NONE }
        };
        AREA.store(area, Relaxed);
    }

    // Offsets in struct rseq.
    const NUMBER_START: usize = 0;
    const NUMBER: usize = 4;
    const SEQUENCE: usize = 8;

    /// A sequence, which begins if the thread is on the processor still, and the stack is not taken.
    /// It leaves by `44` if it is not to be done, and is done behind its last instruction; `55` is
    /// the way out of all, and `66` that of who was interrupted. The descriptor is forgotten on the
    /// way out, as the library may be unloaded. Before `66` is the word by which the kernel knows
    /// that it is such a place, as an instruction that is undefined.
    macro_rules! sequence {
        (
            [$($step:literal,)*] not [$($not:literal,)*] done [$($done:literal,)*]
            interrupted [$($interrupted:literal,)*] $($operands:tt)*
        ) => {
            asm!(
                "lea {a}, [rip + 33f]",
                "mov qword ptr fs:[{area} + {SEQUENCE}], {a}",
                "22:",
                "cmp dword ptr fs:[{area} + {NUMBER}], {number:e}",
                "jne 44f",
                "cmp qword ptr [{stack} + {HOLDER}], 0",
                "jne 44f",
                $($step,)*
                "23:",
                $($done,)*
                "jmp 55f",
                "44:",
                $($not,)*
                "55:",
                "mov qword ptr fs:[{area} + {SEQUENCE}], 0",
                ".pushsection .data.rel.ro.mesa_slab_sequences, \"aw\"",
                ".balign 32",
                "33:",
                ".long 0, 0",
                ".quad 22b, 23b - 22b, 66f",
                ".popsection",
                ".pushsection .text.mesa_slab_sequences, \"ax\"",
                ".byte 0x0f, 0xb9, 0x3d",
                ".long 0x53053053",
                "66:",
                $($interrupted,)*
                "jmp 55b",
                ".popsection",
                SEQUENCE = const SEQUENCE,
                NUMBER = const NUMBER,
                HOLDER = const offset_of!(Stack, holder),
                $($operands)*
                options(nostack),
            )
        };
    }

    impl Processor {
        /// The processor that this thread is on; none if there are no sequences, or if nobody has
        /// asked [`Processor::find`] yet.
        #[inline(always)]
        pub(crate) fn current() -> Option<Processor> {
            let area = AREA.load(Relaxed);
            if area == UNKNOWN || area == NONE {
                return None;
            }
            let number: u32;
            // SAFETY: the C library keeps a struct rseq there for each thread.
            unsafe {
                asm!(
                    "mov {number:e}, dword ptr fs:[{area} + {NUMBER_START}]",
                    number = out(reg) number,
                    area = in(reg) area,
                    NUMBER_START = const NUMBER_START,
                    options(nostack, readonly, preserves_flags),
                );
            }
            Some(Processor { area, number })
        }

        /// The processor that this thread is on; none if there are no sequences.
        pub(crate) fn find() -> Option<Processor> {
            if AREA.load(Relaxed) == UNKNOWN {
                look();
            }
            Processor::current()
        }

        /// Its number, from 0 on.
        #[inline(always)]
        pub(crate) fn number(self) -> usize {
            self.number as usize
        }

        /// Takes a round from the processor's stack.
        ///
        /// # Safety
        /// It is that of this processor alone, and its words up to `top` are rounds, which are never
        /// null or at the address 1.
        #[inline(always)]
        pub(crate) unsafe fn pop(self, stack: *mut Stack) -> Outcome<*mut u8> {
            let round: *mut u8;
            // SAFETY: the caller's promise; see the head of this file.
            unsafe {
                sequence!(
                    [
                        "mov {a}, qword ptr [{stack} + {TOP}]",
                        "test dword ptr [{stack} + {MASK}], {a:e}",
                        "jz 44f",
                        "mov {round}, qword ptr [{a}]",
                        "sub {a}, 8",
                        "mov qword ptr [{stack} + {TOP}], {a}",
                    ] not ["xor {round:e}, {round:e}",] done [] interrupted ["mov {round:e}, 1",]
                    TOP = const offset_of!(Stack, top),
                    MASK = const offset_of!(Stack, mask),
                    a = out(reg) _,
                    round = out(reg) round,
                    area = in(reg) self.area,
                    number = in(reg) self.number,
                    stack = in(reg) stack,
                );
            }
            match round.addr() {
                0 => Outcome::Not,
                1 => Outcome::Interrupted,
                _ => Outcome::Done(round),
            }
        }

        /// Adds a round to the processor's stack.
        ///
        /// # Safety
        /// The stack is that of this processor alone, with room for as many rounds as its mask says.
        #[inline(always)]
        pub(crate) unsafe fn push(self, stack: *mut Stack, round: *mut u8) -> Outcome<()> {
            let outcome: u64;
            // SAFETY: the caller's promise; see the head of this file.
            unsafe {
                sequence!(
                    [
                        "mov {a}, qword ptr [{stack} + {TOP}]",
                        "add {a}, 8",
                        "test dword ptr [{stack} + {MASK}], {a:e}",
                        "jz 44f",
                        "mov qword ptr [{a}], {round}",
                        "mov qword ptr [{stack} + {TOP}], {a}",
                    ] not ["xor {a:e}, {a:e}",] done ["mov {a:e}, 1",] interrupted ["mov {a:e}, 2",]
                    TOP = const offset_of!(Stack, top),
                    MASK = const offset_of!(Stack, mask),
                    a = out(reg) outcome,
                    round = in(reg) round,
                    area = in(reg) self.area,
                    number = in(reg) self.number,
                    stack = in(reg) stack,
                );
            }
            outcome_of(outcome)
        }

        /// Takes the processor's stack, for the thread of this number, which is not 0.
        ///
        /// The last instruction is atomic, as a fork takes the stack from another processor: that
        /// thread changes nothing of it.
        ///
        /// # Safety
        /// It is that of this processor alone.
        #[inline]
        pub(crate) unsafe fn take(self, stack: *mut Stack, thread: usize) -> Outcome<()> {
            let outcome: u64;
            // SAFETY: the caller's promise; see the head of this file.
            unsafe {
                sequence!(
                    [
                        "xor eax, eax",
                        "lock cmpxchg qword ptr [{stack} + {HOLDER}], {thread}",
                    ]
                    not ["xor {a:e}, {a:e}",]
                    done ["sete {a:l}", "movzx {a:e}, {a:l}",]
                    interrupted ["mov {a:e}, 2",]
                    a = out(reg) outcome,
                    thread = in(reg) thread,
                    area = in(reg) self.area,
                    number = in(reg) self.number,
                    stack = in(reg) stack,
                    out("rax") _,
                );
            }
            outcome_of(outcome)
        }
    }

    fn outcome_of(number: u64) -> Outcome<()> {
        match number {
            0 => Outcome::Not,
            1 => Outcome::Done(()),
            _ => Outcome::Interrupted,
        }
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64")))]
mod family {
    use super::{Outcome, Stack};

    /// There are no sequences, and so there is no such value.
    #[derive(Clone, Copy)]
    pub(crate) enum Processor {}

    /// The words that are not under a lock: none.
    #[cfg(feature = "debug")]
    pub(crate) fn atomics() -> (usize, usize) {
        (0, 0)
    }

    impl Processor {
        pub(crate) fn current() -> Option<Processor> {
            None
        }

        pub(crate) fn find() -> Option<Processor> {
            None
        }

        pub(crate) fn number(self) -> usize {
            match self {}
        }

        pub(crate) unsafe fn pop(self, _stack: *mut Stack) -> Outcome<*mut u8> {
            match self {}
        }

        pub(crate) unsafe fn push(self, _stack: *mut Stack, _round: *mut u8) -> Outcome<()> {
            match self {}
        }

        pub(crate) unsafe fn take(self, _stack: *mut Stack, _thread: usize) -> Outcome<()> {
            match self {}
        }
    }
}

#[cfg(feature = "debug")]
pub(crate) use family::atomics;

#[cfg(all(test, target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
mod tests {
    use std::sync::atomic::{AtomicPtr, Ordering::*};
    use std::thread;

    use super::*;
    use crate::sys::os;

    const WORDS: usize = 64;

    #[repr(align(512))]
    struct Block([*mut u8; WORDS]);

    /// A stack with room for 63 rounds.
    fn stack() -> *mut Stack {
        let block = Box::leak(Box::new(Block([core::ptr::null_mut(); WORDS])));
        Box::leak(Box::new(Stack {
            _parent: 0,
            top: (&raw mut block.0).cast(),
            _previous: 0,
            mask: (WORDS * 8 - 1) as u32,
            _item_size: 0,
            holder: AtomicUsize::new(0),
        }))
    }

    fn round(number: usize) -> *mut u8 {
        core::ptr::without_provenance_mut(number * 16 + 16)
    }

    /// Does something on the processor that the thread is on, until it was not interrupted.
    fn here<T>(
        stacks: &[AtomicPtr<Stack>],
        work: impl Fn(Processor, *mut Stack) -> Outcome<T>,
    ) -> Option<T> {
        loop {
            let processor = Processor::find().unwrap();
            match work(processor, stacks[processor.number()].load(Relaxed)) {
                Outcome::Done(value) => return Some(value),
                Outcome::Not => return None,
                Outcome::Interrupted => (),
            }
        }
    }

    /// With a glibc that is too old, or where the program forbids it, there is nothing to test.
    fn stacks() -> Option<Vec<AtomicPtr<Stack>>> {
        Processor::find()?;
        Some((0..4096).map(|_| AtomicPtr::new(stack())).collect())
    }

    #[test]
    fn a_stack_gives_what_it_was_given_until_it_is_empty_full_or_taken() {
        let Some(_) = stacks() else { return };
        let all = stack();
        // One stack for all processors, as this thread is the only one.
        let stacks: Vec<_> = (0..4096).map(|_| AtomicPtr::new(all)).collect();
        // SAFETY: the stack is this thread's.
        unsafe {
            assert_eq!(here(&stacks, |cpu, stack| cpu.pop(stack)), None);
            for number in 0..WORDS - 1 {
                assert_eq!(here(&stacks, |cpu, stack| cpu.push(stack, round(number))), Some(()));
            }
            assert_eq!(here(&stacks, |cpu, stack| cpu.push(stack, round(99))), None);
            assert_eq!(here(&stacks, |cpu, stack| cpu.take(stack, 7)), Some(()));
            assert_eq!((*all).holder.load(Relaxed), 7);
            assert_eq!(here(&stacks, |cpu, stack| cpu.take(stack, 8)), None);
            assert_eq!(here(&stacks, |cpu, stack| cpu.pop(stack)), None);
            assert_eq!(here(&stacks, |cpu, stack| cpu.push(stack, round(99))), None);
            (*all).holder.store(0, Release);
            for number in (0..WORDS - 1).rev() {
                assert_eq!(here(&stacks, |cpu, stack| cpu.pop(stack)), Some(round(number)));
            }
            assert_eq!(here(&stacks, |cpu, stack| cpu.pop(stack)), None);
            // Of another processor: nothing is done.
            let elsewhere = thread::spawn(|| Processor::find().unwrap()).join().unwrap();
            if elsewhere.number() != Processor::find().unwrap().number() {
                assert_ne!(elsewhere.push(all, round(1)), Outcome::Done(()));
            }
        }
    }

    #[test]
    fn each_round_is_in_one_place_whoever_is_interrupted() {
        let Some(stacks) = stacks() else { return };
        let rounds = AtomicUsize::new(0);
        let kept: Vec<Vec<*mut u8>> = thread::scope(|scope| {
            let work = |seed: usize| {
                let (stacks, rounds) = (&stacks, &rounds);
                move || {
                    let mut own: Vec<usize> = Vec::new();
                    let mut turn = seed;
                    for _ in 0..200_000 {
                        turn = turn
                            .wrapping_mul(6364136223846793005)
                            .wrapping_add(1442695040888963407);
                        // SAFETY: each stack is used on its own processor, or by who has taken it.
                        unsafe {
                            match turn >> 60 {
                                0..6 if own.len() < 500 => match here(stacks, |cpu, stack| {
                                    cpu.pop(stack)
                                }) {
                                    Some(round) => own.push(round.addr()),
                                    None => own.push(
                                        super::tests::round(rounds.fetch_add(1, Relaxed)).addr(),
                                    ),
                                },
                                6 => {
                                    // What takes longer, and may move to another processor meanwhile.
                                    let taken = here(stacks, |cpu, stack| {
                                        match cpu.take(stack, os::thread_id()) {
                                            Outcome::Done(()) => Outcome::Done(stack),
                                            Outcome::Not => Outcome::Not,
                                            Outcome::Interrupted => Outcome::Interrupted,
                                        }
                                    });
                                    if let Some(stack) = taken {
                                        let base =
                                            (*stack).top.map_addr(|top| top & !(WORDS * 8 - 1));
                                        while (*stack).top != base {
                                            own.push((*(*stack).top).addr());
                                            (*stack).top = (*stack).top.sub(1);
                                        }
                                        thread::yield_now();
                                        (*stack).holder.store(0, Release);
                                    }
                                }
                                _ => {
                                    if let Some(round) = own.pop() {
                                        let round = core::ptr::without_provenance_mut(round);
                                        if here(stacks, |cpu, stack| cpu.push(stack, round))
                                            .is_none()
                                        {
                                            own.push(round.addr());
                                        }
                                    }
                                }
                            }
                        }
                    }
                    own
                }
            };
            let threads: Vec<_> = (0..8).map(|seed| scope.spawn(work(seed))).collect();
            let all = threads.into_iter().map(|each| each.join().unwrap());
            all.map(|own| own.into_iter().map(core::ptr::without_provenance_mut).collect())
                .collect()
        });
        let mut all: Vec<usize> = kept.into_iter().flatten().map(|round| round.addr()).collect();
        for stack in &stacks {
            let stack = stack.load(Relaxed);
            // SAFETY: nobody uses the stacks any more.
            unsafe {
                while (*stack).top.addr() & (WORDS * 8 - 1) != 0 {
                    all.push((*(*stack).top).addr());
                    (*stack).top = (*stack).top.sub(1);
                }
            }
        }
        all.sort();
        let count = all.len();
        all.dedup();
        assert_eq!((all.len(), count), (rounds.load(Relaxed), rounds.load(Relaxed)));
    }
}
