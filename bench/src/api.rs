//! The functions of `slab.h` as a table, and the memory that its structs live in.
//!
//! Every allocator is called through such a table, so each pays for the same indirect calls. The
//! loops around the calls are C (`loops/`), so that the same source can be compiled with the
//! inlined fast paths of this library.

use std::ffi::{c_uint, c_void};

/// An object, or null. Workloads pass it on and, but for one, never look into it.
pub type Object = *mut c_void;

/// Room for a `struct slab_parent_pool`, a `slab_child_pool` or a `slab_mempool` of any layout.
#[repr(C, align(64))]
pub struct Storage<const BYTES: usize>([u8; BYTES]);

pub type Parent = Storage<256>;
pub type Child = Storage<256>;
pub type Mempool = Storage<512>;

impl<const BYTES: usize> Storage<BYTES> {
    /// Zeroed memory is a destroyed pool to every function of `slab.h`.
    pub fn zeroed() -> Self {
        Self([0; BYTES])
    }

    /// Many of them, at addresses that do not change.
    pub fn many(count: usize) -> Box<[Self]> {
        (0..count).map(|_| Self::zeroed()).collect()
    }
}

/// The functions of `slab.h`; `struct bench_api` of `loops/loops.h`.
///
/// They are `unsafe` as in C: a pool must have been created, one child is used by one thread at a
/// time, and an object is freed once.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Api {
    pub create_parent: unsafe extern "C" fn(*mut Parent, c_uint, c_uint),
    pub destroy_parent: unsafe extern "C" fn(*mut Parent),
    pub create_child: unsafe extern "C" fn(*mut Child, *mut Parent),
    pub destroy_child: unsafe extern "C" fn(*mut Child),
    pub alloc: unsafe extern "C" fn(*mut Child) -> Object,
    pub zalloc: unsafe extern "C" fn(*mut Child) -> Object,
    pub free: unsafe extern "C" fn(*mut Child, Object),
    pub create: unsafe extern "C" fn(*mut Mempool, c_uint, c_uint),
    pub destroy: unsafe extern "C" fn(*mut Mempool),
    pub alloc_st: unsafe extern "C" fn(*mut Mempool) -> Object,
    pub free_st: unsafe extern "C" fn(*mut Mempool, Object),
}

/// `struct slab_options`.
#[repr(C)]
pub struct Options {
    struct_size: usize,
    item_size: c_uint,
    num_items: c_uint,
    alignment: c_uint,
    flags: c_uint,
    name: *const c_void,
    heap: *const c_void,
}

impl Options {
    pub fn of(item_size: c_uint, num_items: c_uint) -> Self {
        let (name, heap) = (std::ptr::null(), std::ptr::null());
        let struct_size = size_of::<Self>();
        Self { struct_size, item_size, num_items, alignment: 0, flags: 0, name, heap }
    }

    pub fn item_size(&self) -> usize {
        self.item_size as usize
    }
}

/// The functions of `slab_ext.h` for objects of any size, and for objects for any thread.
///
/// They are `unsafe` as in C: a set or a pool must have been created, one child is used by one
/// thread at a time, and an object is freed once.
#[derive(Clone, Copy)]
pub struct Groups {
    pub create_sizes: unsafe extern "C" fn(*const Options) -> *mut c_void,
    pub destroy_sizes: unsafe extern "C" fn(*mut c_void),
    pub create_sizes_child: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    pub destroy_sizes_child: unsafe extern "C" fn(*mut c_void),
    pub sizes_alloc: unsafe extern "C" fn(*mut c_void, usize) -> Object,
    pub sizes_free: unsafe extern "C" fn(*mut c_void, Object),
    pub create_shared: unsafe extern "C" fn(*const Options) -> *mut c_void,
    pub destroy_shared: unsafe extern "C" fn(*mut c_void),
    pub shared_alloc: unsafe extern "C" fn(*mut c_void) -> Object,
    pub shared_free: unsafe extern "C" fn(*mut c_void, Object),
}

/// The loops that workloads are made of; `struct bench_loops` of `loops/loops.h`, which says what
/// each does.
#[repr(C)]
pub struct Loops {
    pub pairs: unsafe extern "C" fn(&Api, *mut Child, usize),
    pub chained_pairs: unsafe extern "C" fn(&Api, *mut Child, usize),
    pub chained_batch: unsafe extern "C" fn(&Api, *mut Child, *mut Object, usize),
    pub alloc: unsafe extern "C" fn(&Api, *mut Child, *mut Object, usize),
    pub free_lifo: unsafe extern "C" fn(&Api, *mut Child, *const Object, usize),
    pub free_fifo: unsafe extern "C" fn(&Api, *mut Child, *const Object, usize),
    pub churn: unsafe extern "C" fn(&Api, *mut Child, *mut Object, *const u32, usize),
    pub lives: unsafe extern "C" fn(&Api, *mut Child, *mut Parent, *mut Object, usize, usize),
}

unsafe extern "C" {
    /// The loops that call through the table.
    #[link_name = "bench_loops"]
    pub safe static CALLING_LOOPS: Loops;
}
