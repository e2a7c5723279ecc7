// SPDX-License-Identifier: MIT
//! What has the object that carries the library stay loaded until the process ends.
//!
//! A handler that the library gives to the process may be kept by others: who installs one of the
//! same signal later, and calls the one that it found. That cannot be undone when the library is
//! unloaded, and at that time it is too late to stay.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod family {
    use core::ffi::{c_char, c_int, c_void};
    use core::mem::MaybeUninit;

    // Weak, so that nothing more has to be linked: words that are 0 in a program without a dynamic
    // linker, which unloads nothing.
    macro_rules! table {
        ($word:literal, $align:literal) => {
            core::arch::global_asm!(
                ".weak dladdr",
                ".weak dlopen",
                ".pushsection .data.rel.ro.mesa_slab_linker, \"aw\"",
                concat!(".balign ", $align),
                ".globl mesa_slab_linker",
                ".hidden mesa_slab_linker",
                "mesa_slab_linker:",
                concat!($word, " dladdr"),
                concat!($word, " dlopen"),
                ".popsection",
            );
        };
    }

    #[cfg(target_pointer_width = "64")]
    table!(".quad", "8");
    #[cfg(target_pointer_width = "32")]
    table!(".long", "4");

    /// What `dladdr` says of an address.
    #[repr(C)]
    struct Found {
        path: *const c_char,
        _base: *mut c_void,
        _symbol: [*const c_void; 2],
    }

    #[repr(C)]
    struct Linker {
        dladdr: Option<unsafe extern "C" fn(address: *const c_void, found: *mut Found) -> c_int>,
        dlopen: Option<unsafe extern "C" fn(path: *const c_char, flags: c_int) -> *mut c_void>,
    }

    unsafe extern "C" {
        static mesa_slab_linker: Linker;
    }

    pub(crate) fn stay_loaded() {
        // SAFETY: the words are written by the linker or the loader, before any code runs.
        let (Some(dladdr), Some(dlopen)) =
            (unsafe { (mesa_slab_linker.dladdr, mesa_slab_linker.dlopen) })
        else {
            return;
        };
        let mut found = MaybeUninit::<Found>::uninit();
        // SAFETY: the address is one of the library's code. The path is a string, and the object
        // of that name is loaded, or nothing happens.
        unsafe {
            if dladdr(stay_loaded as *const c_void, found.as_mut_ptr()) != 0 {
                let flags = libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
                dlopen(found.assume_init().path, flags);
            }
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod family {
    /// There the program sees to it.
    pub(crate) fn stay_loaded() {}
}

pub(crate) use family::stay_loaded;
