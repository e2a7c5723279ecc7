//! What is measured: names, function tables, loops.

mod general;
#[cfg(feature = "peers")]
mod peers;
mod shared;
mod tcmalloc;

use crate::api::{Api, CALLING_LOOPS, Loops};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::ffi::c_uint;
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
    /// Pools of other libraries, whose functions are inlined into the loops as well.
    Peer,
    /// Each object by itself.
    General,
}

impl Kind {
    /// Whether the loops have the functions inlined: what the loop costs is not known then, and not
    /// subtracted.
    pub fn is_inlined(self) -> bool {
        matches!(self, Self::Inlined | Self::Peer)
    }
}

/// What an allocator cannot do, and why.
#[derive(Clone, Copy)]
pub struct Limits {
    pub children: Option<&'static str>,
    pub threads: Option<&'static str>,
    pub large: Option<&'static str>,
    pub traces: Option<&'static str>,
    pub scaling: Option<&'static str>,
}

impl Limits {
    pub const NONE: Self =
        Self { children: None, threads: None, large: None, traces: None, scaling: None };
}

#[derive(Clone)]
pub struct Allocator {
    pub name: String,
    pub kind: Kind,
    pub api: Api,
    pub loops: &'static Loops,
    pub limits: Limits,
    /// Of one whose pools do not grow: is told how many objects those will hold that are made next.
    pub expect: Option<unsafe extern "C" fn(c_uint)>,
}

impl Allocator {
    fn called(name: impl Into<String>, kind: Kind, api: Api) -> Self {
        let (limits, expect) = (Limits::NONE, None);
        Self { name: name.into(), kind, api, loops: &CALLING_LOOPS, limits, expect }
    }

    /// To be called before pools are made that hold so many objects at most.
    pub fn expect(&self, objects: usize) {
        if let Some(expect) = self.expect {
            // SAFETY: it is a number.
            unsafe { expect(objects as c_uint) }
        }
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
            limits: Limits::NONE,
            expect: None,
        },
    ];
    let general = general::all()?;
    for other in others {
        let taken = list.iter().any(|known| known.name == other.name)
            || general.iter().any(|(name, _)| *name == other.name);
        ensure!(!taken, "there is already an allocator called {}", other.name);
        list.push(Allocator::called(&other.name, Kind::Pools, shared::load(&other.path)?.0));
    }
    #[cfg(feature = "peers")]
    list.extend(peers::all()?);
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
