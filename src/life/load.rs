// SPDX-License-Identifier: MIT
//! What the loader calls: when the library is loaded, and when it is unloaded or the program ends.
//!
//! As part of a driver, the static library is to do so in the order in which the shared one does:
//! it is ready before the first of the driver's constructors runs, and it is there until the last
//! of its destructors has run. So the handlers that these set around fork() run with the library
//! unlocked, and what these free is no leak. The linker orders the functions by the number in the
//! name of their section; those of the driver have 101 to 65535 or none, which is later.

use super::{statistics, unload};
use crate::inspect::root;
#[cfg(windows)]
use crate::sys::os;

#[cfg(unix)]
#[used]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array.00100"))]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
static AT_LOAD: extern "C" fn() = at_load;

#[cfg(unix)]
#[used]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".fini_array.00100"))]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_term_func"))]
static AT_UNLOAD: extern "C" fn() = at_unload;

/// There is a list only of what runs at the start; what is registered then is called at the end,
/// before the C library's own, or when the DLL is unloaded.
#[cfg(windows)]
#[used]
#[unsafe(link_section = ".CRT$XCU")]
static AT_LOAD: extern "C" fn() = at_load;

extern "C" fn at_load() {
    root::refer();
    #[cfg(unix)]
    {
        super::fork::at_load();
        crate::hooks::at_load();
    }
    #[cfg(windows)]
    os::at_exit(at_unload);
    if cfg!(feature = "ext") {
        statistics::at_load();
    }
}

extern "C" fn at_unload() {
    unload::at_unload();
}
