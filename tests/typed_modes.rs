// SPDX-License-Identifier: MIT
//! The typed interface in pools with modes, which are set for the process: one test only.

use std::collections::HashSet;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use mesa_slab::Pool;
use mesa_slab::abi::ext::{slab_set_debug, slab_set_report_handler};

unsafe extern "C" fn unexpected(_: *mut c_void, report: *const c_char) {
    // SAFETY: a report is a string. A panic here aborts, and says which test it was.
    panic!("{:?}", unsafe { CStr::from_ptr(report) });
}

/// Objects of a type are distinct, aligned, and of memory that is not another's.
fn check<T: Copy + PartialEq + std::fmt::Debug>(value: T) {
    let pool = Pool::new();
    let cache = pool.cache();
    let objects: Vec<_> = (0..300).map(|_| cache.alloc(value).unwrap()).collect();
    let addresses: HashSet<usize> =
        objects.iter().map(|object| (&raw const **object).addr()).collect();
    assert_eq!(addresses.len(), objects.len());
    assert!(addresses.iter().all(|address| address % align_of::<T>() == 0));
    assert!(objects.iter().all(|object| **object == value));
    for (n, object) in objects.into_iter().enumerate() {
        if n % 2 == 0 { cache.free(object) } else { drop(object) }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Nothing;
#[derive(Clone, Copy, PartialEq, Debug)]
#[repr(align(512))]
struct NothingAligned;
#[derive(Clone, Copy, PartialEq, Debug)]
#[repr(align(32))]
struct Vector([u8; 96]);
#[derive(Clone, Copy, PartialEq, Debug)]
#[repr(align(64))]
struct Line(u8);
#[derive(Clone, Copy, PartialEq, Debug)]
#[repr(align(4096))]
struct Pages([u8; 12288]);

#[test]
fn objects_are_aligned_as_their_type_in_every_mode() {
    slab_set_report_handler(Some(unexpected), ptr::null_mut());
    for modes in [c"", c"checks", c"redzone", c"poison", c"guard", c"quarantine", c"users"] {
        // SAFETY: a string.
        unsafe { slab_set_debug(ptr::null_mut(), modes.as_ptr()) };
        check(());
        check(Nothing);
        check(NothingAligned);
        check(1u8);
        check(1u64);
        check([1u8; 24]);
        check(1u128);
        check(Vector([7; 96]));
        check(Line(3));
        check(Pages([5; 12288]));
        check([9u8; 70_000]);
    }
}
