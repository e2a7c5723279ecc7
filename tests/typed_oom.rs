// SPDX-License-Identifier: MIT
//! The typed interface when there is no memory: values come back, and all goes on. One test only: it
//! limits the address space of its process.
#![cfg(target_os = "linux")]

mod address_space;

use address_space::allow;
use mesa_slab::{OutOfMemory, Pool};

#[test]
fn values_come_back_and_pools_stay_usable() {
    const MIB: usize = 1 << 20;
    type Big = [u8; 60_000];

    // Not even memory for the pool's parent, nor for a chunk.
    allow(0);
    let (strings, bigs) = (Pool::new(), Pool::<Big>::new());
    let early = strings.cache();
    let Err(OutOfMemory(value)) = early.alloc(String::from("back")) else {
        panic!("there is memory");
    };
    assert_eq!(value, "back");
    assert!(early.alloc_uninit().is_err() && early.alloc_zeroed().is_err());
    assert!(!strings.set_name("name"));
    allow(64 * MIB);
    // The cache that was made without a parent goes on, and so do frees through it.
    let object = early.alloc(value).unwrap();
    assert_eq!(*object, "back");
    early.free(object);
    assert!(strings.set_name("name"));

    let cache = bigs.cache();
    let mut objects = Vec::with_capacity(10_000);
    let mut made = 0;
    let back = loop {
        match cache.alloc_with(|| {
            made += 1;
            [7; size_of::<Big>()]
        }) {
            Ok(object) => objects.push(object),
            Err(OutOfMemory(make)) => break make(),
        }
    };
    assert!(objects.len() > 500 && made == objects.len() + 1, "{made}");
    assert_eq!(back[1000], 7);
    cache.free(objects.pop().unwrap());
    objects.push(cache.alloc(back).unwrap());
    assert!(objects.iter().all(|object| object.iter().all(|&byte| byte == 7)));
    drop(objects);
    assert_eq!(*strings.cache().alloc(String::from("still")).unwrap(), "still");
}
