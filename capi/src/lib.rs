//! `libmesa_slab`: the shared and the static library with the functions of `slab.h` and
//! `slab_ext.h`.
//!
//! Everything lives in the core crate; this one only gives it a panic handler, so that
//! the core can stay an ordinary `no_std` library that other Rust code may link as well.
#![no_std]

pub use mesa_slab_core::capi::*;
#[cfg(feature = "ext")]
pub use mesa_slab_core::capi_ext::*;

/// A panic is a broken invariant of the library itself: there is nothing to unwind into.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    mesa_slab_core::report::abort()
}
