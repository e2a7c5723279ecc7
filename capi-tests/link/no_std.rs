// SPDX-License-Identifier: MIT

//! A neighbour in the link without std, with a panic handler of its own.

#![no_std]

unsafe extern "C" {
    safe fn abort() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    abort()
}

/// Divides, or panics: so the panic handler is part of the library.
#[unsafe(no_mangle)]
pub extern "C" fn no_std_divide(dividend: u32, divisor: u32) -> u32 {
    dividend / divisor
}
