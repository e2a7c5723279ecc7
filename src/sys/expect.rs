// SPDX-License-Identifier: MIT
//! Tells the processor what will be read soon, so that it is there by then.

/// Has a line of the cache fetched. The address may be any: if nothing is there, nothing happens.
#[inline(always)]
pub(crate) fn expect<T>(_at: *const T) {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    // SAFETY: it is a hint, which faults at no address; every processor of this kind has it.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(_at.cast());
    }
    #[cfg(all(target_arch = "aarch64", not(loom)))]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!("prfm pldl1keep, [{}]", in(reg) _at, options(nostack, preserves_flags, readonly));
    }
}
