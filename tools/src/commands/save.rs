// SPDX-License-Identifier: MIT
//! `save` and `diff`: what grew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::pools::report;
use crate::numbers::{CopyNumbers, PoolNumbers};
use crate::target::Target;

/// The form of saved files.
const VERSION: u32 = 1;

#[derive(Args)]
pub struct Save {
    #[command(flatten)]
    target: Target,
    /// Where to
    file: PathBuf,
}

#[derive(Args)]
pub struct Diff {
    /// What was saved first: a file, a process or a core
    before: String,
    /// What is later
    after: String,
    /// Show pools that did not change as well
    #[arg(long)]
    all: bool,
    /// JSON in place of a table
    #[arg(long)]
    json: bool,
}

/// What a file has.
#[derive(Serialize, Deserialize)]
struct Saved {
    slabtool: u32,
    /// Seconds since 1970.
    time: u64,
    process: Option<i32>,
    name: String,
    copies: Vec<CopyNumbers>,
    warnings: Vec<String>,
}

impl Saved {
    fn of(target: &Target) -> Result<Saved> {
        let report = report(&target.open()?)?;
        if report.copies.is_empty() {
            bail!("{}", report.warnings.join("; "));
        }
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        Ok(Saved {
            slabtool: VERSION,
            time,
            process: report.process,
            name: report.name,
            copies: report.copies,
            warnings: report.warnings,
        })
    }

    /// A saved file, or else what is to be looked at now.
    fn read(what: &str) -> Result<Saved> {
        let path = Path::new(what);
        let text = std::fs::read(path).ok();
        let saved = text.and_then(|text| serde_json::from_slice::<Saved>(&text).ok());
        match saved {
            Some(saved) if saved.slabtool == VERSION => Ok(saved),
            Some(saved) => bail!("{what} is of version {}, not {VERSION}", saved.slabtool),
            None => Saved::of(&Target::named(what))
                .with_context(|| format!("{what} is not what slabtool save has written")),
        }
    }
}

impl Save {
    pub fn run(self) -> Result<()> {
        let saved = Saved::of(&self.target)?;
        let text = serde_json::to_string_pretty(&saved)? + "\n";
        std::fs::write(&self.file, text).with_context(|| format!("{}", self.file.display()))?;
        saved.warnings.iter().for_each(|warning| eprintln!("slabtool: {warning}"));
        let copies = saved.copies.iter().flat_map(|copy| &copy.warnings);
        copies.for_each(|warning| eprintln!("slabtool: {warning}"));
        Ok(())
    }
}

/// What tells pools apart from one run of a program to the next: the object, name, size and hint. In
/// one process there may be several such, which are added up.
type Kind = (String, String, u64, u64);

/// What became of the pools of a kind.
#[derive(Default, Serialize)]
struct Change {
    object: String,
    pool: String,
    pools: [u64; 2],
    objects: [u64; 2],
    bytes: [u64; 2],
}

impl Change {
    fn grown(&self) -> (i64, i64) {
        let difference = |[before, after]: [u64; 2]| after.wrapping_sub(before) as i64;
        (difference(self.objects), difference(self.bytes))
    }
}

fn kind(copy: &CopyNumbers, pool: &PoolNumbers) -> Kind {
    let object = copy.object_name().to_owned();
    let name = if pool.address.is_some() { pool.name.clone() } else { "(limbo)".into() };
    (object, name, pool.item_size, pool.num_items)
}

impl Diff {
    pub fn run(self) -> Result<()> {
        let (before, after) = (Saved::read(&self.before)?, Saved::read(&self.after)?);
        let mut changes: BTreeMap<Kind, Change> = BTreeMap::new();
        for (side, saved) in [&before, &after].into_iter().enumerate() {
            for copy in &saved.copies {
                for pool in &copy.pools {
                    let change = changes.entry(kind(copy, pool)).or_insert_with(|| Change {
                        object: kind(copy, pool).0,
                        pool: pool.title(),
                        ..Change::default()
                    });
                    change.pools[side] += 1;
                    change.objects[side] += pool.objects_out;
                    change.bytes[side] += pool.bytes;
                }
            }
        }
        let mut changes: Vec<_> = changes.into_values().collect();
        changes.retain(|change| {
            self.all || change.grown() != (0, 0) || change.pools[0] != change.pools[1]
        });
        changes.sort_by_key(|change| {
            (std::cmp::Reverse(change.grown().1), std::cmp::Reverse(change.grown().0))
        });
        if self.json {
            println!("{}", serde_json::to_string_pretty(&changes)?);
            return Ok(());
        }
        let seconds = after.time.saturating_sub(before.time);
        println!("# {} and {}: {seconds} s between them", before.name, after.name);
        println!(
            "{:<40} {:>12} {:>12} {:>12} {:>12} {:>9}",
            "# POOL", "OBJECTS", "+", "KIB", "+", "POOLS +"
        );
        for change in &changes {
            let (objects, bytes) = change.grown();
            println!(
                "{:<40} {:>12} {objects:>+12} {:>12} {:>+12} {:>+9}",
                format!("{} ({})", change.pool, change.object),
                change.objects[1],
                change.bytes[1] / 1024,
                bytes / 1024,
                change.pools[1] as i64 - change.pools[0] as i64,
            );
        }
        for saved in [&before, &after] {
            let copies = saved.copies.iter().flat_map(|copy| &copy.warnings);
            copies.chain(&saved.warnings).for_each(|warning| println!("# warning: {warning}"));
        }
        Ok(())
    }
}
