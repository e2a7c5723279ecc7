// SPDX-License-Identifier: MIT
//! The memory that is looked at: of a process, or of a core file. It is only ever read.

mod core;
mod process;

use std::path::PathBuf;

pub use core::Core;
pub use process::{Process, Stopped};

/// A range of addresses, and what is mapped there.
#[derive(Clone, Debug)]
pub struct Mapping {
    pub start: u64,
    pub end: u64,
    pub writable: bool,
    pub executable: bool,
    /// The file that is mapped, as the process knows it, and from where on.
    pub file: Option<PathBuf>,
    pub offset: u64,
    /// Whether the file that has that name now is surely another one, or gone.
    pub is_replaced: bool,
}

impl Mapping {
    pub fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    pub fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// Some bytes that cannot be read: not mapped, protected, or not in the core file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// See the head of this file.
pub trait Memory {
    /// Fills `bytes` with what lies at an address.
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Unreadable>;

    /// What is mapped, by address.
    fn mappings(&self) -> &[Mapping];

    /// Where a file of the process can be opened from here.
    fn path_of(&self, file: &std::path::Path) -> PathBuf;

    /// Bytes of a page of the system's.
    fn page_size(&self) -> u64;

    /// The number of the process, if it is known.
    fn pid(&self) -> Option<i32>;

    /// What the process is called.
    fn name(&self) -> String;

    /// Whether it changes while it is read.
    fn is_live(&self) -> bool;

    /// What is to be said of all that is read here: that a core file is cut short, say.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// So many bytes at an address.
    fn bytes(&self, address: u64, count: usize) -> Result<Vec<u8>, Unreadable> {
        let mut bytes = vec![0; count];
        self.read(address, &mut bytes)?;
        Ok(bytes)
    }

    /// The mapping that an address lies in.
    fn mapping_of(&self, address: u64) -> Option<&Mapping> {
        let mappings = self.mappings();
        let place = mappings.partition_point(|mapping| mapping.end <= address);
        mappings.get(place).filter(|mapping| mapping.contains(address))
    }
}
