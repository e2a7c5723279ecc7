//! General allocators behind the functions of `slab.h`: a pool is nothing but the size of its
//! items.

use crate::api::{Api, Groups};
use anyhow::Result;

/// The pool structs and functions over one `malloc`, `calloc` and `free`.
macro_rules! pools_over {
    ($name:ident, $malloc:path, $calloc:path, $free:path) => {
        mod $name {
            use crate::api::{Api, Child, Groups, Mempool, Object, Options, Parent};
            use std::ffi::{c_uint, c_void};

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

            // A set of sizes is nothing, and so are its children; a pool for any thread is the size
            // of its items.

            unsafe extern "C" fn create_sizes(_: *const Options) -> *mut c_void {
                std::ptr::dangling_mut()
            }

            unsafe extern "C" fn create_sizes_child(sizes: *mut c_void) -> *mut c_void {
                sizes
            }

            unsafe extern "C" fn destroy_group(_: *mut c_void) {}

            unsafe extern "C" fn sizes_alloc(_: *mut c_void, bytes: usize) -> Object {
                // SAFETY: as above.
                unsafe { $malloc(bytes) }
            }

            unsafe extern "C" fn free_of_group(_: *mut c_void, object: Object) {
                // SAFETY: as above.
                unsafe { $free(object) }
            }

            unsafe extern "C" fn create_shared(options: *const Options) -> *mut c_void {
                // SAFETY: as above.
                std::ptr::without_provenance_mut(unsafe { (*options).item_size() })
            }

            unsafe extern "C" fn shared_alloc(pool: *mut c_void) -> Object {
                // SAFETY: as above.
                unsafe { $malloc(pool.addr()) }
            }

            pub const GROUPS: Groups = Groups {
                create_sizes,
                destroy_sizes: destroy_group,
                create_sizes_child,
                destroy_sizes_child: destroy_group,
                sizes_alloc,
                sizes_free: free_of_group,
                create_shared,
                destroy_shared: destroy_group,
                shared_alloc,
                shared_free: free_of_group,
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
    use crate::api::{Api, Child, Groups, Mempool, Object, Parent};
    use libmimalloc_sys::{
        mi_free, mi_heap_delete, mi_heap_malloc, mi_heap_new, mi_heap_t, mi_heap_zalloc,
    };
    use std::ffi::{c_uint, c_void};

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

    unsafe extern "C" fn create_sizes_child(_: *mut c_void) -> *mut c_void {
        // SAFETY: as above.
        unsafe { mi_heap_new() }.cast()
    }

    unsafe extern "C" fn destroy_sizes_child(child: *mut c_void) {
        // SAFETY: as above.
        unsafe { mi_heap_delete(child.cast()) }
    }

    unsafe extern "C" fn sizes_alloc(child: *mut c_void, bytes: usize) -> Object {
        // SAFETY: as above.
        unsafe { mi_heap_malloc(child.cast(), bytes) }
    }

    /// A heap is one thread's, so that what is for any thread comes from mimalloc's own.
    pub const GROUPS: Groups =
        Groups { create_sizes_child, destroy_sizes_child, sizes_alloc, ..super::mimalloc::GROUPS };
}

/// Of designs without objects of any size or for any thread.
pub const MALLOC_GROUPS: Groups = libc_malloc::GROUPS;

pub fn all() -> Result<Vec<(&'static str, Api, Groups)>> {
    super::tcmalloc::load()?;
    Ok(vec![
        ("malloc", libc_malloc::API, libc_malloc::GROUPS),
        #[cfg(feature = "allocators")]
        ("mimalloc", mimalloc::API, mimalloc::GROUPS),
        #[cfg(feature = "allocators")]
        ("mi-heaps", heaps::API, heaps::GROUPS),
        #[cfg(feature = "allocators")]
        ("jemalloc", jemalloc::API, jemalloc::GROUPS),
        #[cfg(feature = "allocators")]
        ("snmalloc", snmalloc::API, snmalloc::GROUPS),
        ("tcmalloc", tcmalloc::API, tcmalloc::GROUPS),
    ])
}
