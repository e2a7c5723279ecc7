//! The system as the library meets it: `capi-tests/os_requests.c`, which the C tests use as well.

use std::ffi::{c_int, c_uint};

/// Functions of the system that can be made to fail, numbered as in `os_requests.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Function {
    Mmap,
    Munmap,
    Madvise,
    ClockGettime,
}

unsafe extern "C" {
    safe fn os_fail_call(function: Function, number: c_uint, sticky: bool);
    safe fn os_fail_nothing();
    safe fn os_calls_failed(function: Function) -> c_uint;
    safe fn os_bytes_held() -> usize;
    safe fn os_pass_time(seconds: c_uint);
}

impl Function {
    /// Lets the `number`th call from now on fail, and those after it as well.
    pub fn fail(self, number: u32, and_later_ones: bool) {
        os_fail_call(self, number, and_later_ones);
    }

    /// How many calls have failed in this process.
    pub fn failed(self) -> u32 {
        os_calls_failed(self)
    }
}

/// Lets every call succeed again.
pub fn recover() {
    os_fail_nothing();
}

/// Address space that was mapped and not unmapped.
pub fn bytes_held() -> usize {
    os_bytes_held()
}

/// Puts the library's clock forward.
pub fn pass_time(seconds: u32) {
    os_pass_time(seconds);
}

/// What `body` did in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Good,
    /// The status that waitpid() gave.
    Bad(c_int),
}

/// A forked process is ended after so many seconds of computing, ...
const MOST_COMPUTING: libc::rlim_t = 30;
/// ... or so many in all: what hangs has failed. Either is far more than any takes.
const MOST_WAITING: c_uint = 600;

/// Runs `body` in a forked process, which must be one of a single thread, and waits for it.
pub fn in_a_forked_process(body: impl FnOnce() + std::panic::UnwindSafe) -> End {
    // SAFETY: there is no other thread whose locks the new process could need.
    unsafe {
        let pid = libc::fork();
        assert!(pid >= 0, "fork");
        if pid == 0 {
            let limit = libc::rlimit { rlim_cur: MOST_COMPUTING, rlim_max: MOST_COMPUTING };
            libc::setrlimit(libc::RLIMIT_CPU, &limit);
            libc::alarm(MOST_WAITING);
            let good = std::panic::catch_unwind(body).is_ok();
            libc::_exit(if good { 0 } else { 1 });
        }
        let mut status = 0;
        while libc::waitpid(pid, &mut status, 0) != pid {}
        if status == 0 { End::Good } else { End::Bad(status) }
    }
}
