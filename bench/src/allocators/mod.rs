//! What is measured: names, function tables, loops.

mod general;
mod shared;
mod tcmalloc;

use crate::api::{Api, CALLING_LOOPS, Loops};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The allocator that measures the harness: its time is subtracted from everybody's.
pub const NULL: &str = "null";
/// The allocator that the others are compared to, unless another one is named.
pub const CLASSIC: &str = "classic";
/// This library, as a shared object.
pub const MESA_SLAB: &str = "mesa-slab";
/// The same as an archive in a shared object, and with the fast paths in the loops.
pub const STATIC: &str = "static";
pub const INLINED: &str = "inlined";

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// Does nothing.
    Null,
    /// Pools, called through the table.
    Pools,
    /// Pools whose fast paths are inlined into the loops.
    Inlined,
    /// Each object by itself.
    General,
}

#[derive(Clone)]
pub struct Allocator {
    pub name: String,
    pub kind: Kind,
    pub api: Api,
    pub loops: &'static Loops,
}

impl Allocator {
    fn called(name: impl Into<String>, kind: Kind, api: Api) -> Self {
        Self { name: name.into(), kind, api, loops: &CALLING_LOOPS }
    }
}

/// A `--lib NAME=PATH`.
#[derive(Clone)]
pub struct NamedLibrary {
    pub name: String,
    pub path: PathBuf,
}

impl std::str::FromStr for NamedLibrary {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => {
                Ok(Self { name: name.into(), path: path.into() })
            }
            _ => Err("expected NAME=PATH".into()),
        }
    }
}

/// All of them: null and classic first, then this library, then the rest.
pub fn all(library: &Path, others: &[NamedLibrary]) -> Result<Vec<Allocator>> {
    let (statically, _) = shared::load(Path::new(env!("STATIC_LIBRARY")))?;
    let (inlined, inlined_loops) = shared::load(Path::new(env!("INLINED_LIBRARY")))?;
    let mut list = vec![
        Allocator::called(NULL, Kind::Null, shared::load(Path::new(env!("NULL_LIBRARY")))?.0),
        Allocator::called(
            CLASSIC,
            Kind::Pools,
            shared::load(Path::new(env!("CLASSIC_LIBRARY")))?.0,
        ),
        Allocator::called(MESA_SLAB, Kind::Pools, shared::load(library)?.0),
        Allocator::called(STATIC, Kind::Pools, statically),
        Allocator {
            name: INLINED.into(),
            kind: Kind::Inlined,
            api: inlined,
            loops: inlined_loops.context("the inlined library has no loops")?,
        },
    ];
    let general = general::all()?;
    for other in others {
        let taken = list.iter().any(|known| known.name == other.name)
            || general.iter().any(|(name, _)| *name == other.name);
        ensure!(!taken, "there is already an allocator called {}", other.name);
        list.push(Allocator::called(&other.name, Kind::Pools, shared::load(&other.path)?.0));
    }
    list.extend(general.into_iter().map(|(name, api)| Allocator::called(name, Kind::General, api)));
    Ok(list)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The C library's, with which workloads can be tried whatever has been built.
    pub fn malloc() -> Allocator {
        let (name, api) = general::all().expect("tcmalloc is installed").swap_remove(0);
        Allocator::called(name, Kind::General, api)
    }
}
