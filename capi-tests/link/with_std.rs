// SPDX-License-Identifier: MIT

//! A neighbour in the link that brings std, its panic handler and its unwinder.

use std::panic::catch_unwind;

/// Whether a panic unwinds into the catch below: not if another library's panic handler or
/// personality routine took the place of std's.
#[unsafe(no_mangle)]
pub extern "C" fn with_std_catches_a_panic(divisor: u32) -> bool {
    std::panic::set_hook(Box::new(|_| ()));
    catch_unwind(|| 1 / divisor).is_err()
}
