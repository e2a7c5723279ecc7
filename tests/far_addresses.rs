// SPDX-License-Identifier: MIT
//! Which addresses are in chunks, far from where the system puts any. What is noted here holds for
//! all of the process.
#![cfg(target_pointer_width = "64")]

use mesa_slab::internals::{CHUNK, CHUNK_SHIFT, add, has, remove};

/// log2 of the bytes that one page of the registry is for, at least.
const SPAN_SHIFT: u32 = CHUNK_SHIFT + 15;

#[test]
fn chunks_may_lie_anywhere_in_the_address_space() {
    let chunks: Vec<usize> = (1..20).map(|number| (number << SPAN_SHIFT) + 7 * CHUNK).collect();
    for chunk in &chunks {
        assert!(!has(*chunk));
        assert!(add(*chunk));
    }
    for chunk in &chunks {
        assert!(has(*chunk) && has(*chunk + CHUNK - 1) && !has(*chunk - 1));
        remove(*chunk);
        assert!(!has(*chunk));
    }
}

#[test]
fn an_address_above_all_that_is_noted_is_taken_for_one_in_a_chunk_once_there_is_one() {
    let above = !0 << 60;
    assert!(!has(above));
    assert!(add(above));
    assert!(has(above) && has(!0));
    // Others may be there.
    remove(above);
    assert!(has(above));
    assert!(!has(8));
}
