// SPDX-License-Identifier: MIT
//! `objects`: what the program has of a pool's objects.

use std::collections::HashMap;
use std::fmt::Write;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use serde::Serialize;

use crate::look::{Look, pool_address};
use crate::memory::Memory;
use crate::numbers::PoolNumbers;
use crate::symbols::Symbols;
use crate::target::Target;

/// Bytes of a line of a dump.
const LINE: usize = 16;

#[derive(Args)]
pub struct Objects {
    #[command(flatten)]
    target: Target,
    /// The pool: its address, its name, its size and hint as 96x64, or limbo for what is left of pools that are gone
    pool: String,
    /// Show the bytes of each object, all or so many
    #[arg(long, value_name = "BYTES", num_args = 0..=1, default_missing_value = "4294967295",
        conflicts_with_all = ["group_by", "json"])]
    hexdump: Option<usize>,
    /// Count the objects by a word in them, as a pointer to a vtable: so many bytes, at an offset
    #[arg(long, value_name = "BYTES@OFFSET", value_parser = part)]
    group_by: Option<(usize, usize)>,
    /// Show the first so many objects or values only
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Don't search the program's memory for children: what they cache is then listed as well
    #[arg(long)]
    fast: bool,
    /// JSON in place of lines
    #[arg(long)]
    json: bool,
}

/// `BYTES@OFFSET`.
fn part(text: &str) -> Result<(usize, usize)> {
    let (bytes, offset) = text.split_once('@').unwrap_or((text, "0"));
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => usize::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    match (number(bytes), number(offset)) {
        (Some(bytes @ 1..=4096), Some(offset @ 0..=0xffff_ffff)) => Ok((bytes, offset)),
        _ => bail!("not BYTES@OFFSET, with 1 to 4096 bytes"),
    }
}

/// A value that objects have in common.
#[derive(Serialize)]
struct Group {
    count: usize,
    value: String,
    symbol: Option<String>,
    /// One of them.
    example: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    pool: String,
    /// How many the program has, whatever --limit says.
    count: usize,
    objects: Vec<String>,
    groups: &'a [Group],
    warnings: Vec<String>,
}

impl Objects {
    pub fn run(self) -> Result<()> {
        let opened = self.target.open()?;
        let memory = &*opened.memory;
        let mut warnings = opened.remarks.clone();
        let mut looks = Vec::new();
        for copy in &opened.copies {
            match Look::at(memory, copy, self.fast) {
                Ok(look) => looks.push(look),
                Err(words) => warnings.push(words),
            }
        }
        let (look, pool) = choose(&looks, &self.pool)?;
        warnings.extend(look.warnings.iter().cloned());
        let objects = look.objects(pool);
        let most = self.limit.unwrap_or(usize::MAX);
        let groups = match self.group_by {
            Some((bytes, offset)) => {
                if offset + bytes > pool.item_size as usize {
                    bail!(
                        "--group-by: objects of pool {} have {} bytes",
                        title(pool),
                        pool.item_size
                    );
                }
                let (groups, unread) = groups(memory, &objects, bytes, offset);
                if unread != 0 {
                    warnings.push(format!("{unread} objects cannot be read"));
                }
                groups
            }
            None => Vec::new(),
        };
        let shown = &objects[..objects.len().min(most)];
        let groups = &groups[..groups.len().min(most)];
        if self.json {
            let answer = Answer {
                pool: title(pool),
                count: objects.len(),
                objects: shown.iter().map(|object| format!("{object:#x}")).collect(),
                groups,
                warnings,
            };
            println!("{}", serde_json::to_string_pretty(&answer)?);
            return Ok(());
        }
        let plural = if objects.len() == 1 { "" } else { "s" };
        println!("# pool {}: {} object{plural} of the program's", title(pool), objects.len());
        if self.group_by.is_some() {
            println!("{:>10} {:>6}  {:<18} SYMBOL, AND ONE OF THEM", "OBJECTS", "%", "VALUE");
            for group in groups {
                let share = 100.0 * group.count as f64 / objects.len() as f64;
                let symbol = group.symbol.as_deref().unwrap_or("-");
                println!(
                    "{:>10} {share:>6.1}  {:<18} {symbol}, {}",
                    group.count, group.value, group.example
                );
            }
        } else {
            for object in shown {
                println!("{object:#x}");
                if let Some(most) = self.hexdump {
                    print!("{}", dump(memory, *object, most.min(pool.item_size as usize)));
                }
            }
        }
        warnings.iter().for_each(|warning| println!("# warning: {warning}"));
        Ok(())
    }
}

