// SPDX-License-Identifier: MIT
//! Frees that come when what they belong to is gone, or come twice: reported, or put right, and
//! never followed by a crash.

use core::ffi::{CStr, c_char, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering::SeqCst};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use mesa_slab::abi::ext::*;
use mesa_slab::abi::slab::*;

static REPORTS: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// One test at a time has the reports.
static ALONE: Mutex<()> = Mutex::new(());

unsafe extern "C" fn note(_: *mut c_void, report: *const c_char) {
    // SAFETY: the library passes a string.
    let report = unsafe { CStr::from_ptr(report) };
    REPORTS.lock().unwrap().push(report.to_string_lossy().into_owned());
}

fn reports_of(body: impl FnOnce()) -> Vec<String> {
    let _alone = ALONE.lock().unwrap();
    slab_set_report_handler(Some(note), ptr::null_mut());
    body();
    slab_set_report_handler(None, ptr::null_mut());
    std::mem::take(&mut REPORTS.lock().unwrap())
}

fn zeroed<T>() -> T {
    // SAFETY: zeroes are a pool or a child that was never created.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// The pool that [`ask`] asks.
static ASKED: AtomicPtr<slab_parent_pool> = AtomicPtr::new(ptr::null_mut());

/// Checks the pool by another thread: if the pool is locked, the test is to fail and not to hang.
unsafe extern "C" fn ask(data: *mut c_void, report: *const c_char) {
    let (answer, answered) = channel();
    std::thread::spawn(move || {
        // SAFETY: the pool exists.
        answer.send(unsafe { slab_validate(ASKED.load(SeqCst)) }).unwrap();
    });
    let problems = answered.recv_timeout(Duration::from_secs(30));
    assert_eq!(problems, Ok(0), "the pool is locked while a report of it is made");
    // SAFETY: as for this function.
    unsafe { note(data, report) }
}

#[test]
fn a_second_free_is_reported_when_nothing_is_locked_and_loses_no_memory() {
    let reports = reports_of(|| {
        slab_set_report_handler(Some(ask), ptr::null_mut());
        let mut pool: slab_mempool = zeroed();
        let mut heap: slab_heap_stats = zeroed();
        // SAFETY: the pool is this function's. The second free is the error that is to be seen.
        unsafe {
            slab_create(&mut pool, 96, 16);
            ASKED.store(&raw mut pool.parent, SeqCst);
            let object = slab_alloc_st(&mut pool);
            slab_free_st(&mut pool, object);
            slab_free_st(&mut pool, object);
            slab_trim_child(&mut pool.child);
            slab_destroy(&mut pool);
            slab_trim_heap();
            heap.struct_size = size_of::<slab_heap_stats>();
            slab_get_heap_stats(&mut heap);
        }
        assert_eq!((heap.object_slabs, heap.magazine_slabs, heap.mapped), (0, 0, 0));
    });
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].contains("slab_trim_child"), "{reports:?}");
    assert!(reports[0].contains("double free"), "{reports:?}");
}

#[test]
fn a_second_free_is_reported_when_the_slab_is_gone_too() {
    let reports = reports_of(|| {
        let (mut parent, mut child): (slab_parent_pool, slab_child_pool) = (zeroed(), zeroed());
        // A pool of the other size keeps the chunk.
        let mut other: slab_mempool = zeroed();
        // SAFETY: the pools are this function's. The second free is the error that is to be seen:
        // its address is in a chunk.
        unsafe {
            slab_create(&mut other, 40_000, 4);
            let kept = slab_alloc_st(&mut other);
            slab_create_parent(&mut parent, 96, 16);
            slab_create_child(&mut child, &mut parent);
            let object = slab_alloc(&mut child);
            slab_free(&mut child, object);
            slab_destroy_child(&mut child);
            slab_destroy_parent(&mut parent);
            slab_free(&mut child, object);
            slab_free_st(&mut other, kept);
            assert_eq!(slab_validate(&mut other.parent), 0);
            slab_destroy(&mut other);
        }
    });
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].contains("not an object of a pool"), "{reports:?}");
}

#[test]
fn a_child_that_outlives_its_pool_and_is_used_with_the_next_one_loses_no_object() {
    let reports = reports_of(|| {
        let (mut parent, mut old): (slab_parent_pool, slab_child_pool) = (zeroed(), zeroed());
        let mut new: slab_child_pool = zeroed();
        // SAFETY: the pools are this function's. That `old` is used after its pool is against the
        // rules, and yet nothing may be lost.
        unsafe {
            slab_create_parent(&mut parent, 96, 16);
            slab_create_child(&mut old, &mut parent);
            let first = slab_alloc(&mut old);
            slab_free(&mut old, first);
            slab_create_parent(&mut parent, 96, 16);
            slab_create_child(&mut new, &mut parent);
            let second = slab_alloc(&mut new);
            slab_free(&mut old, second);
            slab_destroy_child(&mut old);
            slab_destroy_child(&mut new);
            assert_eq!(slab_validate(&mut parent), 0);
            slab_destroy_parent(&mut parent);
            slab_trim_heap();
            let mut heap: slab_heap_stats = zeroed();
            heap.struct_size = size_of::<slab_heap_stats>();
            slab_get_heap_stats(&mut heap);
            assert_eq!((heap.object_slabs, heap.mapped), (0, 0));
        }
    });
    assert_eq!(reports, Vec::<String>::new());
}

#[test]
fn a_child_that_outlives_its_pool_is_not_trimmed_into_the_next_one() {
    let reports = reports_of(|| {
        let (mut parent, mut old): (slab_parent_pool, slab_child_pool) = (zeroed(), zeroed());
        let mut new: slab_child_pool = zeroed();
        // SAFETY: the pools are this function's. That `old` is used after its pool is against the
        // rules, and yet the next pool must stay in order.
        unsafe {
            slab_create_parent(&mut parent, 96, 16);
            slab_create_child(&mut old, &mut parent);
            let first = slab_alloc(&mut old);
            slab_free(&mut old, first);
            slab_create_parent(&mut parent, 96, 16);
            slab_create_child(&mut new, &mut parent);
            let second = slab_alloc(&mut new);
            assert_eq!(slab_trim_child(&mut old), 0);
            let mut pool: slab_parent_stats = zeroed();
            pool.struct_size = size_of::<slab_parent_stats>();
            assert_eq!(slab_get_parent_stats(&mut parent, &mut pool), 0);
            assert_eq!(pool.children, 1);
            slab_free(&mut new, second);
            slab_destroy_child(&mut old);
            slab_destroy_child(&mut new);
            slab_destroy_parent(&mut parent);
        }
    });
    assert_eq!(reports, Vec::<String>::new());
}
