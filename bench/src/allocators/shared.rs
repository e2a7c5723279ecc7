//! Allocators in shared objects that export the functions of `slab.h`.

use crate::api::{Api, Groups, Loops};
use anyhow::{Context, Result};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::path::Path;

/// Loads a library for the rest of the process; its symbols stay apart from other libraries'.
///
/// A path that was loaded before gives the same library again; a copy of the file is another one.
pub fn open(path: &Path) -> Result<&'static Library> {
    // SAFETY: what loading runs is the library's own business; the caller chose the library.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
        .with_context(|| format!("cannot load {}", path.display()))?;
    // Function pointers into it must never dangle.
    Ok(Box::leak(Box::new(library)))
}

/// The functions of a library, and its own loops, if it has any.
pub fn load(path: &Path) -> Result<(Api, Option<&'static Loops>)> {
    // The linker does not look for a file without a slash in its name where the user stands.
    let path = std::path::absolute(path)?;
    let library = open(&path)?;

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
    let api = table! {
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
    };
    // SAFETY: only a library that was compiled from loops/loops.c has a symbol of that name.
    let loops = unsafe { library.get::<*const Loops>(b"bench_loops\0") };
    // SAFETY: the symbol is the address of a constant of a library that is never unloaded.
    Ok((api, loops.ok().and_then(|loops| unsafe { loops.into_raw().cast::<Loops>().as_ref() })))
}

/// The functions of a library for objects of any size and for any thread, if it has them.
pub fn groups(path: &Path) -> Result<Option<Groups>> {
    let library = open(&std::path::absolute(path)?)?;
    macro_rules! table {
        ($($field:ident = $symbol:literal),* $(,)?) => {
            Groups {
                $($field: {
                    // SAFETY: the symbol has the type that slab_ext.h gives it.
                    match unsafe { library.get(concat!($symbol, "\0").as_bytes()) } {
                        Ok(function) => *function,
                        Err(_) => return Ok(None),
                    }
                },)*
            }
        };
    }
    Ok(Some(table! {
        create_sizes = "slab_create_sizes",
        destroy_sizes = "slab_destroy_sizes",
        create_sizes_child = "slab_create_sizes_child",
        destroy_sizes_child = "slab_destroy_sizes_child",
        sizes_alloc = "slab_sizes_alloc",
        sizes_free = "slab_sizes_free",
        create_shared = "slab_create_shared",
        destroy_shared = "slab_destroy_shared",
        shared_alloc = "slab_shared_alloc",
        shared_free = "slab_shared_free",
    }))
}
