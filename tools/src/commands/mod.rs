// SPDX-License-Identifier: MIT
//! The commands.

mod find;
mod objects;
pub mod pools;
mod ps;
mod record;
mod save;
mod symbolise;
mod top;

use anyhow::Result;
use clap::Subcommand;

#[derive(Subcommand)]
pub enum Command {
    /// List the processes that have the library
    Ps(ps::Ps),
    /// Print the pools, as slab_print_stats does
    Pools(pools::Pools),
    /// Tell what addresses are: objects of which pool, and who has them
    Find(find::Find),
    /// List what the program has of a pool's objects, dump them, or count them by a word in them
    Objects(objects::Objects),
    /// Save the numbers of all pools, for diff
    Save(save::Save),
    /// Tell what grew between two saved files, processes or cores
    Diff(save::Diff),
    /// Write functions and lines in place of the offsets in a report or a list of leaks
    Symbolise(symbolise::Symbolise),
    /// Write samples of all pools over time as CSV
    Record(record::Record),
    /// Show pools as they grow and shrink
    Top(top::Top),
}

impl Command {
    pub fn run(self) -> Result<()> {
        match self {
            Command::Ps(ps) => ps.run(),
            Command::Pools(pools) => pools.run(),
            Command::Find(find) => find.run(),
            Command::Objects(objects) => objects.run(),
            Command::Save(save) => save.run(),
            Command::Diff(diff) => diff.run(),
            Command::Symbolise(symbolise) => symbolise.run(),
            Command::Record(record) => record.run(),
            Command::Top(top) => top.run(),
        }
    }
}
