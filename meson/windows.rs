//! The part of the libc crate that the core uses on Windows: functions of the C runtime.

pub use core::ffi::{c_char, c_int, c_uint, c_void};

pub const O_RDONLY: c_int = 0;
pub const O_WRONLY: c_int = 1;
pub const O_CREAT: c_int = 0x100;
pub const O_TRUNC: c_int = 0x200;
pub const O_NOINHERIT: c_int = 0x80;
pub const S_IREAD: c_int = 0o400;
pub const S_IWRITE: c_int = 0o200;

unsafe extern "C" {
    pub fn abort() -> !;
    pub fn atexit(hook: extern "C" fn()) -> c_int;
    #[link_name = "_close"]
    pub fn close(fd: c_int) -> c_int;
    pub fn getenv(name: *const c_char) -> *mut c_char;
    #[link_name = "_open"]
    pub fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    #[link_name = "_read"]
    pub fn read(fd: c_int, bytes: *mut c_void, count: c_uint) -> c_int;
    #[link_name = "_write"]
    pub fn write(fd: c_int, bytes: *const c_void, count: c_uint) -> c_int;
}
