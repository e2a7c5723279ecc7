//! General allocators behind the functions of `slab.h`: a pool is nothing but the size of its
//! items.

use crate::api::Api;
use anyhow::Result;

/// The pool structs and functions over one `malloc`, `calloc` and `free`.
macro_rules! pools_over {
    ($name:ident, $malloc:path, $calloc:path, $free:path) => {
        mod $name {
            use crate::api::{Api, Child, Mempool, Object, Parent};
            use std::ffi::c_uint;

            // Each struct begins with the size of its items; a mempool is used as its own child.

            // SAFETY (of all that follow): the caller passes storage of its own, which no other
            // thread uses at the same time, and objects that came from here.

            unsafe extern "C" fn create_parent(parent: *mut Parent, item_size: c_uint, _: c_uint) {
                // SAFETY: as above.
                unsafe { parent.cast::<usize>().write(item_size as usize) }
            }

            unsafe extern "C" fn destroy_parent(_: *mut Parent) {}

            unsafe extern "C" fn create_child(child: *mut Child, parent: *mut Parent) {
                // SAFETY: as above.
                unsafe { child.cast::<usize>().write(parent.cast::<usize>().read()) }
            }

            unsafe extern "C" fn destroy_child(_: *mut Child) {}

            unsafe extern "C" fn alloc(child: *mut Child) -> Object {
                // SAFETY: as above.
                unsafe { $malloc(child.cast::<usize>().read()) }
            }

            unsafe extern "C" fn zalloc(child: *mut Child) -> Object {
                // SAFETY: as above.
                unsafe { $calloc(1, child.cast::<usize>().read()) }
            }

            unsafe extern "C" fn free(_: *mut Child, object: Object) {
                // SAFETY: as above.
                unsafe { $free(object) }
            }

            unsafe extern "C" fn create(mempool: *mut Mempool, item_size: c_uint, _: c_uint) {
                // SAFETY: as above.
                unsafe { mempool.cast::<usize>().write(item_size as usize) }
            }

            unsafe extern "C" fn destroy(_: *mut Mempool) {}

            unsafe extern "C" fn alloc_st(mempool: *mut Mempool) -> Object {
                // SAFETY: as above.
                unsafe { $malloc(mempool.cast::<usize>().read()) }
            }

            unsafe extern "C" fn free_st(_: *mut Mempool, object: Object) {
                // SAFETY: as above.
                unsafe { $free(object) }
            }

            pub const API: Api = Api {
                create_parent,
                destroy_parent,
                create_child,
                destroy_child,
                alloc,
                zalloc,
                free,
                create,
                destroy,
                alloc_st,
                free_st,
            };
        }
    };
}

pools_over!(libc_malloc, libc::malloc, libc::calloc, libc::free);
#[cfg(feature = "allocators")]
pools_over!(
    mimalloc,
    libmimalloc_sys::mi_malloc,
    libmimalloc_sys::mi_calloc,
    libmimalloc_sys::mi_free
);
#[cfg(feature = "allocators")]
pools_over!(
    jemalloc,
    tikv_jemalloc_sys::malloc,
    tikv_jemalloc_sys::calloc,
    tikv_jemalloc_sys::free
);

#[cfg(feature = "allocators")]
pools_over!(snmalloc, snmalloc_sys::sn_malloc, snmalloc_sys::sn_calloc, snmalloc_sys::sn_free);
pools_over!(
    tcmalloc,
    crate::allocators::tcmalloc::malloc,
    crate::allocators::tcmalloc::calloc,
    crate::allocators::tcmalloc::free
);

/// mimalloc with a heap for each child, which goes with it.
#[cfg(feature = "allocators")]
mod heaps {
    use crate::api::{Api, Child, Mempool, Object, Parent};
    use libmimalloc_sys::{
        mi_free, mi_heap_delete, mi_heap_malloc, mi_heap_new, mi_heap_t, mi_heap_zalloc,
    };
    use std::ffi::c_uint;

    /// A child, and the beginning of a mempool; zeroed memory is one that does not exist.
    struct Heap {
        item_size: usize,
        heap: *mut mi_heap_t,
    }

    // SAFETY (of all that follow): the caller passes storage of its own, which no other thread uses
    // at the same time, and objects that came from here.

    unsafe fn create_heap(heap: *mut Heap, item_size: usize) {
        // SAFETY: as above.
        unsafe { heap.write(Heap { item_size, heap: mi_heap_new() }) }
    }

    unsafe fn destroy_heap(heap: *mut Heap) {
        // SAFETY: as above. Objects that are out go to the main heap; that of null is none.
        unsafe {
            mi_heap_delete((*heap).heap);
            (*heap).heap = std::ptr::null_mut();
        }
    }

    unsafe fn alloc_from(heap: *mut Heap) -> Object {
        // SAFETY: as above.
        unsafe { mi_heap_malloc((*heap).heap, (*heap).item_size) }
    }

    unsafe extern "C" fn create_parent(parent: *mut Parent, item_size: c_uint, _: c_uint) {
        // SAFETY: as above.
        unsafe { parent.cast::<usize>().write(item_size as usize) }
    }

    unsafe extern "C" fn destroy_parent(_: *mut Parent) {}

    unsafe extern "C" fn create_child(child: *mut Child, parent: *mut Parent) {
        // SAFETY: as above.
        unsafe { create_heap(child.cast(), parent.cast::<usize>().read()) }
    }

    unsafe extern "C" fn destroy_child(child: *mut Child) {
        // SAFETY: as above.
        unsafe { destroy_heap(child.cast()) }
    }

    unsafe extern "C" fn alloc(child: *mut Child) -> Object {
        // SAFETY: as above.
        unsafe { alloc_from(child.cast()) }
    }

    unsafe extern "C" fn zalloc(child: *mut Child) -> Object {
        let heap = child.cast::<Heap>();
        // SAFETY: as above.
        unsafe { mi_heap_zalloc((*heap).heap, (*heap).item_size) }
    }

    unsafe extern "C" fn free(_: *mut Child, object: Object) {
        // SAFETY: as above.
        unsafe { mi_free(object) }
    }

    unsafe extern "C" fn create(mempool: *mut Mempool, item_size: c_uint, _: c_uint) {
        // SAFETY: as above.
        unsafe { create_heap(mempool.cast(), item_size as usize) }
    }

    unsafe extern "C" fn destroy(mempool: *mut Mempool) {
        // SAFETY: as above.
        unsafe { destroy_heap(mempool.cast()) }
    }

    unsafe extern "C" fn alloc_st(mempool: *mut Mempool) -> Object {
        // SAFETY: as above.
        unsafe { alloc_from(mempool.cast()) }
    }

    unsafe extern "C" fn free_st(_: *mut Mempool, object: Object) {
        // SAFETY: as above.
        unsafe { mi_free(object) }
    }

    pub const API: Api = Api {
        create_parent,
        destroy_parent,
        create_child,
        destroy_child,
        alloc,
        zalloc,
        free,
        create,
        destroy,
        alloc_st,
        free_st,
    };
}

pub fn all() -> Result<Vec<(&'static str, Api)>> {
    super::tcmalloc::load()?;
    Ok(vec![
        ("malloc", libc_malloc::API),
        #[cfg(feature = "allocators")]
        ("mimalloc", mimalloc::API),
        #[cfg(feature = "allocators")]
        ("mi-heaps", heaps::API),
        #[cfg(feature = "allocators")]
        ("jemalloc", jemalloc::API),
        #[cfg(feature = "allocators")]
        ("snmalloc", snmalloc::API),
        ("tcmalloc", tcmalloc::API),
    ])
}
