// SPDX-License-Identifier: MIT
//! What a pool holds, as it is counted, shown and given to C.

/// The fields of `struct slab_parent_stats` in `slab_ext.h`, but the first one, and in its order.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct PoolNumbers {
    /// Bytes of an object, as asked for.
    pub(crate) item_size: usize,
    /// Bytes from one object to the next.
    pub(crate) element_size: usize,
    /// Objects of a slab.
    pub(crate) objects_per_slab: usize,
    /// Bytes of a slab.
    pub(crate) slab_bytes: usize,
    /// Slabs without a free object.
    pub(crate) slabs_full: usize,
    /// Slabs with some objects out.
    pub(crate) slabs_partial: usize,
    /// Slabs without an object out.
    pub(crate) slabs_empty: usize,
    /// Objects out of the slabs, guarded ones included.
    pub(crate) objects_out: usize,
    /// How many of these are in the depot.
    pub(crate) objects_in_depot: usize,
    /// The most objects of slabs that were out at a time, or those that are out, if that is more.
    pub(crate) peak_objects_out: usize,
    /// Children that have magazines.
    pub(crate) children: usize,
    /// Objects that such a child caches at most, once it is busy.
    pub(crate) objects_per_child: usize,
    /// Objects that came back through no child of the pool.
    pub(crate) foreign_frees: usize,
    /// Exchanges of magazines between a child and the depot.
    pub(crate) exchanges: usize,
    /// Bytes of slabs, of the magazines in the depot, and of the pages of guarded objects.
    pub(crate) bytes_held: usize,
    /// How many of `objects_out` are guarded, and so in no slab.
    pub(crate) objects_guarded: usize,
}

impl PoolNumbers {
    /// Counts a slab of which so many objects are out.
    pub(crate) fn count_slab(&mut self, used: usize) {
        let state = if used == self.objects_per_slab {
            &mut self.slabs_full
        } else if used != 0 {
            &mut self.slabs_partial
        } else {
            &mut self.slabs_empty
        };
        *state += 1;
        self.objects_out += used;
        self.bytes_held += self.slab_bytes;
    }

    /// Counts guarded objects, and the bytes of their pages.
    pub(crate) fn count_guarded(&mut self, objects: usize, bytes: usize) {
        self.objects_out += objects;
        self.objects_guarded += objects;
        self.bytes_held += bytes;
    }

    /// How many slabs there are.
    pub(crate) fn slabs(&self) -> usize {
        self.slabs_full + self.slabs_partial + self.slabs_empty
    }
}
