//! Takes the calls and does nothing: what a workload costs with it is what the harness costs.

use crate::api::{Api, Child, Mempool, Object, Parent};
use std::ffi::c_uint;

pub const API: Api = Api {
    create_parent,
    destroy_parent,
    create_child,
    destroy_child,
    alloc,
    zalloc: alloc,
    free,
    create,
    destroy,
    alloc_st,
    free_st,
};

// An object is the child's own address: nobody looks into it.

extern "C" fn create_parent(_: *mut Parent, _: c_uint, _: c_uint) {}
extern "C" fn destroy_parent(_: *mut Parent) {}
extern "C" fn create_child(_: *mut Child, _: *mut Parent) {}
extern "C" fn destroy_child(_: *mut Child) {}
extern "C" fn alloc(child: *mut Child) -> Object {
    child.cast()
}
extern "C" fn free(_: *mut Child, _: Object) {}
extern "C" fn create(_: *mut Mempool, _: c_uint, _: c_uint) {}
extern "C" fn destroy(_: *mut Mempool) {}
extern "C" fn alloc_st(mempool: *mut Mempool) -> Object {
    mempool.cast()
}
extern "C" fn free_st(_: *mut Mempool, _: Object) {}
