//! The part of the libc crate that the core uses on Linux.

#[cfg(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc64"))]
compile_error!("the constants are other ones on this architecture: build with the libc crate");
#[cfg(target_arch = "s390x")]
compile_error!("struct sigaction is another one on this architecture: build with the libc crate");
#[cfg(all(target_env = "musl", target_pointer_width = "32"))]
compile_error!("the types are other ones with this C library: build with the libc crate");

pub use core::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};

pub type clockid_t = c_int;
pub type off_t = c_long;
pub type pthread_t = c_ulong;
pub type size_t = usize;
pub type ssize_t = isize;

/// As large as on any architecture.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pthread_mutex_t([u64; 6]);

#[repr(C)]
pub struct pthread_mutexattr_t([u8; 0]);

#[repr(C)]
pub struct timespec {
    pub tv_sec: c_long,
    pub tv_nsec: c_long,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct sigset_t([c_ulong; 1024 / c_ulong::BITS as usize]);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct sigaction {
    pub sa_sigaction: size_t,
    pub sa_mask: sigset_t,
    pub sa_flags: c_int,
    pub sa_restorer: Option<extern "C" fn()>,
}

/// Larger on every architecture; it is only ever the system's.
#[repr(C)]
pub struct siginfo_t {
    pub si_signo: c_int,
    pub si_errno: c_int,
    pub si_code: c_int,
    address: *mut c_void,
}

impl siginfo_t {
    /// # Safety
    /// The signal is one of a fault.
    pub unsafe fn si_addr(&self) -> *mut c_void {
        self.address
    }
}

pub const PTHREAD_MUTEX_INITIALIZER: pthread_mutex_t = pthread_mutex_t([0; 6]);

pub const CLOCK_MONOTONIC: clockid_t = 1;
pub const CLOCK_MONOTONIC_COARSE: clockid_t = 6;
pub const FUTEX_PRIVATE_FLAG: c_int = 128;
pub const FUTEX_WAIT: c_int = 0;
pub const FUTEX_WAKE: c_int = 1;
#[cfg(target_arch = "x86_64")]
pub const SYS_futex: c_long = 202;
#[cfg(target_arch = "x86")]
pub const SYS_futex: c_long = 240;
#[cfg(target_arch = "aarch64")]
pub const SYS_futex: c_long = 98;
pub const MADV_DONTNEED: c_int = 4;
pub const MADV_NOHUGEPAGE: c_int = 15;
pub const MAP_ANON: c_int = 0x20;
pub const MAP_FAILED: *mut c_void = !0usize as *mut c_void;
pub const MAP_PRIVATE: c_int = 2;
pub const PROT_NONE: c_int = 0;
pub const PROT_READ: c_int = 1;
pub const PROT_WRITE: c_int = 2;
#[cfg(any(
    target_arch = "arm",
    target_arch = "aarch64",
    target_arch = "powerpc",
    target_arch = "powerpc64"
))]
pub const O_NOFOLLOW: c_int = 0o100_000;
#[cfg(not(any(
    target_arch = "arm",
    target_arch = "aarch64",
    target_arch = "powerpc",
    target_arch = "powerpc64"
)))]
pub const O_NOFOLLOW: c_int = 0o400_000;
pub const RTLD_NODELETE: c_int = 0x1000;
pub const RTLD_NOLOAD: c_int = 4;
pub const RTLD_NOW: c_int = 2;
pub const SA_NODEFER: c_int = 0x4000_0000;
pub const SA_ONSTACK: c_int = 0x0800_0000;
pub const SA_RESETHAND: c_int = 0x8000_0000u32 as c_int;
pub const SA_RESTART: c_int = 0x1000_0000;
pub const SA_SIGINFO: c_int = 4;
pub const SIGABRT: c_int = 6;
pub const SIGBUS: c_int = 7;
pub const SIGFPE: c_int = 8;
pub const SIGILL: c_int = 4;
pub const SIGPIPE: c_int = 13;
pub const SIGSEGV: c_int = 11;
pub const SIGSYS: c_int = 31;
pub const SIGTRAP: c_int = 5;
pub const SIGXFSZ: c_int = 25;
pub const SIG_BLOCK: c_int = 0;
pub const SIG_SETMASK: c_int = 2;
pub const SIG_DFL: size_t = 0;
pub const SIG_IGN: size_t = 1;
pub const STDERR_FILENO: c_int = 2;
pub const _SC_PAGESIZE: c_int = 30;
pub const AT_PHDR: c_ulong = 3;
pub const AT_PHENT: c_ulong = 4;
pub const AT_PHNUM: c_ulong = 5;
pub const AT_BASE: c_ulong = 7;
pub const AT_SECURE: c_ulong = 23;
pub const AT_RANDOM: c_ulong = 25;
pub const EINTR: c_int = 4;
pub const O_RDONLY: c_int = 0;
pub const O_WRONLY: c_int = 1;
pub const O_CREAT: c_int = 0o100;
pub const O_TRUNC: c_int = 0o1000;
pub const O_NOCTTY: c_int = 0o400;
pub const O_NONBLOCK: c_int = 0o4000;
pub const O_CLOEXEC: c_int = 0o2000000;

