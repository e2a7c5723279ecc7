// SPDX-License-Identifier: MIT
//! The root of a copy of the library: the section `.mesa_slab`, by which everything else is found.
//! `src/inspect/root.rs` of the library says what is in it.
//!
//! Nothing of it is believed before it is looked at: of a core file any byte may be overwritten.

use std::collections::HashMap;

use crate::memory::{Memory, Unreadable};

/// How a root begins.
pub const MAGIC: &[u8; 16] = b"mesa-slab root\r\n";
/// What roots are aligned to.
pub const ALIGNMENT: usize = 16;
/// The version whose names these are.
const VERSION: u32 = 5;
const NAMES: &str = include_str!("../../abi/root.txt");
/// No type of the library is larger.
const MOST_BYTES: usize = 1 << 24;

const HARDENED: u8 = 1;
const DEBUG: u8 = 1 << 2;

/// Why a root is none that can be used.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// Here is none.
    None,
    /// It is of another version than this program knows.
    Version(u32),
    /// Something in it cannot be.
    Broken(&'static str),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::None => write!(out, "there is no root of the library"),
            Fault::Version(version) => write!(
                out,
                "its root is of version {version}, and this slabtool knows version {VERSION} alone: take the one that \
                 came with the library"
            ),
            Fault::Broken(what) => write!(out, "its root is overwritten: {what}"),
        }
    }
}

/// A field of a type: where it begins, and how many bytes it has, 0 if more than 255.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    pub offset: usize,
    pub width: usize,
}

/// Where the structures begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    pub heap: u64,
    pub registry: u64,
    pub secret: u64,
    pub gone: u64,
    pub ledgers: u64,
    pub stacks: u64,
    pub guards: u64,
}

/// A root as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Where it is.
    pub address: u64,
    /// Bytes of an address.
    pub word: usize,
    pub is_hardened: bool,
    pub has_debug: bool,
    pub places: Places,
    fields: HashMap<&'static str, u32>,
}

fn word_at(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let mut word = [0; 8];
    word.get_mut(..width)?.copy_from_slice(bytes.get(at..at.checked_add(width)?)?);
    Some(u64::from_le_bytes(word))
}

impl Root {
    /// Reads the root at an address.
    pub fn read(memory: &dyn Memory, address: u64) -> Result<Root, Fault> {
        const HEAD: usize = 32;
        let none = |_: Unreadable| Fault::None;
        let head = memory.bytes(address, HEAD).map_err(none)?;
        if &head[..MAGIC.len()] != MAGIC {
            return Err(Fault::None);
        }
        let number = |at, width| word_at(&head, at, width).unwrap_or(0);
        let (version, bytes) = (number(16, 4) as u32, number(20, 4) as usize);
        let (word, flags) = (head[24] as usize, head[25]);
        let (places, fields) = (number(26, 2) as usize, number(28, 4) as usize);
        if version != VERSION {
            return Err(Fault::Version(version));
        }
        if word != 4 && word != 8 {
            return Err(Fault::Broken("it has no size of an address"));
        }
        let needed = HEAD + (1 + places) * word + fields * 4;
        if places != 7 || fields > 4096 || bytes < needed || bytes > needed + ALIGNMENT {
            return Err(Fault::Broken("its lengths do not agree"));
        }
        let all = memory.bytes(address, needed).map_err(none)?;
        let place = |index: usize| word_at(&all, HEAD + index * word, word).unwrap_or(0);
        if place(0) != address {
            // What something else has copied, or a file that is mapped and not loaded.
            return Err(Fault::None);
        }
        let first = HEAD + (1 + places) * word;
        let value = |index| word_at(&all, first + index * 4, 4).unwrap_or(0) as u32;
        let names = NAMES.split_once("\n\n").map_or("", |(_, lines)| lines);
        let fields = names
            .lines()
            .filter_map(|line| line.split('\t').next())
            .take(fields)
            .enumerate()
            .map(|(index, name)| (name, value(index)))
            .collect();
        Ok(Root {
            address,
            word,
            is_hardened: flags & HARDENED != 0,
            has_debug: flags & DEBUG != 0,
            places: Places {
                heap: place(1),
                registry: place(2),
                secret: place(3),
                gone: place(4),
                ledgers: place(5),
                stacks: place(6),
                guards: place(7),
            },
            fields,
        })
    }

    /// A number of the root's, by its name.
    pub fn number(&self, name: &'static str) -> Result<usize, Fault> {
        self.fields.get(name).map(|value| *value as usize).ok_or(Fault::Broken("it is too short"))
    }

    /// Where a field lies, within a type of so many bytes.
    pub fn at(&self, name: &'static str, bytes: usize) -> Result<At, Fault> {
        let value = self.number(name)?;
        let at = At { offset: value >> 8, width: value & 0xff };
        if at.offset + at.width > bytes {
            return Err(Fault::Broken("a field lies outside of its type"));
        }
        Ok(at)
    }

    /// How many bytes a type has.
    pub fn bytes(&self, name: &'static str) -> Result<usize, Fault> {
        let bytes = self.number(name)?;
        if bytes == 0 || bytes > MOST_BYTES {
            return Err(Fault::Broken("a type has no size that can be"));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_name_of_its_own() {
        let lines: Vec<_> = NAMES.split_once("\n\n").unwrap().1.lines().collect();
        let mut names: Vec<_> = lines.iter().map(|line| line.split_once('\t').unwrap().0).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), lines.len());
    }
}
