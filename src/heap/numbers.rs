// SPDX-License-Identifier: MIT
//! What the heap holds, as it is counted, shown and given to C.

use crate::base::geometry::MAX_ORDER;

/// Orders of runs, in public structs: room for every platform's.
pub(crate) const ORDERS: usize = 16;
const _: () = assert!((MAX_ORDER as usize) < ORDERS);

/// What the heap holds, in bytes unless said otherwise: the fields of `struct slab_heap_stats` in
/// `slab_ext.h`, but the first one, and in its order.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct HeapNumbers {
    /// What may have memory behind it: the sum of the next four.
    pub(crate) held: usize,
    /// Slabs of parent pools and in limbo.
    pub(crate) object_slabs: usize,
    /// Slabs of magazine blocks and names, and the slab of a kit.
    pub(crate) magazine_slabs: usize,
    /// The part of the chunks' headers that has been written.
    pub(crate) metadata: usize,
    /// Free, and may have memory behind it.
    pub(crate) dirty: usize,
    /// Free, without memory behind it.
    pub(crate) clean: usize,
    /// Address space.
    pub(crate) mapped: usize,
    /// How many chunks, large objects' included.
    pub(crate) chunks: usize,
    /// How many of them are large objects'.
    pub(crate) large: usize,
    /// How many free runs of each order.
    pub(crate) free_runs: [u32; ORDERS],
}

impl HeapNumbers {
    /// How many of [`HeapNumbers::in_order`] are bytes: the first ones.
    pub(crate) const BYTES: usize = 7;

    /// The numbers in the order in which they are shown: bytes held, and the fields.
    #[inline(never)]
    pub(crate) fn in_order(&self) -> [usize; 9] {
        [
            self.held,
            self.object_slabs,
            self.magazine_slabs,
            self.metadata,
            self.dirty,
            self.clean,
            self.mapped,
            self.chunks,
            self.large,
        ]
    }
}
