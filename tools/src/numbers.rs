// SPDX-License-Identifier: MIT
//! What pools and the heap hold: the numbers of `slab_print_stats`, and those that only a pool
//! itself knows.
//!
//! Of a process that runs everything is read again until each pool was read between two changes of
//! it, a few times at most. Of a pool that is never at rest for so long, its own counts are read at
//! one moment, which are few bytes; how many of its slabs are full, which takes a look at all of
//! them, is then a number of no one moment, and a warning says so.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::image::{Image, Owner, Pool, Problem, Problems, Reader};
use crate::memory::Unreadable;
use crate::shapes::View;

/// How many times everything is read at most, and how long is waited before the second of them; each
/// further time it is twice as long. A thread that this one has taken the processor from while it
/// held a lock gets it back meanwhile.
const TRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_micros(50);

/// A pool, as it is shown. The first fields are those of slab_print_stats's JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolNumbers {
    pub name: String,
    /// Of the parent; none of what is left of pools that are gone.
    pub address: Option<String>,
    pub item_size: u64,
    pub num_items: u64,
    pub element_size: u64,
    pub objects_per_slab: u64,
    pub slab_bytes: u64,
    pub slabs_full: u64,
    pub slabs_partial: u64,
    pub slabs_empty: u64,
    pub objects_out: u64,
    pub objects_guarded: u64,
    pub bytes: u64,
    pub objects_in_depot: u64,
    pub peak_objects_out: u64,
    pub children: u64,
    pub exchanges: u64,
    pub foreign_frees: u64,
    pub modes: Vec<String>,
    /// Which of these numbers are of no one moment, or do not agree.
    pub unsure: Vec<String>,
}

impl PoolNumbers {
    pub fn capacity(&self) -> u64 {
        (self.slabs_full + self.slabs_partial + self.slabs_empty)
            .saturating_mul(self.objects_per_slab)
    }

    /// What it is called in a line: name, size and hint.
    pub fn title(&self) -> String {
        let size = format!("{}x{}", self.item_size, self.num_items);
        let name = if self.address.is_none() { "(limbo)" } else { &self.name };
        if name.is_empty() { size } else { format!("{name} {size}") }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeapNumbers {
    pub held: u64,
    pub object_slabs: u64,
    pub magazine_slabs: u64,
    pub metadata: u64,
    pub dirty: u64,
    pub clean: u64,
    pub mapped: u64,
    pub chunks: u64,
    pub large: u64,
    pub free_runs: Vec<u32>,
    pub unsure: bool,
}

/// Pools of one kind that are destroyed, if the program counts them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneNumbers {
    pub name: String,
    pub item_size: u64,
    pub num_items: u64,
    pub pools: u64,
    pub peak_objects_out: u64,
    pub exchanges: u64,
    pub foreign_frees: u64,
    pub objects_left: u64,
}

/// All of a copy of the library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyNumbers {
    /// The object that carries it.
    pub object: String,
    /// Where its root is.
    pub root: String,
    pub hardened: bool,
    pub pools: Vec<PoolNumbers>,
    pub heap: HeapNumbers,
    pub gone: Vec<GoneNumbers>,
    /// What these numbers are not to be trusted in.
    pub warnings: Vec<String>,
}

impl CopyNumbers {
    /// The object that carries it, without its folder.
    pub fn object_name(&self) -> &str {
        file_name(&self.object)
    }
}

/// A path without its folder.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What tells pools apart: the parent's address, 0 if it is gone, size and hint.
type Key = (u64, u32, u32);

/// Numbers of a pool, and whether all of them held at one moment.
struct Row {
    numbers: PoolNumbers,
    is_whole: bool,
    entry: Option<u64>,
}

