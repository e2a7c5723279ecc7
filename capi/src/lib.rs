// SPDX-License-Identifier: MIT
//! `libmesa_slab`: the shared and the static library with the functions of `slab.h` and
//! `slab_ext.h`.
//!
//! Everything lives in the core crate; this one only gives it a panic handler, so that
//! the core can stay an ordinary `no_std` library that other Rust code may link as well.
#![no_std]

#[cfg(feature = "ext")]
pub use mesa_slab_core::abi::ext::*;
#[cfg(all(feature = "ext", not(feature = "hardened")))]
pub use mesa_slab_core::abi::inline::*;
pub use mesa_slab_core::abi::slab::*;

/// A panic is a broken invariant of the library itself: there is nothing to unwind into.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    mesa_slab_core::internals::broken_invariant()
}

// core is compiled with unwinding, and what an unoptimised build takes from it names the
// personality routine of std. Nothing unwinds here, so a weak one that is never called will do;
// beside a library with std, that of std prevails.
#[cfg(target_os = "linux")]
core::arch::global_asm!(
    ".weak rust_eh_personality",
    ".hidden rust_eh_personality",
    ".type rust_eh_personality, %function",
    "rust_eh_personality:",
);