fn title(pool: &PoolNumbers) -> String {
    let at = pool.address.as_ref().map(|address| format!(" at {address}")).unwrap_or_default();
    format!("{}{at}", pool.title())
}

/// The pool that was meant, and the copy that it is of.
fn choose<'a, 'b>(looks: &'b [Look<'a>], wanted: &str) -> Result<(&'b Look<'a>, &'b PoolNumbers)> {
    let digits = wanted.strip_prefix("0x").unwrap_or(wanted);
    let address = u64::from_str_radix(digits, 16).ok().filter(|address| *address != 0);
    let is_wanted = |pool: &PoolNumbers| {
        address.is_some_and(|address| address == pool_address(pool))
            || pool.name == wanted && !wanted.is_empty()
            || format!("{}x{}", pool.item_size, pool.num_items) == wanted
            || pool.title() == wanted
            || pool.address.is_none() && wanted == "limbo"
    };
    let all = looks.iter().flat_map(|look| look.numbers.pools.iter().map(move |pool| (look, pool)));
    let found: Vec<_> = all.clone().filter(|(_, pool)| is_wanted(pool)).collect();
    let names = |pools: &mut dyn Iterator<Item = (&Look<'_>, &PoolNumbers)>| {
        let name = |(look, pool): (&Look<'_>, &PoolNumbers)| match looks.len() {
            1 => title(pool),
            _ => format!("{} ({})", title(pool), look.numbers.object_name()),
        };
        pools.map(name).collect::<Vec<_>>().join("; ")
    };
    match found[..] {
        [one] => Ok(one),
        [] => Err(anyhow!("there is no pool {wanted}, of these: {}", names(&mut all.into_iter()))),
        _ => Err(anyhow!(
            "several pools are meant by {wanted}; take the address of one: {}",
            names(&mut found.iter().copied())
        )),
    }
}

/// The objects by what they have at an offset, the most common value first; and how many could not
/// be read.
fn groups(
    memory: &dyn Memory,
    objects: &[u64],
    bytes: usize,
    offset: usize,
) -> (Vec<Group>, usize) {
    let (mut counts, mut unread) = (HashMap::<Vec<u8>, (usize, u64)>::new(), 0);
    for object in objects {
        match memory.bytes(object.saturating_add(offset as u64), bytes) {
            Ok(value) => counts.entry(value).or_insert((0, *object)).0 += 1,
            Err(_) => unread += 1,
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|one, other| other.1.0.cmp(&one.1.0).then(one.0.cmp(&other.0)));
    let mut symbols = Symbols::default();
    let group = |(value, (count, example)): (Vec<u8>, (usize, u64))| {
        let mut word = [0; 8];
        let is_word = value.len() <= word.len();
        if is_word {
            word[..value.len()].copy_from_slice(&value);
        }
        let address = u64::from_le_bytes(word);
        let symbol =
            if is_word && address > 4096 { symbols.data_of(memory, address) } else { None };
        let value = if is_word {
            format!("{address:#x}")
        } else {
            value.iter().map(|byte| format!("{byte:02x}")).collect()
        };
        Group { count, value, symbol, example: format!("{example:#x}") }
    };
    (counts.into_iter().map(group).collect(), unread)
}

/// Bytes as lines of sixteen, and as text.
fn dump(memory: &dyn Memory, address: u64, count: usize) -> String {
    let mut out = String::new();
    for at in (0..count).step_by(LINE) {
        let Ok(bytes) = memory.bytes(address.saturating_add(at as u64), LINE.min(count - at))
        else {
            let _ = writeln!(out, "   {at:04x}  cannot be read");
            continue;
        };
        let _ = write!(out, "   {at:04x} ");
        for index in 0..LINE {
            let space = if index % 8 == 0 { " " } else { "" };
            let _ = match bytes.get(index) {
                Some(byte) => write!(out, "{space} {byte:02x}"),
                None => write!(out, "{space}   "),
            };
        }
        let text = bytes.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        });
        let _ = writeln!(out, "  {}", text.collect::<String>());
    }
    out
}
