// SPDX-License-Identifier: MIT
//! What keeps a call of the system that may take long, or fail, from ending the thread or the
//! program, and what keeps signal handlers out.
//!
//! `open`, `read`, `write` and `close` are cancellation points: a thread that is cancelled there
//! ends inside the library, perhaps with a lock. A write to a pipe without a reader raises SIGPIPE,
//! and one beyond the largest size of a file SIGXFSZ, both of which end a program by default.
//!
//! The calls go through the C library all the same, not straight to the kernel, so that sanitizers,
//! valgrind and a program's own `write` see them. All that is called here may be called in a signal
//! handler.

use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::ptr;

/// For as long as this exists, the thread is not cancelled.
pub(super) struct Uncancelled {
    #[cfg(not(target_os = "android"))]
    before: c_int,
}

/// Android has no cancellation.
#[cfg(target_os = "android")]
impl Uncancelled {
    pub(super) fn begin() -> Uncancelled {
        Uncancelled {}
    }
}

// The libc crate declares it for a few systems only.
#[cfg(not(target_os = "android"))]
unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

#[cfg(not(target_os = "android"))]
const DISABLE: c_int = if cfg!(target_vendor = "apple") { 0 } else { 1 };

#[cfg(not(target_os = "android"))]
impl Uncancelled {
    pub(super) fn begin() -> Uncancelled {
        let mut before = 0;
        // SAFETY: `before` is writable. It cannot fail for a state that there is.
        unsafe { pthread_setcancelstate(DISABLE, &mut before) };
        Uncancelled { before }
    }
}

#[cfg(not(target_os = "android"))]
impl Drop for Uncancelled {
    fn drop(&mut self) {
        // SAFETY: the state is the one that was found.
        unsafe { pthread_setcancelstate(self.before, ptr::null_mut()) };
    }
}

/// What signals mean that the thread raises itself by what it does. Held back, they would end the
/// program without a word to its handlers.
const ITS_OWN: [c_int; 7] = [
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGSEGV,
    libc::SIGSYS,
    libc::SIGTRAP,
];

/// A thread's signal mask.
pub(crate) struct SignalMask(MaybeUninit<libc::sigset_t>);

impl SignalMask {
    /// In the place of one that is not known.
    pub(crate) const fn none() -> SignalMask {
        SignalMask(MaybeUninit::uninit())
    }

    /// Holds all signals back from this thread, but for those of what it does itself. Returns the
    /// mask as it was.
    #[inline(never)]
    pub(crate) fn hold_back() -> SignalMask {
        let mut before = SignalMask::none();
        let mut set = MaybeUninit::uninit();
        if cfg!(loom) {
            return before;
        }
        // SAFETY: the sets are writable and are initialised first; no function fails for signals
        // that there are.
        unsafe {
            libc::sigfillset(set.as_mut_ptr());
            for signal in ITS_OWN {
                libc::sigdelset(set.as_mut_ptr(), signal);
            }
            libc::sigemptyset(before.0.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.0.as_mut_ptr());
        }
        before
    }

    /// Gives this thread the mask.
    ///
    /// # Safety
    /// It was returned by [`SignalMask::hold_back`].
    pub(crate) unsafe fn put_back(&self) {
        if cfg!(loom) {
            return;
        }
        // SAFETY: the mask was written.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, self.0.as_ptr(), ptr::null_mut()) };
    }
}

/// The signals that a write may raise.
const SIGNALS: [c_int; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

/// For as long as this exists, those signals are held back from the thread.
pub(super) struct HeldBack {
    /// The thread's signal mask.
    before: MaybeUninit<libc::sigset_t>,
    /// Which of [`SIGNALS`] the thread or the process is to get anyway.
    pending: [bool; 2],
}

impl HeldBack {
    pub(super) fn begin() -> HeldBack {
        let mut before = MaybeUninit::uninit();
        let mut set = MaybeUninit::uninit();
        // SAFETY: the sets are writable and are initialised first; no function fails for signals
        // that there are.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in SIGNALS {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            libc::sigemptyset(before.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr());
        }
        HeldBack { before, pending: pending() }
    }

    /// Takes back the signals that a write raised which failed.
    pub(super) fn take_back(&self) {
        let now = pending();
        for (index, signal) in SIGNALS.into_iter().enumerate() {
            if now[index] && !self.pending[index] {
                let mut set = MaybeUninit::uninit();
                let mut taken = 0;
                // SAFETY: as above. The signal is pending and blocked, so that there is no wait.
                unsafe {
                    libc::sigemptyset(set.as_mut_ptr());
                    libc::sigaddset(set.as_mut_ptr(), signal);
                    libc::sigwait(set.as_ptr(), &mut taken);
                }
            }
        }
    }
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        // SAFETY: the mask is the one that was found.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, self.before.as_ptr(), ptr::null_mut());
        }
    }
}

/// Which of [`SIGNALS`] wait for the thread to let them through.
fn pending() -> [bool; 2] {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the set is writable, and is initialised first.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigpending(set.as_mut_ptr());
        SIGNALS.map(|signal| libc::sigismember(set.as_ptr(), signal) == 1)
    }
}
