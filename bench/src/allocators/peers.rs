//! Pools of other libraries, in shared objects with the loops in which their functions are inlined
//! (`peers/`).

use super::shared;
use super::{Allocator, Kind, Limits};
use anyhow::{Context, Result};
use std::ffi::{c_char, c_uint};
use std::path::Path;

const NO_CHILDREN: &str = "it has no children";
const ONE_THREAD: &str = "it is for one thread";

const BOOST: Limits =
    Limits { children: Some(NO_CHILDREN), threads: Some(ONE_THREAD), ..Limits::NONE };
const DPDK: Limits = Limits {
    large: Some(
        "all objects of a pool are there from the beginning, and of these it would take gigabytes",
    ),
    traces: Some("a pool has as many objects as it is made with, which a trace does not say"),
    scaling: Some("all objects of a pool are there from the beginning"),
    ..Limits::NONE
};

pub fn all() -> Result<Vec<Allocator>> {
    [
        ("boost", env!("BOOST_LIBRARY"), BOOST),
        ("foonathan", env!("FOONATHAN_LIBRARY"), BOOST),
        ("rte_mempool", env!("DPDK_LIBRARY"), DPDK),
    ]
    .map(|(name, path, limits)| {
        let path = Path::new(path);
        let (api, loops) = shared::load(path)?;
        // SAFETY: the only symbol of that name is that of peers/dpdk.hpp, which has this type.
        let expect =
            unsafe { shared::open(path)?.get::<unsafe extern "C" fn(c_uint)>(b"bench_expect\0") };
        // SAFETY: likewise, of peers/failure.hpp.
        let failure = unsafe {
            shared::open(path)?.get::<unsafe extern "C" fn() -> *const c_char>(b"bench_failure\0")
        };
        Ok(Allocator {
            name: name.into(),
            kind: Kind::Peer,
            api,
            loops: loops.with_context(|| format!("{name} has no loops"))?,
            limits,
            groups: None,
            expect: expect.ok().map(|expect| *expect),
            failure: failure.ok().map(|failure| *failure),
        })
    })
    .into_iter()
    .collect()
}
