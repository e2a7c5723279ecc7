//! What is measured: names, function tables, loops.

mod general;
#[cfg(feature = "peers")]
mod peers;
mod shared;
mod tcmalloc;

use crate::api::{Api, CALLING_LOOPS, Groups, Loops};
use crate::refusal;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::ffi::{CStr, c_char, c_uint};
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
    /// Objects of any size and for any thread. The designs that have none of it leave drivers with
    /// malloc, and so have that here. None: it cannot be asked for any.
    pub groups: Option<Groups>,
    /// Of one whose pools do not grow: is told how many objects those will hold that are made next.
    pub expect: Option<unsafe extern "C" fn(c_uint)>,
    /// Of one that says what it could not do: the first of it since the last call, or null.
    pub failure: Option<unsafe extern "C" fn() -> *const c_char>,
}

impl Allocator {
    fn called(name: impl Into<String>, kind: Kind, api: Api) -> Self {
        Self {
            name: name.into(),
            kind,
            api,
            loops: &CALLING_LOOPS,
            limits: Limits::NONE,
            groups: None,
            expect: None,
            failure: None,
        }
    }

    fn with_groups(self, groups: Groups) -> Self {
        Self { groups: Some(groups), ..self }
    }

    /// To be called before pools are made that hold so many objects at most.
    pub fn expect(&self, objects: usize) {
        if let Some(expect) = self.expect {
            // SAFETY: it is a number.
            unsafe { expect(objects as c_uint) }
        }
    }

    /// What it could not do since the last call. The functions of `slab.h` do not say that they have
    /// failed; this is asked outside of what is timed.
    pub fn failed(&self) -> Option<String> {
        let failure = self.failure?;
        // SAFETY: it takes nothing.
        let text = unsafe { failure() };
        // SAFETY: if it is there, it is a string of C, which stays until the allocator is called.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into())
    }

    /// What comes out of using it, or why it cannot do that.
    pub fn attempt<R>(&self, run: impl FnOnce() -> R) -> std::result::Result<R, String> {
        let result = refusal::attempt(run);
        // What it says itself is the cause of what was met.
        self.failed().map_or(result, Err)
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

/// A shared object with the functions of `slab.h`.
fn loaded(name: &str, kind: Kind, path: &Path) -> Result<Allocator> {
    let groups = shared::groups(path)?.unwrap_or(general::MALLOC_GROUPS);
    Ok(Allocator::called(name, kind, shared::load(path)?.0).with_groups(groups))
}

/// All of them: null and classic first, then this library, then the rest.
pub fn all(library: &Path, others: &[NamedLibrary]) -> Result<Vec<Allocator>> {
    let (inlined, inlined_loops) = shared::load(Path::new(env!("INLINED_LIBRARY")))?;
    let inlined_loops = inlined_loops.context("the inlined library has no loops")?;
    let mut list = vec![
        loaded(NULL, Kind::Null, Path::new(env!("NULL_LIBRARY")))?,
        loaded(CLASSIC, Kind::Pools, Path::new(env!("CLASSIC_LIBRARY")))?,
        loaded(MESA_SLAB, Kind::Pools, library)?,
        loaded(STATIC, Kind::Pools, Path::new(env!("STATIC_LIBRARY")))?,
        Allocator { loops: inlined_loops, ..Allocator::called(INLINED, Kind::Inlined, inlined) },
    ];
    let general = general::all()?;
    for other in others {
        let taken = list.iter().any(|known| known.name == other.name)
            || general.iter().any(|(name, ..)| *name == other.name);
        ensure!(!taken, "there is already an allocator called {}", other.name);
        list.push(loaded(&other.name, Kind::Pools, &other.path)?);
    }
    #[cfg(feature = "peers")]
    list.extend(peers::all()?);
    list.extend(general.into_iter().map(|(name, api, groups)| {
        Allocator::called(name, Kind::General, api).with_groups(groups)
    }));
    Ok(list)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The C library's, with which workloads can be tried whatever has been built.
    pub fn malloc() -> Allocator {
        let (name, api, groups) = general::all().expect("tcmalloc is installed").swap_remove(0);
        Allocator::called(name, Kind::General, api).with_groups(groups)
    }
}
