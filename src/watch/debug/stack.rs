// SPDX-License-Identifier: MIT
//! Call stacks.
//!
//! The C library's own unwinder is used where it has one (glibc, macOS); it loads what it needs at
//! its first use, for which [`prepare`] sees before any lock is held. With musl the unwinder of
//! libgcc or libunwind is used if the process has it anyway, as any process with C++ in it does;
//! else there are no frames, and reports name threads only.

/// Frames of a stack at most, the library's own among them. An application's call is some twenty
/// frames away from what a driver does for it (ASan has 30).
pub(crate) const FRAMES: usize = 32;

/// Writes the return addresses of the calls that led here, innermost first, and returns how many.
/// The first ones are the library's own. Takes no lock of the library's, and after [`prepare`]
/// allocates nothing.
#[inline(never)]
pub(crate) fn capture(frames: &mut [usize]) -> usize {
    family::capture(frames)
}

/// Has the unwinder load what it needs. Called without locks, when the first pool is created that
/// keeps stacks.
pub(crate) fn prepare() {
    let mut frames = [0; 2];
    capture(&mut frames);
}

#[cfg(any(all(target_os = "linux", target_env = "gnu"), target_vendor = "apple"))]
mod family {
    use core::ffi::c_void;

    pub(crate) fn capture(frames: &mut [usize]) -> usize {
        let most = i32::try_from(frames.len()).unwrap_or(i32::MAX);
        // SAFETY: so many words are writable.
        let count = unsafe { libc::backtrace(frames.as_mut_ptr().cast::<*mut c_void>(), most) };
        usize::try_from(count).unwrap_or(0)
    }
}

#[cfg(all(target_os = "linux", not(target_env = "gnu"), not(target_arch = "arm")))]
mod family {
    use core::ffi::{c_int, c_void};
    use core::ptr;

    // Weak, so that nothing more has to be linked: words that are 0 where the process has no
    // unwinder. The words are weak as well: a program may have two copies of the library.
    #[cfg(target_pointer_width = "64")]
    core::arch::global_asm!(
        ".weak _Unwind_Backtrace",
        ".weak _Unwind_GetIP",
        ".pushsection .data.rel.mesa_slab_unwinder, \"aw\"",
        ".balign 8",
        ".weak mesa_slab_unwinder",
        ".hidden mesa_slab_unwinder",
        "mesa_slab_unwinder: .quad _Unwind_Backtrace, _Unwind_GetIP",
        ".popsection",
    );
    #[cfg(target_pointer_width = "32")]
    core::arch::global_asm!(
        ".weak _Unwind_Backtrace",
        ".weak _Unwind_GetIP",
        ".pushsection .data.rel.mesa_slab_unwinder, \"aw\"",
        ".balign 4",
        ".weak mesa_slab_unwinder",
        ".hidden mesa_slab_unwinder",
        "mesa_slab_unwinder: .long _Unwind_Backtrace, _Unwind_GetIP",
        ".popsection",
    );

    type Step = unsafe extern "C" fn(context: *mut c_void, data: *mut c_void) -> c_int;

    #[repr(C)]
    struct Unwinder {
        backtrace: Option<unsafe extern "C" fn(step: Step, data: *mut c_void) -> c_int>,
        address: Option<unsafe extern "C" fn(context: *mut c_void) -> usize>,
    }

    unsafe extern "C" {
        static mesa_slab_unwinder: Unwinder;
    }

    struct Walk<'a> {
        frames: &'a mut [usize],
        count: usize,
        address: unsafe extern "C" fn(context: *mut c_void) -> usize,
    }

    const GO_ON: c_int = 0;
    const END_OF_STACK: c_int = 5;

    unsafe extern "C" fn step(context: *mut c_void, walk: *mut c_void) -> c_int {
        // SAFETY: the unwinder hands on what `capture` gave it, and a context of its own.
        unsafe {
            let walk = &mut *walk.cast::<Walk<'_>>();
            if walk.count == walk.frames.len() {
                return END_OF_STACK;
            }
            walk.frames[walk.count] = (walk.address)(context);
            walk.count += 1;
        }
        GO_ON
    }

    pub(crate) fn capture(frames: &mut [usize]) -> usize {
        // SAFETY: the words are written by the loader before any code runs.
        let unwinder = unsafe { ptr::read_volatile(&raw const mesa_slab_unwinder) };
        let (Some(backtrace), Some(address)) = (unwinder.backtrace, unwinder.address) else {
            return 0;
        };
        let mut walk = Walk { frames, count: 0, address };
        // SAFETY: `step` is called with what is passed here, until the call returns.
        unsafe { backtrace(step, (&raw mut walk).cast()) };
        walk.count
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
mod family {
    pub(crate) fn capture(_: &mut [usize]) -> usize {
        0
    }
}

#[cfg(all(target_os = "linux", not(target_env = "gnu"), target_arch = "arm"))]
mod family {
    // There the address of a frame is no function of the unwinder's.
    pub(crate) fn capture(_: &mut [usize]) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(
        not(all(target_os = "linux", target_env = "gnu")),
        ignore = "only this C library has backtrace() in every process"
    )]
    fn stacks_of_one_place_are_the_same_and_of_two_are_not() {
        #[inline(never)]
        fn here() -> ([usize; FRAMES], usize) {
            let mut frames = [0; FRAMES];
            let count = capture(&mut frames);
            (frames, count)
        }
        prepare();
        let mut stacks = Vec::new();
        for _ in 0..2 {
            stacks.push(core::hint::black_box(here()));
        }
        let other = core::hint::black_box(here());
        assert!(stacks[0].1 > 2);
        assert_eq!(stacks[0], stacks[1]);
        assert_ne!(stacks[0], other);
    }
}