/// Reads a copy as often as is needed, and counts. The last image is returned as well.
pub fn count(reader: &Reader<'_>, object: &str) -> Result<(CopyNumbers, Image), Unreadable> {
    let tries = if reader.memory.is_live() { TRIES } else { 1 };
    let mut rows: BTreeMap<Key, Row> = BTreeMap::new();
    let mut heap = (HeapNumbers::default(), false);
    let mut last = None;
    for tried in 0..tries {
        if tried != 0 {
            std::thread::sleep(FIRST_PAUSE * (1 << (tried - 1)));
        }
        let mut image = reader.read()?;
        let new = rows_of(reader, &mut image);
        let new_heap = heap_of(reader, &image);
        let is_whole = image.heap_is_whole
            && image.guards_are_whole
            && new.values().all(|row| row.is_whole)
            && new_heap.1;
        // What was read at one moment in an earlier try stays, if the pool is there still.
        let mut before = std::mem::take(&mut rows);
        for (key, row) in new {
            let kept = before.remove(&key).filter(|kept| kept.is_whole && !row.is_whole);
            rows.insert(key, kept.unwrap_or(row));
        }
        if new_heap.1 || !heap.1 {
            heap = new_heap;
        }
        last = Some(image);
        if is_whole {
            break;
        }
    }
    let mut image = last.ok_or(Unreadable)?;
    let mut copy = CopyNumbers {
        object: object.to_owned(),
        root: format!("{:#x}", reader.root.address),
        hardened: reader.root.is_hardened,
        gone: gone(reader, &mut image.problems),
        ..CopyNumbers::default()
    };
    let live = reader.memory.is_live();
    for ((address, ..), row) in rows {
        let mut numbers = row.numbers;
        if !row.is_whole {
            settle(reader, &mut numbers, row.entry, address, live);
            let what = if numbers.unsure.iter().any(|what| what == "all") {
                "its numbers are".to_owned()
            } else {
                format!("the numbers of {} are", numbers.unsure.join(", "))
            };
            let why = if live { "it changed each time that it was read" } else { "it was locked" };
            copy.warnings.push(format!("pool {}: {why}: {what} of no one moment", numbers.title()));
        }
        copy.pools.push(numbers);
    }
    copy.heap = heap.0;
    if !heap.1 {
        copy.heap.unsure = true;
        let why = if live {
            "it changed each time that it was read"
        } else {
            "it was locked, or is overwritten"
        };
        copy.warnings.push(format!("heap: {why}: its numbers are of no one moment"));
    }
    if !image.guards_are_whole {
        copy.warnings.push("guarded objects changed while they were read".into());
    }
    // Of a process that runs, what was in the middle of a change looks broken.
    let is_quiet = image.heap_is_whole && image.whole_pools.len() == image.pools.len();
    if !live || is_quiet {
        copy.warnings.extend(say(&image.problems));
    } else if !image.problems.is_empty() {
        copy.warnings.push("some structures changed while they were read, and are left out".into());
    }
    Ok((copy, image))
}

/// Problems as lines.
pub fn say(problems: &Problems) -> Vec<String> {
    let line = |problem: &Problem| format!("{:#x}: {}", problem.address, problem.words);
    let mut lines: Vec<String> = problems.list.iter().map(line).collect();
    if problems.more != 0 {
        lines.push(format!("and {} more such", problems.more));
    }
    lines
}

/// The numbers of a pool that was not at rest: its own counts are read at one moment.
fn settle(
    reader: &Reader<'_>,
    numbers: &mut PoolNumbers,
    entry: Option<u64>,
    owner: u64,
    live: bool,
) {
    let pool = entry.filter(|_| live).and_then(|entry| reader.pool_at_once(entry, owner));
    let kind = (numbers.item_size, numbers.num_items);
    let pool = pool.filter(|pool| kind == (pool.item_size.into(), pool.num_items.into()));
    let Some(pool) = pool else {
        numbers.unsure = vec!["all".into()];
        return;
    };
    let before = numbers.slabs_full + numbers.slabs_partial + numbers.slabs_empty;
    let guarded_bytes = numbers.bytes.saturating_sub(before.saturating_mul(numbers.slab_bytes));
    numbers.bytes = pool.slabs.saturating_mul(numbers.slab_bytes).saturating_add(guarded_bytes);
    numbers.slabs_empty = u64::from(pool.has_spare).min(pool.slabs);
    let not_empty = pool.slabs - numbers.slabs_empty;
    numbers.slabs_full = numbers.slabs_full.min(not_empty);
    numbers.slabs_partial = not_empty - numbers.slabs_full;
    numbers.objects_out = pool.out.saturating_add(numbers.objects_guarded);
    own_numbers(reader, numbers, &pool, None);
    numbers.unsure = vec!["full and partial slabs".into(), "objects in the depot".into()];
    if numbers.objects_guarded != 0 {
        numbers.unsure.push("guarded objects".into());
    }
}

/// What only the pool itself knows.
fn own_numbers(reader: &Reader<'_>, numbers: &mut PoolNumbers, pool: &Pool, image: Option<&Image>) {
    numbers.peak_objects_out = pool.peak.max(numbers.objects_out);
    numbers.children = pool.holders;
    numbers.exchanges = pool.exchanges;
    numbers.foreign_frees = pool.foreign_frees;
    numbers.modes = modes(pool.modes);
    let word = reader.shapes.word as u64;
    let full = pool.full.iter().map(|full| full.count.saturating_mul(full.mask / word));
    numbers.objects_in_depot = full.fold(0, u64::saturating_add);
    let half = image.and_then(|image| Some(image.chunk_of(&reader.shapes, pool.half)?.1?.stride));
    if let Some(bytes) = half.filter(|bytes| bytes.is_power_of_two() && pool.half != 0) {
        numbers.objects_in_depot += (pool.half & (bytes - 1)) / word;
    }
}

