//! The functions of tcmalloc, which is a library of the system.
//!
//! It is loaded apart from everything else: linked, it would take the place of the C library's
//! malloc.

use super::shared;
use anyhow::{Context, Result};
use std::ffi::c_void;
use std::path::Path;
use std::sync::OnceLock;

struct Functions {
    malloc: unsafe extern "C" fn(usize) -> *mut c_void,
    calloc: unsafe extern "C" fn(usize, usize) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
}

static FUNCTIONS: OnceLock<Functions> = OnceLock::new();

/// To be called before the others.
pub fn load() -> Result<()> {
    let library = shared::open(Path::new("libtcmalloc_minimal.so.4"))
        .context("install the Debian package libtcmalloc-minimal4 (scripts/setup bench does)")?;
    // SAFETY: the symbols have the types that gperftools/tcmalloc.h gives them.
    let functions = unsafe {
        Functions {
            malloc: *library.get(b"tc_malloc\0")?,
            calloc: *library.get(b"tc_calloc\0")?,
            free: *library.get(b"tc_free\0")?,
        }
    };
    FUNCTIONS.get_or_init(|| functions);
    Ok(())
}

#[inline(always)]
fn functions() -> &'static Functions {
    // SAFETY: `load` has been called before any pool is made; a call through the table is then what
    // one through the linker's would be.
    unsafe { FUNCTIONS.get().unwrap_unchecked() }
}

/// # Safety
/// As in C.
pub unsafe fn malloc(size: usize) -> *mut c_void {
    // SAFETY: the caller's.
    unsafe { (functions().malloc)(size) }
}

/// # Safety
/// As in C.
pub unsafe fn calloc(count: usize, size: usize) -> *mut c_void {
    // SAFETY: the caller's.
    unsafe { (functions().calloc)(count, size) }
}

/// # Safety
/// As in C: the object came from here.
pub unsafe fn free(object: *mut c_void) {
    // SAFETY: the caller's.
    unsafe { (functions().free)(object) }
}
