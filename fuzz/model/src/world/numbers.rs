//! What the library says of pools, objects and the heap, against what the model knows.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use mesa_slab::abi::ext::{
    SLAB_STATS_JSON, SLAB_STATS_TABLE, slab_for_each_object, slab_get_parent_stats, slab_is_object,
    slab_object_size, slab_parent_stats, slab_print_stats, slab_validate,
};

use super::{Life, REPORTED, World, heap_stats};
use crate::operation::{Heap, POOLS};

impl World {
    pub(super) fn validate(&mut self, pool: usize) {
        // SAFETY: the pool exists, or is destroyed or zeroed.
        let problems = unsafe { slab_validate(self.pools[pool].parent()) };
        assert_eq!(problems, 0, "{:?}", REPORTED.lock().unwrap());
    }

    /// The numbers of a pool agree with the model and with each other; those of the heap with each
    /// other.
    pub(super) fn statistics(&mut self, pool: usize) {
        let of_process = |(start, end): (&usize, &usize)| {
            let is_there = self.heaps.of(ptr::without_provenance(*start)) == Heap::Process;
            if is_there { end - start } else { 0 }
        };
        let bytes: usize = self.ends.iter().map(of_process).sum();
        let pool = &mut self.pools[pool];
        // SAFETY: zeroes are numbers.
        let mut stats: slab_parent_stats = unsafe { std::mem::zeroed() };
        stats.struct_size = size_of::<slab_parent_stats>();
        // SAFETY: the pool exists, or is destroyed or zeroed.
        let got = unsafe { slab_get_parent_stats(pool.parent(), &mut stats) };
        assert_eq!(got == 0, pool.item_size.is_some());
        if let Some(item_size) = pool.item_size {
            let live = pool.objects.len();
            let children = pool.children.iter().filter(|life| **life == Life::Live).count();
            assert_eq!(stats.item_size, item_size as usize);
            assert!(stats.children <= children);
            assert!(stats.objects_out >= live + stats.objects_in_depot, "an object is lost");
            let cached = stats.objects_out - stats.objects_in_depot - live;
            assert!(cached <= stats.children * stats.objects_per_child, "an object is kept");
            assert!(stats.peak_objects_out >= stats.objects_out);
            let slabs = stats.slabs_full + stats.slabs_partial + stats.slabs_empty;
            assert!(slabs * stats.objects_per_slab >= stats.objects_out);
            assert!(stats.bytes_held >= slabs * stats.slab_bytes);
        }
        let heap = heap_stats();
        assert_eq!(heap.held, heap.object_slabs + heap.magazine_slabs + heap.metadata + heap.dirty);
        assert!(heap.object_slabs >= bytes);
        assert!(heap.mapped >= heap.held + heap.clean);
        for format in [SLAB_STATS_TABLE, SLAB_STATS_JSON] {
            let mut text = Vec::<u8>::new();
            // SAFETY: `append` takes a vector.
            unsafe { slab_print_stats(append, (&raw mut text).cast(), format) }
            assert!(text.is_ascii() && text.ends_with(b"\n"));
        }
    }

    /// Every live object is one by pointer, of its pool and of no other, and no address within one
    /// is. Once the children are trimmed, all objects of a pool are visited, each once.
    pub(super) fn visit(&mut self, index: usize) {
        for of in 0..=POOLS {
            let parent = if of < POOLS { self.pools[of].parent() } else { ptr::null_mut() };
            let other = self.pools[(of + 1) % POOLS].parent();
            for object in self.objects(of).iter() {
                let address = object.address.cast_const().cast::<c_void>();
                let within = address.wrapping_byte_add(1 + object.number as usize % object.size);
                assert_eq!(slab_object_size(address), object.room, "{address:?}");
                // SAFETY: the pools exist, or are destroyed or zeroed, or null.
                unsafe {
                    assert_eq!(slab_is_object(parent, address), 1, "{address:?}");
                    assert_eq!(slab_is_object(other, address), 0, "{address:?}");
                }
                let is_next = within.addr() == address.addr() + object.size;
                assert!(is_next || slab_object_size(within) == 0, "{within:?} in {address:?}");
            }
        }
        self.trim_children(index);
        let mut visited = Vec::<*mut u8>::new();
        // SAFETY: the pool exists, or is destroyed or zeroed; `note` takes a vector.
        let count = unsafe {
            let parent = self.pools[index].parent();
            slab_for_each_object(parent, note, (&raw mut visited).cast())
        };
        assert_eq!(count, visited.len());
        visited.sort();
        let mut live: Vec<*mut u8> =
            self.pools[index].objects.iter().map(|object| object.address).collect();
        live.sort();
        assert_eq!(visited, live, "the objects that are visited");
    }
}

unsafe extern "C" fn note(visited: *mut c_void, object: *mut c_void) -> c_int {
    // SAFETY: `visited` is a vector.
    unsafe { (*visited.cast::<Vec<*mut u8>>()).push(object.cast()) }
    0
}

unsafe extern "C" fn append(text: *mut c_void, piece: *const c_char, length: usize) {
    // SAFETY: `text` is a vector, and the library passes a piece of this length.
    unsafe {
        (*text.cast::<Vec<u8>>()).extend(std::slice::from_raw_parts(piece.cast::<u8>(), length))
    }
}
