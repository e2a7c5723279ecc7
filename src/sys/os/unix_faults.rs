// SPDX-License-Identifier: MIT
//! Protected pages, and the signals of accesses to them.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::on_own_stack;

use super::Errno;

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
    let _errno = Errno::keep();
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
const NAMES: [&str; 2] = ["SIGSEGV", "SIGBUS"];

/// What the library's handler takes over from the one that was there before it, so that the system
/// calls it as it would have called that one: on the same stack, with the same signals blocked
/// (with them its mask). That it is called once only is seen to by [`BEFORE`].
const TAKEN_OVER: c_int = libc::SA_ONSTACK | libc::SA_NODEFER | libc::SA_RESTART;

/// What is called with each fault.
static TELL: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// What was installed before, by the order of [`SIGNALS`].
struct Before {
    /// Written before the handler is installed.
    action: UnsafeCell<mem::MaybeUninit<libc::sigaction>>,
    /// It was to be called once (SA_RESETHAND), and was: now it is the default.
    is_spent: AtomicBool,
}

// SAFETY: written by the one thread that installs the handler, before that.
unsafe impl Sync for Before {}

static BEFORE: [Before; 2] = [const {
    Before { action: UnsafeCell::new(mem::MaybeUninit::zeroed()), is_spent: AtomicBool::new(false) }
}; 2];

impl Before {
    fn action(&self) -> &libc::sigaction {
        // SAFETY: zeroes are a valid action, the default one; and it is written before the handler
        // is installed.
        unsafe { (*self.action.get()).assume_init_ref() }
    }

    /// Whether it is a function, for now.
    fn is_handler(&self) -> bool {
        // Relaxed: two threads that fault at once come in some order.
        !matches!(self.action().sa_sigaction, libc::SIG_DFL | libc::SIG_IGN)
            && !self.is_spent.load(Ordering::Relaxed)
    }

    /// Installs it, in place of the library's.
    fn install(&self, signal: c_int) {
        // SAFETY: zeroes are the default action; the handler is still in the process, or was
        // replaced by who took it away.
        unsafe {
            let default = mem::zeroed();
            let is_spent = self.is_spent.load(Ordering::Relaxed);
            let action = if is_spent { &default } else { self.action() };
            libc::sigaction(signal, action, ptr::null_mut());
        }
    }
}

/// Calls `tell` with each fault of the process from now on, before whatever handles it otherwise.
/// The library stays loaded: handlers that are installed later may call its own.
pub(crate) fn watch_faults(tell: fn(&Fault)) {
    let _errno = Errno::keep();
    super::stay_loaded();
    TELL.store(tell as *mut c_void, Ordering::Release);
    for (signal, before) in SIGNALS.into_iter().zip(&BEFORE) {
        // SAFETY: the structs are zeroed and filled in as the C library wants them; what was there
        // before is noted before it can be asked for.
        unsafe {
            libc::sigaction(signal, ptr::null(), before.action.get().cast());
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = on_fault as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&mut action.sa_mask);
            if before.is_handler() {
                action.sa_mask = before.action().sa_mask;
                action.sa_flags = libc::SA_SIGINFO | before.action().sa_flags & TAKEN_OVER;
            }
            libc::sigaction(signal, &action, ptr::null_mut());
        }
    }
}

/// Installs again what was there before [`watch_faults`], unless something else was installed
/// since. That may call the library's handler, which passes faults on from now on and says nothing.
pub(crate) fn unwatch_faults() {
    let _errno = Errno::keep();
    TELL.store(ptr::null_mut(), Ordering::Release);
    for (signal, before) in SIGNALS.into_iter().zip(&BEFORE) {
        // SAFETY: the struct is zeroed and filled in by the C library.
        let now = unsafe {
            let mut now: libc::sigaction = mem::zeroed();
            libc::sigaction(signal, ptr::null(), &mut now);
            now.sa_sigaction
        };
        if now == on_fault as *const () as usize {
            before.install(signal);
        }
    }
}

extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let index = usize::from(signal == SIGNALS[1]);
    let before = &BEFORE[index];
    // SAFETY: the system passes what it says of the signal. A positive code says that an
    // instruction of this thread faulted, not that someone sent the signal.
    let faulted = unsafe { (*info).si_code > 0 };
    if faulted {
        // SAFETY: as above; a fault has an address.
        let address = unsafe { (*info).si_addr().addr() };
        on_own_stack(tell, &Fault { address, name: NAMES[index] });
    }
    let action = before.action();
    if before.is_handler() {
        let once = action.sa_flags & libc::SA_RESETHAND != 0;
        // Relaxed: as in `is_handler`.
        if once && before.is_spent.swap(true, Ordering::Relaxed) {
            return before.install(signal);
        }
        // SAFETY: the handler is one of this kind, and is called as the system would.
        unsafe {
            if action.sa_flags & libc::SA_SIGINFO != 0 {
                let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                    mem::transmute(action.sa_sigaction);
                handler(signal, info, context);
            } else {
                let handler: extern "C" fn(c_int) = mem::transmute(action.sa_sigaction);
                handler(signal);
            }
        }
    } else if faulted || action.sa_sigaction != libc::SIG_IGN {
        // The instruction faults again, and finds the default.
        before.install(signal);
        if !faulted {
            // SAFETY: always callable.
            unsafe { libc::raise(signal) };
        }
    }
}

/// What is done with a fault on the library's stack.
extern "C" fn tell(fault: &Fault) {
    let tell = TELL.load(Ordering::Acquire);
    if !tell.is_null() {
        // SAFETY: `watch_faults` has stored it.
        let tell: fn(&Fault) = unsafe { mem::transmute(tell) };
        tell(fault);
    }
}