/// The words of SLAB_DEBUG.
fn modes(set: u64) -> Vec<String> {
    const WORDS: [&str; 9] =
        ["checks", "redzone", "poison", "users", "quarantine", "leaks", "guard", "trace", "tools"];
    let chosen = WORDS.iter().enumerate().filter(|(bit, _)| set & 1 << bit != 0);
    chosen.map(|(_, word)| (*word).to_owned()).collect()
}

/// The numbers of all pools that have slabs or guarded objects.
fn rows_of(reader: &Reader<'_>, image: &mut Image) -> BTreeMap<Key, Row> {
    let mut problems = std::mem::take(&mut image.problems);
    let (page, live) = (reader.shapes.numbers.page, reader.memory.is_live());
    let by_owner: HashMap<u64, &Pool> = image.pools.iter().map(|pool| (pool.owner, pool)).collect();
    let mut rows: BTreeMap<Key, Row> = BTreeMap::new();
    // What the slabs say of each pool: how many that it has not given up, and how much is out.
    let mut seen: HashMap<u64, (u64, u64)> = HashMap::new();
    for chunk in image.chunks.values() {
        for slab in &chunk.slabs {
            let set = slab.bits_set();
            let behind = reader.shapes.numbers.max_objects - slab.capacity;
            let address = match slab.owner {
                Owner::Pool(owner) => owner,
                Owner::Limbo => 0,
                Owner::Magazines | Owner::Parked => continue,
            };
            let is_whole = match by_owner.get(&address) {
                Some(pool) => image.whole_pools.contains(&pool.entry),
                None => image.heap_is_whole,
            };
            let layout = (slab.item_size, slab.num_items, slab.stride);
            let is_its = |pool: &&Pool| layout == (pool.item_size, pool.num_items, pool.stride);
            if !by_owner.get(&address).is_none_or(is_its) {
                // Of a process that runs, it is another pool's by now: its owner word was read a
                // moment before.
                if !live {
                    problems.add(slab.address, "a slab of another layout than its pool's");
                }
                continue;
            }
            if is_whole && (slab.used > slab.capacity || set != slab.used + behind) {
                let words = "a slab whose bitmap and count of objects out differ";
                problems.add(slab.address, words);
            }
            let key = (address, slab.item_size, slab.num_items);
            let row = rows.entry(key).or_insert_with(|| Row {
                numbers: of(key),
                is_whole,
                entry: by_owner.get(&address).map(|pool| pool.entry),
            });
            let numbers = &mut row.numbers;
            let is_broken = slab.used > slab.capacity || set != slab.used + behind;
            if is_broken && numbers.unsure.is_empty() {
                numbers.unsure = vec!["objects out".into()];
            }
            numbers.element_size = slab.stride;
            numbers.objects_per_slab = slab.capacity as u64;
            numbers.slab_bytes = slab.bytes;
            if slab.used >= slab.capacity {
                numbers.slabs_full += 1;
            } else if slab.used != 0 {
                numbers.slabs_partial += 1;
            } else {
                numbers.slabs_empty += 1;
            }
            numbers.objects_out += slab.used as u64;
            numbers.bytes += slab.bytes;
            if !slab.is_leaving {
                let (slabs, out) = seen.entry(address).or_default();
                *slabs += 1;
                *out += slab.used as u64;
            }
        }
    }
    let guarded = image.guards.values().flat_map(|chunk| &chunk.slots).filter(|one| one.is_live);
    for one in guarded {
        let key = (one.parent, one.item_size, one.num_items);
        let entry = by_owner.get(&one.parent).map(|pool| pool.entry);
        let is_whole = image.guards_are_whole;
        let row = rows.entry(key).or_insert_with(|| Row { numbers: of(key), is_whole, entry });
        row.is_whole &= is_whole;
        row.numbers.objects_out += 1;
        row.numbers.objects_guarded += 1;
        row.numbers.bytes += (one.end - one.start).next_multiple_of(page);
    }
    for ((address, ..), row) in &mut rows {
        let Some(pool) = by_owner.get(address) else {
            if *address != 0 && image.heap_is_whole && row.numbers.slab_bytes != 0 {
                problems.add(*address, "slabs of a pool that is not in the heap's table");
            }
            continue;
        };
        row.numbers.name = String::from_utf8_lossy(&pool.name).into_owned();
        own_numbers(reader, &mut row.numbers, pool, Some(image));
        let (slabs, out) = seen.get(address).copied().unwrap_or_default();
        if row.is_whole && (slabs, out) != (pool.slabs, pool.out) {
            if live {
                row.is_whole = false;
                continue;
            }
            let words = format!(
                "a pool that says {} slabs with {} objects out, of which {slabs} with {out} are found",
                pool.slabs, pool.out
            );
            problems.add(*address, words);
            row.numbers.unsure = vec!["slabs".into(), "objects out".into()];
        }
        if row.numbers.slab_bytes != pool.slab_bytes(&reader.shapes) && row.is_whole && slabs != 0 {
            problems.add(*address, "a pool whose slabs are of another size than it says");
        }
    }
    image.problems = problems;
    rows
}

