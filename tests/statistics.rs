// SPDX-License-Identifier: MIT
//! Statistics agree with themselves, with the program, and with what the kernel says.
//!
//! One test only: it counts all of the process's memory that the library holds.

use core::ffi::{c_char, c_void};
use core::mem::MaybeUninit;
use core::ptr;

use mesa_slab::abi::ext::*;
use mesa_slab::abi::slab::*;
use serde_json::Value;

unsafe extern "C" fn collect(data: *mut c_void, text: *const c_char, length: usize) {
    // SAFETY: `data` is the vector given below, and the text is `length` bytes.
    unsafe {
        let text = core::slice::from_raw_parts(text.cast::<u8>(), length);
        (*data.cast::<Vec<u8>>()).extend_from_slice(text);
    }
}

fn printed(format: u32) -> String {
    let mut text = Vec::<u8>::new();
    // SAFETY: the function takes such a vector.
    unsafe { slab_print_stats(collect, (&raw mut text).cast(), format) };
    String::from_utf8(text).unwrap()
}

fn json() -> Value {
    serde_json::from_str(&printed(SLAB_STATS_JSON)).unwrap()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

/// The sums that must hold in any JSON; returns the bytes held.
fn check_sums(json: &Value) -> usize {
    let heap = &json["heap"];
    let mut in_pools = 0;
    for pool in json["pools"].as_array().unwrap() {
        let slabs =
            ["slabs_full", "slabs_partial", "slabs_empty"].map(|state| number(&pool[state]));
        let slabs: usize = slabs.iter().sum();
        let objects = slabs * number(&pool["objects_per_slab"]);
        let tail = number(&pool["bytes"]) - objects * number(&pool["element_size"]);
        assert_eq!(number(&pool["bytes"]), slabs * number(&pool["slab_bytes"]));
        assert!(tail <= number(&pool["bytes"]) / 8, "at most an eighth is left over");
        assert!(number(&pool["objects_out"]) <= objects);
        in_pools += number(&pool["bytes"]);
    }
    assert_eq!(in_pools, number(&heap["object_slabs"]));
    let parts = ["object_slabs", "magazine_slabs", "metadata", "dirty"];
    let held: usize = parts.iter().map(|part| number(&heap[*part])).sum();
    assert_eq!(held, number(&heap["held"]));
    held
}

/// Resident bytes of the process that no file has, by the sums of /proc/self/smaps.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let smaps = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = smaps.lines().find(|line| line.starts_with("Anonymous:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn what_is_printed_adds_up_and_is_what_the_kernel_says() {
    const OBJECTS: usize = 300_000;
    // SAFETY: the pools are created before they are used, and only by this thread.
    unsafe {
        let mut parent = MaybeUninit::<slab_parent_pool>::uninit();
        let parent = parent.as_mut_ptr();
        let mut child = MaybeUninit::<slab_child_pool>::uninit();
        let child = child.as_mut_ptr();
        slab_create_parent(parent, 96, 64);
        assert_eq!(slab_set_name(parent, c"zink \"transfers\"".as_ptr()), 0);
        slab_create_child(child, parent);

        // What the test itself needs is in memory before the first look.
        let mut objects = vec![ptr::dangling_mut::<c_void>(); OBJECTS];
        check_sums(&json());
        #[cfg(target_os = "linux")]
        let before = resident();
        for object in &mut objects {
            *object = slab_zalloc(child);
        }
        #[cfg(target_os = "linux")]
        let kernel = resident() - before;

        let live = json();
        let held = check_sums(&live);
        assert!(held >= OBJECTS * 96);
        #[cfg(target_os = "linux")]
        assert!(held.abs_diff(kernel) * 50 <= kernel, "{held} held, {kernel} resident");

        let pool = &live["pools"][0];
        assert_eq!(pool["name"], "zink \"transfers\"");
        assert_eq!(pool["item_size"], 96);
        assert_eq!(pool["num_items"], 64);
        assert_eq!(pool["element_size"], 96);
        assert_eq!(pool["address"], format!("{:#x}", parent.addr()));
        let out = number(&pool["objects_out"]);
        assert!((OBJECTS..OBJECTS + 2 * 511).contains(&out), "a busy child caches two magazines");

        let mut stats =
            slab_parent_stats { struct_size: size_of::<slab_parent_stats>(), ..zeroed() };
        assert_eq!(slab_get_parent_stats(parent, &mut stats), 0);
        assert_eq!(stats.objects_out, out);
        assert_eq!(stats.peak_objects_out, out);
        assert_eq!(stats.children, 1);
        assert_eq!(stats.slabs_full, number(&pool["slabs_full"]));
        assert_eq!(stats.struct_size, size_of::<slab_parent_stats>());

        let table = printed(SLAB_STATS_TABLE);
        assert!(table.contains("zink \"transfers\" 96x64"), "{table}");
        assert!(table.lines().all(|line| line.len() < 160), "{table}");

        // A pool whose memory is gone while it was never destroyed is still counted, and never
        // touched.
        let mut gone = vec![0u64; size_of::<slab_parent_pool>() / 8];
        let gone_parent = gone.as_mut_ptr().cast::<slab_parent_pool>();
        let mut user = MaybeUninit::<slab_child_pool>::uninit();
        slab_create_parent(gone_parent, 40, 16);
        slab_create_child(user.as_mut_ptr(), gone_parent);
        let orphan = slab_alloc(user.as_mut_ptr());
        assert!(!orphan.is_null());
        gone.fill(0xdddd_dddd_dddd_dddd);
        let json = json();
        check_sums(&json);
        assert_eq!(json["pools"].as_array().unwrap().len(), 2);
        drop(gone);

        // Objects of a destroyed pool are in limbo.
        slab_destroy_child(child);
        slab_destroy_parent(parent);
        let json = self::json();
        check_sums(&json);
        let limbo: Vec<_> = json["pools"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|pool| pool["address"].is_null())
            .collect();
        assert_eq!(limbo.len(), 1);
        assert_eq!(number(&limbo[0]["objects_out"]), OBJECTS);
        let mut destroyed = slab_child_pool { ..zeroed() };
        for object in objects {
            slab_free(&mut destroyed, object);
        }
        assert_eq!(self::json()["pools"].as_array().unwrap().len(), 1, "limbo is over");
        assert_eq!(slab_validate(ptr::null_mut()), 0);
    }
}

/// # Safety
/// All zeroes is a valid value of `T`.
unsafe fn zeroed<T>() -> T {
    // SAFETY: the caller's promise.
    unsafe { MaybeUninit::zeroed().assume_init() }
}
