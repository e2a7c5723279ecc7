// SPDX-License-Identifier: MIT
//! Where in its slot an object with redzones lies, as `src/base/redzone.rs` of the library has it.

const PAGE: u32 = 4096;
const LEAST: u32 = 16;

/// Bytes from one object to the next in ordinary pools.
fn stride(item_size: u32) -> u32 {
    match item_size {
        0..=8 => 8,
        0xffff_fff1.. => item_size,
        _ => (item_size + 15) & !15,
    }
}

/// Bytes from a slot to its object, in a slab with so many bytes from one slot to the next.
pub fn lead(item_size: u32, slot_bytes: u64) -> u64 {
    if slot_bytes == u64::from(stride(item_size)) {
        return 0;
    }
    let align = match item_size {
        0..=8 => 8,
        _ if item_size.is_power_of_two() => item_size.min(PAGE),
        _ => 16,
    };
    u64::from(align.max(LEAST))
}