fn of((address, item_size, num_items): Key) -> PoolNumbers {
    PoolNumbers {
        address: (address != 0).then(|| format!("{address:#x}")),
        item_size: item_size.into(),
        num_items: num_items.into(),
        ..PoolNumbers::default()
    }
}

/// The numbers of the process's heap, and whether they held at one moment and agree.
fn heap_of(reader: &Reader<'_>, image: &Image) -> (HeapNumbers, bool) {
    let page = reader.shapes.numbers.page;
    let clean = image.heap.free_pages.saturating_sub(image.heap.dirty_pages);
    let mut heap = HeapNumbers {
        mapped: image.heap.mapped,
        dirty: image.heap.dirty_pages.saturating_mul(page),
        clean: clean.saturating_mul(page),
        free_runs: vec![0; 16],
        ..HeapNumbers::default()
    };
    let (mut mapped, mut free, mut dirty) = (0u64, 0u64, 0u64);
    for chunk in image.chunks.values().filter(|chunk| chunk.is_process) {
        for slab in &chunk.slabs {
            match slab.owner {
                Owner::Magazines | Owner::Parked => heap.magazine_slabs += slab.bytes,
                Owner::Pool(_) | Owner::Limbo => heap.object_slabs += slab.bytes,
            }
        }
        heap.chunks += 1;
        heap.large += u64::from(chunk.is_large && !chunk.slabs.is_empty());
        heap.metadata += chunk.metadata;
        mapped += chunk.bytes;
        free += chunk.free_pages;
        dirty += chunk.dirty_pages;
        if !chunk.is_large {
            heap.free_runs.iter_mut().zip(chunk.free_runs).for_each(|(all, one)| *all += one);
        }
    }
    heap.held = [heap.object_slabs, heap.magazine_slabs, heap.metadata, heap.dirty]
        .into_iter()
        .fold(0, u64::saturating_add);
    let agrees =
        (mapped, free, dirty) == (image.heap.mapped, image.heap.free_pages, image.heap.dirty_pages);
    (heap, image.heap_is_whole && agrees)
}

/// The pools that are destroyed, which a program counts if it is to write statistics at its end.
fn gone(reader: &Reader<'_>, problems: &mut Problems) -> Vec<GoneNumbers> {
    let shapes = &reader.shapes;
    let mut found = Vec::new();
    if reader.root.places.gone == 0 {
        return found;
    }
    let Ok(bytes) = reader.memory.bytes(reader.root.places.gone, shapes.table.bytes) else {
        problems.add(reader.root.places.gone, "the table of pools that are gone cannot be read");
        return found;
    };
    let rows = shapes.numbers.gone_rows;
    for index in 0..rows {
        let at = shapes.table.rows.offset + index * shapes.gone.bytes;
        let row = View::new(&bytes).slice(at, shapes.gone.bytes);
        let pools = row.get(shapes.gone.pools);
        if pools == 0 {
            break;
        }
        let length = (row.get(shapes.gone.name_length) as usize).min(shapes.numbers.name_bytes);
        let name = row.part(shapes.gone.name, length).as_bytes();
        found.push(GoneNumbers {
            name: String::from_utf8_lossy(name).into_owned(),
            item_size: row.get(shapes.gone.item_size),
            num_items: row.get(shapes.gone.num_items),
            pools,
            peak_objects_out: row.get(shapes.gone.peak),
            exchanges: row.get(shapes.gone.exchanges),
            foreign_frees: row.get(shapes.gone.foreign_frees),
            objects_left: row.get(shapes.gone.objects_left),
        });
    }
    found
}
