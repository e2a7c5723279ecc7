//! What happens when the object that carries the library is unloaded: free memory goes to the system.
//!
//! Drivers are loaded and unloaded with dlopen() and dlclose(). Memory that a caller still holds objects
//! in stays mapped. The same runs at the end of the process, where it is of no use and does no harm.

use crate::heap::HEAP;

#[used]
#[cfg_attr(all(unix, not(target_vendor = "apple")), unsafe(link_section = ".fini_array"))]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_term_func"))]
static AT_UNLOAD: extern "C" fn() = at_unload;

extern "C" fn at_unload() {
    HEAP.release_free_memory();
}
