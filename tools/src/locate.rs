// SPDX-License-Identifier: MIT
//! Where in a process the library is: every object that carries a copy of it, as a program or
//! driver with the static library does, or `libmesa_slab.so`.
//!
//! The object's file has the section `.mesa_slab`. If the file is gone or another one now, or has
//! lost its section headers, its memory is searched for the root's magic number.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use object::{Object, ObjectSection};

use crate::memory::{Mapping, Memory};
use crate::root::{ALIGNMENT, Fault, MAGIC, Root};

const SECTION: &str = ".mesa_slab";
/// A mapping of more bytes is not searched: no object has so much data.
const MOST_SEARCHED: u64 = 256 << 20;
/// So much is searched at a time.
const PIECE: usize = 1 << 20;

/// A copy of the library in a process.
#[derive(Clone, Debug)]
pub struct Copy {
    /// The object that carries it.
    pub object: Option<PathBuf>,
    pub root: Root,
}

/// All copies in the order of their addresses, and what is to be said of objects that look as if
/// they carried one.
pub fn copies(memory: &dyn Memory) -> (Vec<Copy>, Vec<String>) {
    let (mut found, mut remarks) = (BTreeMap::new(), BTreeSet::new());
    for (file, mappings) in by_file(memory) {
        for address in candidates(memory, file.as_deref(), &mappings) {
            match Root::read(memory, address) {
                Ok(root) => {
                    found.insert(address, Copy { object: file.clone(), root });
                }
                Err(Fault::None) => {}
                Err(fault) => {
                    let name = file.as_deref().map_or("".into(), Path::to_string_lossy);
                    remarks.insert(format!("{name}: {fault}"));
                }
            }
        }
    }
    (found.into_values().collect(), remarks.into_iter().collect())
}

/// Whether a process may have the library: by its mapped files alone.
pub fn by_file(memory: &dyn Memory) -> BTreeMap<Option<PathBuf>, Vec<&Mapping>> {
    let mut files: BTreeMap<Option<PathBuf>, Vec<&Mapping>> = BTreeMap::new();
    // A core that does not name its files has them among the rest.
    let are_named = memory.mappings().iter().any(|mapping| mapping.file.is_some());
    for mapping in memory.mappings() {
        if mapping.file.is_some() || !are_named {
            files.entry(mapping.file.clone()).or_default().push(mapping);
        }
    }
    // An object has code.
    files.retain(|file, mappings| {
        file.is_none() || mappings.iter().any(|mapping| mapping.executable)
    });
    files
}

fn candidates(memory: &dyn Memory, file: Option<&Path>, mappings: &[&Mapping]) -> Vec<u64> {
    let replaced = mappings.iter().any(|mapping| mapping.is_replaced);
    let section = file.filter(|_| !replaced).map(|file| section(&memory.path_of(file)));
    match section {
        // Of the file it is known where the root is, or that there is none.
        Some(Section::At(offset)) => {
            let at = mappings.iter().filter_map(|mapping| {
                let within = offset.checked_sub(mapping.offset)?;
                (within < mapping.bytes()).then(|| mapping.start + within)
            });
            let found: Vec<u64> =
                at.filter(|at| Root::read(memory, *at) != Err(Fault::None)).collect();
            if found.is_empty() { search_all(memory, mappings) } else { found }
        }
        Some(Section::None) => Vec::new(),
        Some(Section::Unknown) | None => search_all(memory, mappings),
    }
}

enum Section {
    /// Where in the file it is.
    At(u64),
    /// The file has sections, and this is none of them.
    None,
    /// The file cannot be read, or has no sections.
    Unknown,
}

fn section(path: &Path) -> Section {
    let Ok(file) = File::open(path) else { return Section::Unknown };
    // SAFETY: an object that is in use does not change; if somebody cuts it short meanwhile, this
    // program gets a SIGBUS.
    let Ok(data) = (unsafe { Mmap::map(&file) }) else { return Section::Unknown };
    let Ok(object) = object::File::parse(&*data) else { return Section::Unknown };
    if object.sections().next().is_none() {
        return Section::Unknown;
    }
    let section = object.section_by_name(SECTION);
    section
        .and_then(|section| section.file_range())
        .map_or(Section::None, |(at, _)| Section::At(at))
}

fn search_all(memory: &dyn Memory, mappings: &[&Mapping]) -> Vec<u64> {
    let data = mappings.iter().filter(|mapping| !mapping.executable);
    data.flat_map(|mapping| search(memory, mapping)).collect()
}

/// Where in a mapping the magic number is.
fn search(memory: &dyn Memory, mapping: &Mapping) -> Vec<u64> {
    let mut found = Vec::new();
    if mapping.bytes() > MOST_SEARCHED {
        return found;
    }
    let mut at = mapping.start;
    while at < mapping.end {
        let count = (mapping.end - at).min(PIECE as u64) as usize;
        if let Ok(bytes) = memory.bytes(at, count) {
            let places = bytes.chunks_exact(ALIGNMENT).enumerate();
            let places = places.filter(|(_, place)| place == MAGIC);
            found.extend(places.map(|(index, _)| at + (index * ALIGNMENT) as u64));
        }
        at += count as u64;
    }
    found
}
