//! Allocators in shared objects that export the functions of `slab.h`.

use crate::api::Api;
use anyhow::{Context, Result};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::path::Path;

/// Loads a library for the rest of the process; its symbols stay apart from other libraries'.
pub fn load(path: &Path) -> Result<Api> {
    // SAFETY: what loading runs is the library's own business; the caller chose the library.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
        .with_context(|| format!("cannot load {}", path.display()))?;
    // Function pointers into it must never dangle.
    let library = Box::leak(Box::new(library));

    macro_rules! table {
        ($($field:ident = $symbol:literal),* $(,)?) => {
            Api {
                $($field: {
                    // SAFETY: the symbol has the type that slab.h gives it, and the pools that are
                    // passed are large enough for any layout that is known.
                    *unsafe { library.get(concat!($symbol, "\0").as_bytes()) }
                        .with_context(|| format!("{} has no {}", path.display(), $symbol))?
                },)*
            }
        };
    }
    Ok(table! {
        create_parent = "slab_create_parent",
        destroy_parent = "slab_destroy_parent",
        create_child = "slab_create_child",
        destroy_child = "slab_destroy_child",
        alloc = "slab_alloc",
        zalloc = "slab_zalloc",
        free = "slab_free",
        create = "slab_create",
        destroy = "slab_destroy",
        alloc_st = "slab_alloc_st",
        free_st = "slab_free_st",
    })
}
