// SPDX-License-Identifier: MIT
//! Functions of the sanitizers' runtimes, if these are in the process.
//!
//! A table of words with weak references in them, which the linker or the loader fills in: 0 where
//! a program has no such runtime. So there is no option to build with, and nothing more that the
//! library needs. On systems without ELF it is as if there were none.

use core::ffi::{c_char, c_void};

type Range = Option<unsafe extern "C" fn(start: *const c_void, bytes: usize)>;
type Callback = unsafe extern "C" fn(report: *const c_char);

/// The table.
#[repr(C)]
pub(crate) struct Weak {
    /// Accesses to the range are reported.
    pub(crate) asan_poison: Range,
    /// They are not any more.
    pub(crate) asan_unpoison: Range,
    /// The function is called with each report.
    pub(crate) asan_set_callback: Option<unsafe extern "C" fn(callback: Option<Callback>)>,
    /// The address that the report is about.
    pub(crate) asan_report_address: Option<unsafe extern "C" fn() -> *mut c_void>,
    /// Pointers are looked for in the range.
    pub(crate) lsan_register: Range,
    /// They are not any more.
    pub(crate) lsan_unregister: Range,
    /// The range is uninitialised.
    pub(crate) msan_poison: Range,
    /// The range is initialised.
    pub(crate) msan_unpoison: Range,
}

#[cfg(all(unix, not(target_vendor = "apple")))]
mod table {
    use super::Weak;

    macro_rules! table {
        ($word:literal, $align:literal) => {
            core::arch::global_asm!(
                ".weak __asan_poison_memory_region",
                ".weak __asan_unpoison_memory_region",
                ".weak __asan_set_error_report_callback",
                ".weak __asan_get_report_address",
                ".weak __lsan_register_root_region",
                ".weak __lsan_unregister_root_region",
                ".weak __msan_poison",
                ".weak __msan_unpoison",
                ".pushsection .data.rel.ro.mesa_slab_weak, \"aw\"",
                concat!(".balign ", $align),
                ".weak mesa_slab_weak",
                ".hidden mesa_slab_weak",
                "mesa_slab_weak:",
                concat!($word, " __asan_poison_memory_region"),
                concat!($word, " __asan_unpoison_memory_region"),
                concat!($word, " __asan_set_error_report_callback"),
                concat!($word, " __asan_get_report_address"),
                concat!($word, " __lsan_register_root_region"),
                concat!($word, " __lsan_unregister_root_region"),
                concat!($word, " __msan_poison"),
                concat!($word, " __msan_unpoison"),
                ".popsection",
            );
        };
    }

    #[cfg(target_pointer_width = "64")]
    table!(".quad", "8");
    #[cfg(target_pointer_width = "32")]
    table!(".long", "4");

    unsafe extern "C" {
        static mesa_slab_weak: Weak;
    }

    pub(crate) fn weak() -> &'static Weak {
        // SAFETY: the words are written by the linker or the loader, before any code runs.
        unsafe { &mesa_slab_weak }
    }
}

#[cfg(not(all(unix, not(target_vendor = "apple"))))]
mod table {
    use super::Weak;

    pub(crate) fn weak() -> &'static Weak {
        &Weak {
            asan_poison: None,
            asan_unpoison: None,
            asan_set_callback: None,
            asan_report_address: None,
            lsan_register: None,
            lsan_unregister: None,
            msan_poison: None,
            msan_unpoison: None,
        }
    }
}

pub(crate) use table::weak;
