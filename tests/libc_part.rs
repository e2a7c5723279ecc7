// SPDX-License-Identifier: MIT
//! What `meson/libc.rs` says of the C library is what the libc crate says.
#![cfg(any(target_os = "linux", windows))]

#[cfg(target_os = "linux")]
use core::mem::offset_of;

#[path = "../meson/libc.rs"]
#[expect(
    dead_code,
    unused_attributes,
    reason = "a crate root, whose functions are compared by name"
)]
mod part;

#[cfg(target_os = "linux")]
#[test]
fn constants_are_those_of_the_crate() {
    macro_rules! same {
        ($($name:ident)*) => { $(assert_eq!(part::$name, libc::$name, stringify!($name));)* };
    }
    same! {
        CLOCK_MONOTONIC CLOCK_MONOTONIC_COARSE FUTEX_PRIVATE_FLAG FUTEX_WAIT FUTEX_WAKE SYS_futex MADV_DONTNEED MADV_NOHUGEPAGE MAP_ANON MAP_FAILED MAP_PRIVATE
        PROT_NONE PROT_READ PROT_WRITE STDERR_FILENO _SC_PAGESIZE AT_RANDOM AT_SECURE EINTR O_RDONLY O_WRONLY O_CREAT
        O_TRUNC O_NOCTTY O_NONBLOCK O_CLOEXEC O_NOFOLLOW SA_NODEFER SA_ONSTACK SA_RESETHAND SA_RESTART SA_SIGINFO SIGBUS SIGPIPE SIGSEGV
        SIGXFSZ SIG_BLOCK SIG_DFL SIG_IGN SIG_SETMASK RTLD_NODELETE
        RTLD_NOLOAD RTLD_NOW AT_PHDR AT_PHENT AT_PHNUM
    }
}

#[cfg(target_os = "linux")]
#[test]
fn types_have_the_size_of_the_crates_or_more() {
    macro_rules! same {
        ($($name:ident)*) => {
            $(assert_eq!(size_of::<part::$name>(), size_of::<libc::$name>(), stringify!($name));)*
        };
    }
    same!(clockid_t off_t pthread_t size_t ssize_t timespec c_long c_uint sigset_t sigaction);
    assert!(size_of::<part::pthread_mutex_t>() >= size_of::<libc::pthread_mutex_t>());
    assert!(align_of::<part::pthread_mutex_t>() >= align_of::<libc::pthread_mutex_t>());
}

#[cfg(target_os = "linux")]
#[test]
fn an_action_and_what_is_said_of_a_signal_have_their_fields_where_the_crates_have() {
    macro_rules! same {
        ($($name:ident . $field:ident)*) => {
            $(assert_eq!(
                offset_of!(part::$name, $field), offset_of!(libc::$name, $field), stringify!($field)
            );)*
        };
    }
    same!(sigaction.sa_sigaction sigaction.sa_mask sigaction.sa_flags sigaction.sa_restorer siginfo_t.si_code);
    // SAFETY: all of it are numbers and an address.
    let mut info: libc::siginfo_t = unsafe { core::mem::zeroed() };
    let words = (&raw mut info).cast::<usize>();
    // SAFETY: the address is the first word behind three numbers, in a struct that is larger.
    unsafe {
        let part = &*words.cast::<part::siginfo_t>();
        words.add(12usize.div_ceil(size_of::<usize>())).write(0x1230);
        assert_eq!((part.si_addr().addr(), info.si_addr().addr()), (0x1230, 0x1230));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_mutex_needs_no_initialisation_but_zeroes() {
    let mutex = libc::PTHREAD_MUTEX_INITIALIZER;
    // SAFETY: a mutex is plain bytes on Linux.
    let bytes: [u8; size_of::<libc::pthread_mutex_t>()] = unsafe { core::mem::transmute(mutex) };
    assert!(bytes.iter().all(|byte| *byte == 0));
}

/// The compiler checks that a function of the part can be called with what the crate's takes.
#[cfg(target_os = "linux")]
#[test]
fn functions_take_what_those_of_the_crate_take() {
    macro_rules! same {
        ($($name:ident($($kind:ty),*) -> $result:ty;)*) => {
            $(
                let of_part: unsafe extern "C" fn($($kind),*) -> $result = part::$name;
                let of_crate: unsafe extern "C" fn($($kind),*) -> $result = libc::$name;
                assert_eq!(of_part as usize, of_crate as usize, stringify!($name));
            )*
        };
    }
    use core::ffi::{c_char, c_int, c_long, c_ulong, c_void};
    type Hook = Option<unsafe extern "C" fn()>;
    same! {
        __errno_location() -> *mut c_int;
        abort() -> !;
        close(c_int) -> c_int;
        getpid() -> c_int;
        getauxval(c_ulong) -> c_ulong;
        getenv(*const c_char) -> *mut c_char;
        madvise(*mut c_void, usize, c_int) -> c_int;
        mmap(*mut c_void, usize, c_int, c_int, c_int, c_long) -> *mut c_void;
        mprotect(*mut c_void, usize, c_int) -> c_int;
        munmap(*mut c_void, usize) -> c_int;
        pthread_atfork(Hook, Hook, Hook) -> c_int;
        read(c_int, *mut c_void, usize) -> isize;
        raise(c_int) -> c_int;
        sysconf(c_int) -> c_long;
        write(c_int, *const c_void, usize) -> isize;
    }
    // A pointer in musl, which is passed in the same way.
    #[cfg(not(target_env = "musl"))]
    same! {
        pthread_self() -> c_ulong;
    }
    #[cfg(target_env = "gnu")]
    same! {
        backtrace(*mut *mut c_void, c_int) -> c_int;
    }
}

#[cfg(windows)]
#[test]
fn constants_of_the_c_runtime_are_those_of_the_crate() {
    macro_rules! same {
        ($($name:ident)*) => { $(assert_eq!(part::$name, libc::$name, stringify!($name));)* };
    }
    same!(O_RDONLY O_WRONLY O_CREAT O_TRUNC O_NOINHERIT S_IREAD S_IWRITE);
}

#[cfg(windows)]
#[test]
fn functions_of_the_c_runtime_take_what_those_of_the_crate_take() {
    use core::ffi::{c_char, c_int, c_uint, c_void};
    macro_rules! same {
        ($($name:ident($($kind:ty),*) -> $result:ty;)*) => {
            $(
                let of_part: unsafe extern "C" fn($($kind),*) -> $result = part::$name;
                let of_crate: unsafe extern "C" fn($($kind),*) -> $result = libc::$name;
                assert_eq!(of_part as usize, of_crate as usize, stringify!($name));
            )*
        };
    }
    same! {
        abort() -> !;
        atexit(extern "C" fn()) -> c_int;
        close(c_int) -> c_int;
        getenv(*const c_char) -> *mut c_char;
        read(c_int, *mut c_void, c_uint) -> c_int;
        write(c_int, *const c_void, c_uint) -> c_int;
    }
    let of_part: unsafe extern "C" fn(*const c_char, c_int, ...) -> c_int = part::open;
    let of_crate: unsafe extern "C" fn(*const c_char, c_int, ...) -> c_int = libc::open;
    assert_eq!(of_part as usize, of_crate as usize);
}
