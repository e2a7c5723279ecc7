//! What is measured: names and function tables.

mod general;
mod null;
mod shared;

use crate::api::Api;
use anyhow::Result;
use std::path::Path;

/// The allocator that measures the harness: its time is subtracted from everybody's.
pub const NULL: &str = "null";
/// The allocator that the others are compared to.
pub const BASELINE: &str = "classic";

pub struct Allocator {
    pub name: String,
    pub api: Api,
}

/// A `--lib NAME=PATH`.
#[derive(Clone)]
pub struct NamedLibrary {
    pub name: String,
    pub path: std::path::PathBuf,
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

/// All of them: null and the baseline first, then this library, then the rest.
pub fn all(library: &Path, others: &[NamedLibrary]) -> Result<Vec<Allocator>> {
    let mut list = vec![
        Allocator { name: NULL.into(), api: null::API },
        Allocator { name: BASELINE.into(), api: shared::load(Path::new(env!("CLASSIC_LIBRARY")))? },
        Allocator { name: "mesa-slab".into(), api: shared::load(library)? },
    ];
    for other in others {
        anyhow::ensure!(
            list.iter().all(|known| known.name != other.name),
            "there is already an allocator called {}",
            other.name
        );
        list.push(Allocator { name: other.name.clone(), api: shared::load(&other.path)? });
    }
    list.extend(general::all().into_iter().map(|(name, api)| Allocator { name: name.into(), api }));
    Ok(list)
}
