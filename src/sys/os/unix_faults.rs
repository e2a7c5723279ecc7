// SPDX-License-Identifier: MIT
//! Protected pages, and the signals of accesses to them.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// What may be done with a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing.
    None,
    /// Everything but to execute it.
    ReadWrite,
}

/// Changes what may be done with a range, and returns whether it could.
///
/// # Safety
/// `start` and `bytes` are whole pages of the system's in a reservation.
#[inline(never)]
pub(crate) unsafe fn protect(start: *mut u8, bytes: usize, access: Access) -> bool {
    let protection = match access {
        Access::None => libc::PROT_NONE,
        Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
    };
    // SAFETY: the caller's promise.
    unsafe { libc::mprotect(start.cast(), bytes, protection) == 0 }
}

/// An access that the system refused.
pub(crate) struct Fault {
    /// The address.
    pub(crate) address: usize,
    /// The name of the signal.
    pub(crate) name: &'static str,
}

const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// What is called with each fault.
static TELL: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// What was installed before, by the order of [`SIGNALS`]. Written before the handler is installed.
struct Before(UnsafeCell<[mem::MaybeUninit<libc::sigaction>; 2]>);

// SAFETY: written by the one thread that installs the handler, before that.
unsafe impl Sync for Before {}

static BEFORE: Before = Before(UnsafeCell::new([const { mem::MaybeUninit::zeroed() }; 2]));

/// Calls `tell` with each fault of the process from now on, before whatever handles it otherwise.
pub(crate) fn watch_faults(tell: fn(&Fault)) {
    TELL.store(tell as *mut c_void, Ordering::Release);
    for (index, signal) in SIGNALS.into_iter().enumerate() {
        // SAFETY: the structs are zeroed and filled in as the C library wants them; what was there
        // before is noted before it can be asked for.
        unsafe {
            let before = (&raw mut (*BEFORE.0.get())[index]).cast::<libc::sigaction>();
            libc::sigaction(signal, ptr::null(), before);
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = on_fault as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(signal, &action, ptr::null_mut());
        }
    }
}

/// Installs again what was there before [`watch_faults`], unless something else was installed
/// since.
pub(crate) fn unwatch_faults() {
    for (index, signal) in SIGNALS.into_iter().enumerate() {
        // SAFETY: as above; what was there before is still in the process, or was replaced by who
        // took it away.
        unsafe {
            let mut now: libc::sigaction = mem::zeroed();
            libc::sigaction(signal, ptr::null(), &mut now);
            if now.sa_sigaction == on_fault as *const () as usize {
                libc::sigaction(signal, before(index), ptr::null_mut());
            }
        }
    }
}

fn before(index: usize) -> *const libc::sigaction {
    // SAFETY: the address alone is taken.
    unsafe { (&raw const (*BEFORE.0.get())[index]).cast() }
}

extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system passes what it says of the signal. Zeroes are a valid action, the default
    // one.
    unsafe {
        let index = usize::from(signal == SIGNALS[1]);
        let tell = TELL.load(Ordering::Acquire);
        // A positive code says that an instruction of this thread faulted, not that someone sent
        // the signal.
        let faulted = (*info).si_code > 0;
        if faulted && !tell.is_null() {
            let tell: fn(&Fault) = mem::transmute(tell);
            let name = if index == 0 { "SIGSEGV" } else { "SIGBUS" };
            tell(&Fault { address: (*info).si_addr().addr(), name });
        }
        let before = before(index);
        match (*before).sa_sigaction {
            libc::SIG_IGN if !faulted => {}
            libc::SIG_DFL | libc::SIG_IGN => {
                libc::sigaction(signal, before, ptr::null_mut());
                if !faulted {
                    libc::raise(signal);
                }
                // Else the instruction faults again.
            }
            handler if (*before).sa_flags & libc::SA_SIGINFO != 0 => {
                let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                    mem::transmute(handler);
                handler(signal, info, context);
            }
            handler => {
                let handler: extern "C" fn(c_int) = mem::transmute(handler);
                handler(signal);
            }
        }
    }
}