unsafe extern "C" {
    pub fn __errno_location() -> *mut c_int;
    pub fn abort() -> !;
    #[cfg(target_env = "gnu")]
    pub fn backtrace(frames: *mut *mut c_void, most: c_int) -> c_int;
    pub fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int;
    pub fn close(fd: c_int) -> c_int;
    pub fn getcwd(path: *mut c_char, bytes: size_t) -> *mut c_char;
    pub fn getpid() -> c_int;
    pub fn getauxval(kind: c_ulong) -> c_ulong;
    pub fn getenv(name: *const c_char) -> *mut c_char;
    pub fn madvise(start: *mut c_void, bytes: size_t, advice: c_int) -> c_int;
    pub fn mmap(
        start: *mut c_void,
        bytes: size_t,
        protection: c_int,
        flags: c_int,
        fd: c_int,
        offset: off_t,
    ) -> *mut c_void;
    pub fn mprotect(start: *mut c_void, bytes: size_t, protection: c_int) -> c_int;
    pub fn munmap(start: *mut c_void, bytes: size_t) -> c_int;
    pub fn nanosleep(time: *const timespec, rest: *mut timespec) -> c_int;
    pub fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    pub fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> c_int;
    pub fn pthread_mutex_destroy(mutex: *mut pthread_mutex_t) -> c_int;
    pub fn pthread_mutex_init(
        mutex: *mut pthread_mutex_t,
        attributes: *const pthread_mutexattr_t,
    ) -> c_int;
    pub fn pthread_mutex_lock(mutex: *mut pthread_mutex_t) -> c_int;
    pub fn pthread_mutex_trylock(mutex: *mut pthread_mutex_t) -> c_int;
    pub fn pthread_mutex_unlock(mutex: *mut pthread_mutex_t) -> c_int;
    pub fn pthread_self() -> pthread_t;
    pub fn pthread_sigmask(how: c_int, set: *const sigset_t, before: *mut sigset_t) -> c_int;
    pub fn pread(fd: c_int, bytes: *mut c_void, count: size_t, offset: off_t) -> ssize_t;
    pub fn read(fd: c_int, bytes: *mut c_void, count: size_t) -> ssize_t;
    pub fn raise(signal: c_int) -> c_int;
    pub fn sigaction(signal: c_int, action: *const sigaction, before: *mut sigaction) -> c_int;
    pub fn sigaddset(set: *mut sigset_t, signal: c_int) -> c_int;
    pub fn sigdelset(set: *mut sigset_t, signal: c_int) -> c_int;
    pub fn sigemptyset(set: *mut sigset_t) -> c_int;
    pub fn syscall(number: c_long, ...) -> c_long;
    pub fn sigfillset(set: *mut sigset_t) -> c_int;
    pub fn sigismember(set: *const sigset_t, signal: c_int) -> c_int;
    pub fn sigpending(set: *mut sigset_t) -> c_int;
    pub fn sigwait(set: *const sigset_t, signal: *mut c_int) -> c_int;
    pub fn sysconf(name: c_int) -> c_long;
    pub fn write(fd: c_int, bytes: *const c_void, count: size_t) -> ssize_t;
}
