// SPDX-License-Identifier: MIT
//! Children, and what they cache. The library does not know where they are, as they lie in the
//! program's memory; so that is searched for what looks like one: the address of a parent, and
//! behind it magazines which are blocks of the heap's, and have objects of that parent that are out
//! of their slabs.
//!
//! A child is used without a lock. So of a process that runs, each is read twice, and a warning
//! says if one has changed.

use std::collections::HashMap;

use crate::find::{Cached, Who, rounds};
use crate::image::{Image, Owner, Pool, Reader};
use crate::shapes::View;

/// So much is searched at a time.
const PIECE: u64 = 1 << 20;
/// A mapping of more bytes is not searched.
const MOST: u64 = 1 << 36;

/// Notes in `cached` what the children of all pools have in their magazines, and returns what is to
/// be said of it.
pub fn search(reader: &Reader<'_>, image: &Image, cached: &mut Cached) -> Vec<String> {
    let shape = &reader.shapes.child;
    let parents: HashMap<u64, &Pool> = image.pools.iter().map(|pool| (pool.owner, pool)).collect();
    let mut found: Vec<(u64, Vec<u8>, &Pool)> = Vec::new();
    let mut left_out = 0;
    for mapping in reader.memory.mappings().iter().filter(|mapping| mapping.writable) {
        if mapping.bytes() > MOST {
            left_out += 1;
            continue;
        }
        let mut at = mapping.start;
        while at < mapping.end {
            // What lies across the end of a piece is in the next one as well.
            let end = mapping.end.min(at.saturating_add(PIECE + shape.bytes as u64));
            if !is_in_chunk(reader, image, at, end) {
                let bytes = readable(reader, at, end);
                search_piece(reader, &parents, at, &bytes, &mut found);
            }
            at = at.saturating_add(PIECE);
        }
    }
    found.sort_by_key(|(at, ..)| *at);
    found.dedup_by_key(|(at, ..)| *at);
    let mut warnings = Vec::new();
    let mut holders: HashMap<u64, u64> = HashMap::new();
    for (at, bytes, pool) in found {
        if !add(reader, image, cached, at, &bytes, pool) {
            continue;
        }
        *holders.entry(pool.owner).or_default() += 1;
        let again = reader.memory.bytes(at, bytes.len());
        if again.as_ref() != Ok(&bytes) {
            warnings.push(format!(
                "the child at {at:#x} changed while it was read: what it caches may be told as out, or the other way \
                 round"
            ));
        }
    }
    if left_out != 0 {
        warnings.push(format!("{left_out} large mappings were not searched for children"));
    }
    for pool in &image.pools {
        let (there, seen) = (pool.holders, holders.get(&pool.owner).copied().unwrap_or(0));
        // Children of pools with modes have no magazines.
        if pool.modes == 0 && there != seen && image.whole_pools.contains(&pool.entry) {
            warnings.push(format!(
                "pool at {:#x}: {seen} children with magazines were found of {there}: what the others cache is told as \
                 out",
                pool.owner
            ));
        }
    }
    warnings
}

/// Whether all of a range is of one chunk, where no child is: objects of the program's may have
/// children in them, but those of pools' slabs are looked at as well.
fn is_in_chunk(reader: &Reader<'_>, image: &Image, start: u64, end: u64) -> bool {
    let head = reader.shapes.numbers.header_pages as u64 * reader.shapes.numbers.page;
    image.chunk_of(&reader.shapes, start).is_some_and(|(chunk, _)| end - chunk.address <= head)
}

/// The bytes of a range, with zeroes for pages that cannot be read.
fn readable(reader: &Reader<'_>, start: u64, end: u64) -> Vec<u8> {
    let count = (end - start) as usize;
    if let Ok(bytes) = reader.memory.bytes(start, count) {
        return bytes;
    }
    let page = reader.memory.page_size();
    let mut bytes = vec![0; count];
    let mut at = start;
    while at < end {
        let next = end.min((at / page + 1).saturating_mul(page));
        let range = (at - start) as usize..(next - start) as usize;
        if reader.memory.read(at, &mut bytes[range.clone()]).is_err() {
            bytes[range].fill(0);
        }
        at = next;
    }
    bytes
}

fn search_piece<'a>(
    reader: &Reader<'_>,
    parents: &HashMap<u64, &'a Pool>,
    start: u64,
    bytes: &[u8],
    found: &mut Vec<(u64, Vec<u8>, &'a Pool)>,
) {
    let (shape, word) = (&reader.shapes.child, reader.shapes.word);
    let (Some(lowest), Some(highest)) = (parents.keys().min(), parents.keys().max()) else {
        return;
    };
    for (index, parent) in bytes.chunks_exact(word).enumerate() {
        let parent = View::new(parent).number(0, word);
        if parent < *lowest || parent > *highest {
            continue;
        }
        let Some(pool) = parents.get(&parent) else { continue };
        let Some(at) = (index * word).checked_sub(shape.parent.offset) else { continue };
        let Some(child) = bytes.get(at..at + shape.bytes) else { continue };
        let view = View::new(child);
        let mask = view.get(shape.mask);
        let has_size = view.get(shape.item_size) == u64::from(pool.item_size.max(1));
        if mask != 0 && pool.full.iter().any(|full| full.mask == mask) && has_size {
            found.push((start + at as u64, child.to_vec(), pool));
        }
    }
}

/// Notes what a child caches. Returns false if it is none: its magazines have something else in
/// them than objects of the pool.
fn add(
    reader: &Reader<'_>,
    image: &Image,
    cached: &mut Cached,
    at: u64,
    child: &[u8],
    pool: &Pool,
) -> bool {
    let shape = &reader.shapes.child;
    let view = View::new(child);
    let mask = view.get(shape.mask);
    let magazines = [view.get(shape.loaded), view.get(shape.previous)];
    if magazines[0] == 0 {
        return false;
    }
    let mut all = Vec::new();
    for magazine in magazines.into_iter().filter(|magazine| *magazine != 0) {
        let Some((_, found)) = rounds(reader, image, magazine, mask) else { return false };
        all.extend(found);
    }
    let is_own = |round: &u64| {
        image.chunk_of(&reader.shapes, *round).and_then(|(_, slab)| slab).is_some_and(|slab| {
            slab.owner == Owner::Pool(pool.owner) && slab.is_out(slab.index_of(*round))
        })
    };
    // Between two reads of a process that runs, one may have gone back.
    if !reader.memory.is_live() && !all.iter().all(is_own) {
        return false;
    }
    for round in all {
        cached.note(round, Who::Child(format!("{at:#x}")));
    }
    true
}
