// SPDX-License-Identifier: MIT
//! What `include/slab_inline.h` says of the layout is what the library does.

use mesa_slab::internals::{CHUNK_SHIFT, PAGE_SHIFT};

const HEADER: &str = include_str!("../include/slab_inline.h");

/// The values that a macro is defined as, in order.
fn values(name: &str) -> Vec<u32> {
    let prefix = format!("#define {name} ");
    HEADER.lines().filter_map(|line| line.strip_prefix(&prefix)?.parse().ok()).collect()
}

#[test]
fn constants_of_the_inline_header_are_the_librarys() {
    let chunk_shift = values("SLAB_CHUNK_SHIFT_");
    assert_eq!(chunk_shift.len(), 2, "for 64 and for 32 bits");
    assert_eq!(chunk_shift[if cfg!(target_pointer_width = "64") { 0 } else { 1 }], CHUNK_SHIFT);
    assert_eq!(values("SLAB_PAGE_SHIFT_"), [PAGE_SHIFT]);
}
