//! What `meson/libc.rs` says of the C library is what the libc crate says.
#![cfg(target_os = "linux")]

#[path = "../meson/libc.rs"]
#[expect(
    dead_code,
    unused_attributes,
    reason = "a crate root, whose functions are compared by name"
)]
mod part;

#[test]
fn constants_are_those_of_the_crate() {
    macro_rules! same {
        ($($name:ident)*) => { $(assert_eq!(part::$name, libc::$name, stringify!($name));)* };
    }
    same! {
        CLOCK_MONOTONIC_COARSE MADV_DONTNEED MADV_NOHUGEPAGE MAP_ANONYMOUS MAP_FAILED MAP_PRIVATE PROT_READ
        PROT_WRITE STDERR_FILENO _SC_PAGESIZE AT_SECURE EINTR O_RDONLY O_WRONLY O_CREAT O_TRUNC O_CLOEXEC
    }
}

#[test]
fn types_have_the_size_of_the_crates_or_more() {
    macro_rules! same {
        ($($name:ident)*) => {
            $(assert_eq!(size_of::<part::$name>(), size_of::<libc::$name>(), stringify!($name));)*
        };
    }
    same!(clockid_t off_t pthread_t size_t ssize_t timespec c_long c_uint);
    assert!(size_of::<part::pthread_mutex_t>() >= size_of::<libc::pthread_mutex_t>());
    assert!(align_of::<part::pthread_mutex_t>() >= align_of::<libc::pthread_mutex_t>());
}

#[test]
fn a_mutex_needs_no_initialisation_but_zeroes() {
    let mutex = libc::PTHREAD_MUTEX_INITIALIZER;
    // SAFETY: a mutex is plain bytes on Linux.
    let bytes: [u8; size_of::<libc::pthread_mutex_t>()] = unsafe { core::mem::transmute(mutex) };
    assert!(bytes.iter().all(|byte| *byte == 0));
}

/// The compiler checks that a function of the part can be called with what the crate's takes.
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
        getauxval(c_ulong) -> c_ulong;
        getenv(*const c_char) -> *mut c_char;
        madvise(*mut c_void, usize, c_int) -> c_int;
        mmap(*mut c_void, usize, c_int, c_int, c_int, c_long) -> *mut c_void;
        munmap(*mut c_void, usize) -> c_int;
        pthread_atfork(Hook, Hook, Hook) -> c_int;
        pthread_self() -> c_ulong;
        read(c_int, *mut c_void, usize) -> isize;
        sysconf(c_int) -> c_long;
        write(c_int, *const c_void, usize) -> isize;
    }
    #[cfg(target_env = "gnu")]
    same! {
        backtrace(*mut *mut c_void, c_int) -> c_int;
    }
}
