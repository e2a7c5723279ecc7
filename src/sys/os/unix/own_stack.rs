// SPDX-License-Identifier: MIT
//! A stack of the library's own, for what a signal handler does.
//!
//! The handler runs on the stack that the program has set up for it, which may have room for
//! hardly more than what the system puts there (MINSIGSTKSZ).

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::sys::valgrind::{STACK_DEREGISTER, STACK_REGISTER, request};

const BYTES: usize = 32 << 10;

#[repr(C, align(16))]
struct OwnStack {
    bytes: UnsafeCell<[u8; BYTES]>,
    /// The signal mask of the thread that is on the stack.
    mask: UnsafeCell<MaybeUninit<libc::sigset_t>>,
    /// All signals.
    all: UnsafeCell<MaybeUninit<libc::sigset_t>>,
    is_used: AtomicBool,
}

// SAFETY: used by the one thread that set `is_used`.
unsafe impl Sync for OwnStack {}

static STACK: OwnStack = OwnStack {
    bytes: UnsafeCell::new([0; BYTES]),
    mask: UnsafeCell::new(MaybeUninit::uninit()),
    all: UnsafeCell::new(MaybeUninit::uninit()),
    is_used: AtomicBool::new(false),
};

/// Calls `work` with `data` on the library's stack; on the thread's, if another thread is on it
/// just now, or where the processor is not known here. No signal comes in meanwhile: a handler of
/// one would begin anew on the stack that this is called on.
#[inline(never)]
pub(crate) fn on_own_stack<T>(work: extern "C" fn(&T), data: &T) {
    // Acquire: what the last one wrote there is over.
    if cfg!(not(any(target_arch = "x86_64", target_arch = "aarch64")))
        || STACK.is_used.swap(true, Ordering::Acquire)
    {
        return work(data);
    }
    // SAFETY: the stack and the sets are this thread's; the sets are initialised first.
    unsafe {
        let (mask, all) = ((*STACK.mask.get()).as_mut_ptr(), (*STACK.all.get()).as_mut_ptr());
        libc::sigfillset(all);
        libc::sigemptyset(mask);
        libc::pthread_sigmask(libc::SIG_SETMASK, all, mask);
        let bottom = STACK.bytes.get().cast::<u8>();
        // Only now: drd takes the ends of its threads' stacks for wrong ones once there is another.
        let id = request(STACK_REGISTER, bottom.addr(), bottom.addr() + BYTES - 1, 0);
        call_at(bottom.add(BYTES), work, data);
        request(STACK_DEREGISTER, id, 0, 0);
        libc::pthread_sigmask(libc::SIG_SETMASK, mask, ptr::null_mut());
    }
    // Release: see above.
    STACK.is_used.store(false, Ordering::Release);
}

/// # Safety
/// Below `top`, which is aligned to 16 bytes, is room for a stack that nobody uses.
#[cfg(target_arch = "x86_64")]
unsafe fn call_at<T>(top: *mut u8, work: extern "C" fn(&T), data: &T) {
    // SAFETY: the caller's promise. The register is kept by `work`, and holds the thread's stack
    // pointer meanwhile.
    unsafe {
        core::arch::asm!(
            "mov r12, rsp",
            "mov rsp, {top}",
            "call {work}",
            "mov rsp, r12",
            top = in(reg) top,
            work = in(reg) work,
            in("rdi") data,
            out("r12") _,
            clobber_abi("C"),
        );
    }
}

/// # Safety
/// As above.
#[cfg(target_arch = "aarch64")]
unsafe fn call_at<T>(top: *mut u8, work: extern "C" fn(&T), data: &T) {
    // SAFETY: as above.
    unsafe {
        core::arch::asm!(
            "mov x20, sp",
            "mov sp, {top}",
            "blr {work}",
            "mov sp, x20",
            top = in(reg) top,
            work = in(reg) work,
            in("x0") data,
            out("x20") _,
            clobber_abi("C"),
        );
    }
}

/// # Safety
/// As above.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn call_at<T>(_: *mut u8, work: extern "C" fn(&T), data: &T) {
    work(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn note_where(place: &AtomicBool) {
        let here = 0u8;
        let start = STACK.bytes.get().addr();
        place.store((start..start + BYTES).contains(&(&raw const here).addr()), Ordering::Relaxed);
    }

    #[test]
    fn work_is_done_on_the_stack_and_within_it_on_the_same() {
        extern "C" fn nested(place: &AtomicBool) {
            on_own_stack(note_where, place);
        }
        for work in [note_where, nested] {
            let place = AtomicBool::new(false);
            on_own_stack(work, &place);
            let is_known = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
            assert_eq!(place.load(Ordering::Relaxed), is_known);
        }
    }
}
