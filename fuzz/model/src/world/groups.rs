//! Sets of sizes, and shared pools.

use std::ptr;

use mesa_slab::abi::ext::{
    slab_create_shared, slab_create_sizes, slab_create_sizes_child, slab_destroy_shared,
    slab_destroy_sizes, slab_destroy_sizes_child, slab_options, slab_shared_alloc,
    slab_shared_free, slab_shared_pool, slab_shared_zalloc, slab_sizes, slab_sizes_alloc,
    slab_sizes_child, slab_sizes_free, slab_sizes_size, slab_sizes_zalloc,
};

use super::object::{Object, pick_from, promised_alignment};
use super::{MOST_BYTES, World};
use crate::operation::{Heap, Pick, SIZES_CHILDREN};

/// A set of sizes that may exist, and its live objects.
pub(super) struct Sizes {
    pub(super) set: *mut slab_sizes,
    pub(super) heap: Heap,
    pub(super) children: [*mut slab_sizes_child; SIZES_CHILDREN],
    pub(super) objects: Vec<Object>,
}

impl Sizes {
    pub(super) const NONE: Sizes = Sizes {
        set: ptr::null_mut(),
        heap: Heap::Process,
        children: [ptr::null_mut(); SIZES_CHILDREN],
        objects: Vec::new(),
    };
}

/// A shared pool that may exist, and its live objects.
pub(super) struct Shared {
    pub(super) pool: *mut slab_shared_pool,
    pub(super) item_size: u32,
    pub(super) heap: Heap,
    pub(super) objects: Vec<Object>,
}

impl Shared {
    pub(super) const NONE: Shared =
        Shared { pool: ptr::null_mut(), item_size: 0, heap: Heap::Process, objects: Vec::new() };
}

impl World {
    pub(super) fn options(&mut self, item_size: u32, heap: Heap) -> slab_options {
        slab_options {
            struct_size: size_of::<slab_options>(),
            item_size,
            num_items: 64,
            alignment: 0,
            flags: 0,
            name: c"a group".as_ptr(),
            heap: self.heaps.get(heap),
        }
    }

    pub(super) fn create_sizes(&mut self, heap: Heap) {
        self.destroy_sizes();
        let (options, failed) = (self.options(0, heap), self.failed(heap));
        // SAFETY: the options are such, and the heap exists.
        let set = unsafe { slab_create_sizes(&options) };
        assert!(!set.is_null() || self.may_fail(heap, failed), "no set although there is memory");
        (self.sizes.set, self.sizes.heap) = (set, heap);
    }

    pub(super) fn destroy_sizes(&mut self) {
        for child in 0..SIZES_CHILDREN {
            self.destroy_sizes_child(child);
        }
        // SAFETY: it is null, or a set without children.
        unsafe { slab_destroy_sizes(self.sizes.set) }
        self.sizes.set = ptr::null_mut();
        self.orphans.append(&mut self.sizes.objects);
    }

    pub(super) fn destroy_sizes_child(&mut self, child: usize) {
        let child = std::mem::replace(&mut self.sizes.children[child], ptr::null_mut());
        // SAFETY: it is null, or a child.
        unsafe { slab_destroy_sizes_child(child) }
    }

    /// A child of the set of sizes, which are made if there are none. Null without memory.
    pub(super) fn sizes_child(&mut self, child: usize) -> *mut slab_sizes_child {
        if self.sizes.set.is_null() {
            self.create_sizes(Heap::Process);
        }
        if self.sizes.children[child].is_null() && !self.sizes.set.is_null() {
            let heap = self.sizes.heap;
            let failed = self.failed(heap);
            // SAFETY: the set exists.
            self.sizes.children[child] = unsafe { slab_create_sizes_child(self.sizes.set) };
            let made = !self.sizes.children[child].is_null();
            assert!(made || self.may_fail(heap, failed), "no child although there is memory");
        }
        self.sizes.children[child]
    }

    pub(super) fn sizes_allocate(
        &mut self,
        child: usize,
        bytes: usize,
        count: usize,
        zeroed: bool,
    ) {
        let from = self.sizes_child(child);
        let heap = self.sizes.heap;
        for number in 0..count {
            let bytes = bytes + number % 3;
            if from.is_null() || self.bytes + bytes > MOST_BYTES {
                return;
            }
            let failed = self.failed(heap);
            // SAFETY: the child is live.
            let object = unsafe {
                if zeroed { slab_sizes_zalloc(from, bytes) } else { slab_sizes_alloc(from, bytes) }
            };
            if object.is_null() {
                assert!(self.may_fail(heap, failed), "NULL although there is memory");
                return;
            }
            // SAFETY: it is an object.
            let room = unsafe { slab_sizes_size(object) };
            assert!(room >= bytes);
            let promised = if bytes <= 8 { 8 } else { 16 };
            let object = self.object(object.cast(), bytes, promised, zeroed, heap);
            self.sizes.objects.push(Object { room, ..object });
        }
    }

    pub(super) fn sizes_free(&mut self, child: usize, count: usize, pick: Pick) {
        let through = self.sizes_child(child);
        if through.is_null() {
            return;
        }
        for object in pick_from(&mut self.sizes.objects, count, pick) {
            let address = self.give_up(&object);
            // SAFETY: the object is live until here, and the child is.
            unsafe { slab_sizes_free(through, address) }
        }
    }

    pub(super) fn create_shared(&mut self, item_size: u32, heap: Heap) {
        self.destroy_shared();
        let (options, failed) = (self.options(item_size, heap), self.failed(heap));
        // SAFETY: the options are such, and the heap exists.
        let pool = unsafe { slab_create_shared(&options) };
        assert!(!pool.is_null() || self.may_fail(heap, failed), "no pool although there is memory");
        (self.shared.pool, self.shared.item_size, self.shared.heap) = (pool, item_size, heap);
    }

    pub(super) fn destroy_shared(&mut self) {
        // SAFETY: it is null, or a pool.
        unsafe { slab_destroy_shared(self.shared.pool) }
        self.shared.pool = ptr::null_mut();
        self.orphans.append(&mut self.shared.objects);
    }

    pub(super) fn shared_allocate(&mut self, count: usize, zeroed: bool) {
        if self.shared.pool.is_null() {
            self.create_shared(96, Heap::Process);
        }
        let Shared { pool, item_size, heap, .. } = self.shared;
        let size = item_size.max(1) as usize;
        for _ in 0..count {
            if pool.is_null() || self.bytes + size > MOST_BYTES {
                return;
            }
            let failed = self.failed(heap);
            // SAFETY: the pool exists.
            let object =
                unsafe { if zeroed { slab_shared_zalloc(pool) } else { slab_shared_alloc(pool) } };
            if object.is_null() {
                assert!(self.may_fail(heap, failed), "NULL although there is memory");
                return;
            }
            let promised = promised_alignment(size);
            let object = self.object(object.cast(), size, promised, zeroed, heap);
            self.shared.objects.push(object);
        }
    }

    pub(super) fn shared_free(&mut self, count: usize, pick: Pick) {
        for object in pick_from(&mut self.shared.objects, count, pick) {
            let address = self.give_up(&object);
            // SAFETY: the object is live until here, and the pool exists, as it has objects.
            unsafe { slab_shared_free(self.shared.pool, address) }
        }
    }
}
