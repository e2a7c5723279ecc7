// SPDX-License-Identifier: MIT
//! What a copy of the library has in memory, read once: its chunks and slabs, its pools, its guarded
//! objects.
//!
//! Nothing here is believed. Every count has a bound, every address is looked up before it is
//! followed, every list ends; what cannot be is noted as a [`Problem`] and left out. Of a process
//! that runs, a structure may change while it is read: each lock has a word and a generation, which
//! are read before and after ([`Lock`]).

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crate::memory::{Memory, Unreadable};
use crate::root::Root;
use crate::shapes::{Shapes, View, read_word};

/// Pools of a program at most.
const MOST_POOLS: usize = 1 << 20;
/// Problems that are told of.
const MOST_PROBLEMS: usize = 20;

/// Something that does not hold.
#[derive(Clone, Debug)]
pub struct Problem {
    pub address: u64,
    pub words: String,
}

#[derive(Clone, Debug, Default)]
pub struct Problems {
    pub list: Vec<Problem>,
    /// How many there were beside those of the list.
    pub more: usize,
}

impl Problems {
    pub fn add(&mut self, address: u64, words: impl Into<String>) {
        if self.list.len() < MOST_PROBLEMS {
            self.list.push(Problem { address, words: words.into() });
        } else {
            self.more += 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// What says whether something was changed meanwhile: a lock's word, and how often it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    pub is_taken: bool,
    pub generation: u64,
}

impl Lock {
    /// Whether what the lock protects held at one moment, if it was read between these two.
    pub fn is_same(self, after: Lock) -> bool {
        !self.is_taken && self == after
    }
}

/// Who owns a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Pool(u64),
    Limbo,
    Magazines,
    Parked,
}

/// A slab.
#[derive(Clone, Debug)]
pub struct Slab {
    /// Its descriptor.
    pub address: u64,
    pub base: u64,
    pub bytes: u64,
    pub owner: Owner,
    pub item_size: u32,
    pub num_items: u32,
    pub stride: u64,
    pub capacity: usize,
    pub used: usize,
    /// Its pool has given it up, and the heap has yet to take it.
    pub is_leaving: bool,
    bitmap: Vec<u64>,
}

impl Slab {
    /// Whether an object is out, by its number.
    pub fn is_out(&self, index: usize) -> bool {
        self.bitmap.get(index / 64).is_some_and(|word| word & 1 << (index % 64) != 0)
    }

    /// How many bits are set, those behind the last object included.
    pub fn bits_set(&self) -> usize {
        self.bitmap.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The number of the object that an address lies in or behind.
    pub fn index_of(&self, address: u64) -> usize {
        (address.saturating_sub(self.base) / self.stride) as usize
    }

    /// Where an object's slot is.
    pub fn slot(&self, index: usize) -> u64 {
        self.base.saturating_add(index as u64 * self.stride)
    }

    pub fn contains(&self, address: u64) -> bool {
        address.checked_sub(self.base).is_some_and(|within| within < self.bytes)
    }

    /// Bytes from a slot to its object, which are not 0 in pools with redzones.
    pub fn lead(&self) -> u64 {
        crate::redzone::lead(self.item_size, self.stride)
    }
}

/// A chunk of ordinary slabs.
#[derive(Clone, Debug)]
pub struct Chunk {
    pub address: u64,
    /// Of the reservation.
    pub bytes: u64,
    pub is_large: bool,
    /// Whether it is the process's heap's, and none that the program has made.
    pub is_process: bool,
    pub slabs: Vec<Slab>,
    pub free_pages: u64,
    pub dirty_pages: u64,
    pub metadata: u64,
    /// How many free runs of each order.
    pub free_runs: [u32; 16],
    dirty: Vec<u8>,
}

impl Chunk {
    /// Whether a free page may have memory behind it.
    pub fn is_dirty(&self, page: u64, page_bytes: u64) -> bool {
        if self.is_large {
            // The last ones are.
            return page.saturating_add(self.dirty_pages) >= self.bytes / page_bytes;
        }
        let page = page as usize;
        self.dirty.get(page / 8).is_some_and(|byte| byte & 1 << (page % 8) != 0)
    }
}

/// A pool, by its entry and its body.
#[derive(Clone, Debug)]
pub struct Pool {
    /// The entry, where the body is as well.
    pub entry: u64,
    /// The parent.
    pub owner: u64,
    pub name: Vec<u8>,
    pub lock: Lock,
    pub item_size: u32,
    pub num_items: u32,
    pub stride: u64,
    pub order: u64,
    pub modes: u64,
    pub has_spare: bool,
    pub slabs: u64,
    pub holders: u64,
    pub out: u64,
    pub peak: u64,
    pub foreign_frees: u64,
    pub exchanges: u64,
    /// The full magazines of each size: their mask, the first one, and how many.
    pub full: Vec<Full>,
    pub half: u64,
}

impl Pool {
    /// Bytes of one of its slabs.
    pub fn slab_bytes(&self, shapes: &Shapes) -> u64 {
        slab_bytes(shapes, self.order, self.stride)
    }
}

/// The full magazines of one size that a depot has.
#[derive(Clone, Copy, Debug)]
pub struct Full {
    /// Their bytes less 1.
    pub mask: u64,
    pub first: u64,
    pub count: u64,
}

/// A guarded object, or a slot that had one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// Its slot's descriptor.
    pub slot: u64,
    /// Where its pages start, its object does, and its pages end.
    pub start: u64,
    pub object: u64,
    pub end: u64,
    /// The first byte behind its guard page.
    pub behind: u64,
    pub is_live: bool,
    pub is_freed: bool,
    pub item_size: u32,
    pub num_items: u32,
    pub parent: u64,
    /// Thread and stack.
    pub allocated: (u64, u64),
    pub freed: (u64, u64),
}

/// A chunk of guarded objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardChunk {
    pub address: u64,
    pub bytes: u64,
    pub slots: Vec<Guarded>,
}

/// Magazine and slab that are kept for the next child.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kit {
    pub magazine: u64,
    pub mask: u64,
}

/// What is read of the heap itself.
#[derive(Clone, Debug)]
pub struct Heap {
    pub lock: Lock,
    pub mapped: u64,
    pub free_pages: u64,
    pub dirty_pages: u64,
    pub kits: Vec<Kit>,
}

/// See the head of this file.
#[derive(Clone, Debug)]
pub struct Image {
    pub heap: Heap,
    pub chunks: BTreeMap<u64, Chunk>,
    pub guards: BTreeMap<u64, GuardChunk>,
    pub pools: Vec<Pool>,
    pub problems: Problems,
    /// Whether the heap's part held at one moment.
    pub heap_is_whole: bool,
    /// The same of each pool, by its entry.
    pub whole_pools: HashSet<u64>,
    /// The same of guarded objects.
    pub guards_are_whole: bool,
}

/// What reads a copy of the library.
pub struct Reader<'a> {
    pub memory: &'a dyn Memory,
    pub root: &'a Root,
    pub shapes: Shapes,
    secret: u64,
}

/// Bytes of a slab.
fn slab_bytes(shapes: &Shapes, order: u64, stride: u64) -> u64 {
    let page = shapes.numbers.page;
    if order == shapes.numbers.large {
        stride.next_multiple_of(page)
    } else {
        page << order.min(31)
    }
}

impl<'a> Reader<'a> {
    pub fn new(memory: &'a dyn Memory, root: &'a Root) -> Result<Reader<'a>, crate::root::Fault> {
        let shapes = Shapes::of(root)?;
        let secret = match root.places.secret {
            0 => 0,
            place => read_word(memory, root.word, place).unwrap_or(0),
        };
        Ok(Reader { memory, root, shapes, secret })
    }

    /// What a word of a magazine means, which is sealed in the hardened build.
    pub fn unseal(&self, value: u64, at: u64) -> u64 {
        if !self.root.is_hardened {
            return value;
        }
        let bits = if self.shapes.word == 4 { u64::from(u32::MAX) } else { u64::MAX };
        (value ^ self.secret ^ at) & bits
    }

    pub fn word(&self, address: u64) -> Result<u64, Unreadable> {
        read_word(self.memory, self.shapes.word, address)
    }

    /// The lock of a pool.
    pub fn pool_lock(&self, entry: u64) -> Result<Lock, Unreadable> {
        let shapes = &self.shapes;
        let bytes = self.memory.bytes(entry, shapes.pool.bytes)?;
        Ok(self.lock_of(View::new(&bytes)))
    }

    fn lock_of(&self, pool: View<'_>) -> Lock {
        let shapes = &self.shapes;
        let body = pool.part(shapes.pool.body, shapes.body.bytes);
        Lock {
            is_taken: pool.number(shapes.entry.mutex.offset, 4) != 0,
            generation: body.get(shapes.body.generation),
        }
    }

    /// Reads everything once.
    pub fn read(&self) -> Result<Image, Unreadable> {
        let (heap, buckets) = self.heap()?;
        let mut problems = Problems::default();
        let mut image = Image {
            heap,
            chunks: BTreeMap::new(),
            guards: BTreeMap::new(),
            pools: Vec::new(),
            problems: Problems::default(),
            heap_is_whole: false,
            whole_pools: HashSet::new(),
            guards_are_whole: true,
        };
        let reservations = self.registry(&mut problems)?;
        image.guards = self.guards(&reservations, &mut problems);
        self.pools(&buckets, &reservations, &mut image.pools, &mut problems);
        for address in reservations {
            if image.guards.contains_key(&address) {
                continue;
            }
            match self.chunk(address, &mut problems) {
                Ok(chunk) => drop(image.chunks.insert(address, chunk)),
                Err(Unreadable) => problems.add(address, "a chunk that cannot be read"),
            }
        }
        // Now what was changed meanwhile.
        image.heap_is_whole = self.heap()?.0.lock.is_same(image.heap.lock);
        for pool in &image.pools {
            if self.pool_lock(pool.entry).is_ok_and(|lock| pool.lock.is_same(lock)) {
                image.whole_pools.insert(pool.entry);
            }
        }
        if self.memory.is_live() && self.root.places.guards != 0 {
            let again = self.registry(&mut Problems::default())?;
            image.guards_are_whole = self.guards(&again, &mut Problems::default()) == image.guards;
        }
        self.names(&mut image.pools, &mut problems);
        image.problems = problems;
        Ok(image)
    }

    /// What the places for kits have.
    fn kits(&self, heap: &View<'_>) -> Vec<Kit> {
        let shapes = &self.shapes;
        let (place, kit) = (&shapes.place, &shapes.kit);
        let places = (0..shapes.numbers.kits)
            .map(|index| heap.slice(shapes.heap.parking.offset + index * place.bytes, place.bytes));
        places
            .filter(|view| view.get(place.word) == shapes.numbers.kit_is_there)
            .map(|view| view.part(place.kit, kit.bytes))
            .map(|view| Kit { magazine: view.get(kit.magazine), mask: view.get(kit.mask) })
            .collect()
    }

    /// The heap's own part, and the bytes that have the buckets of the table of pools.
    fn heap(&self) -> Result<(Heap, Vec<u8>), Unreadable> {
        let shapes = &self.shapes;
        let bytes = self.memory.bytes(self.root.places.heap, shapes.heap.bytes)?;
        let view = View::new(&bytes);
        let state = view.part(shapes.heap.state, shapes.state.bytes);
        let heap = Heap {
            lock: Lock {
                is_taken: view.number(shapes.heap.mutex.offset, 4) != 0,
                generation: state.get(shapes.state.generation),
            },
            mapped: state.get(shapes.state.mapped),
            free_pages: state.get(shapes.state.free_pages),
            dirty_pages: state.get(shapes.state.dirty_pages),
            kits: self.kits(&view),
        };
        let buckets = view.slice(shapes.heap.pools.offset, shapes.numbers.buckets * shapes.word);
        let buckets = buckets.as_bytes().to_vec();
        Ok((heap, buckets))
    }

    /// Where chunks are, those of guarded objects among them.
    fn registry(&self, problems: &mut Problems) -> Result<Vec<u64>, Unreadable> {
        let numbers = &self.shapes.numbers;
        let word = self.shapes.word;
        let leaves = self.memory.bytes(self.root.places.registry, numbers.leaves * word)?;
        let leaf_bytes = (1usize << numbers.leaf_shift) / 8;
        let mut found = Vec::new();
        for (index, leaf) in leaves.chunks_exact(word).enumerate() {
            let leaf = View::new(leaf).number(0, word);
            if leaf == 0 {
                continue;
            }
            let Ok(bits) = self.memory.bytes(leaf, leaf_bytes) else {
                problems.add(leaf, "a leaf of the registry of chunks cannot be read");
                continue;
            };
            for (at, byte) in bits.iter().enumerate().filter(|(_, byte)| **byte != 0) {
                for bit in (0..8).filter(|bit| byte & 1 << bit != 0) {
                    let number = ((index as u64) << numbers.leaf_shift) + (at * 8 + bit) as u64;
                    found.push(number << numbers.chunk_shift);
                }
            }
        }
        Ok(found)
    }

    fn chunk(&self, address: u64, problems: &mut Problems) -> Result<Chunk, Unreadable> {
        let (shapes, numbers) = (&self.shapes, &self.shapes.numbers);
        let shape = &shapes.chunk;
        let head = self.memory.bytes(address, shape.slabs.offset)?;
        let view = View::new(&head);
        let most = (shape.bytes - shape.slabs.offset) / shapes.slab.bytes;
        let mut written = view.get(shape.slots_written) as usize;
        if written > most {
            problems.add(address, format!("a chunk says that {written} slabs of {most} were used"));
            written = most;
        }
        let slabs_at = address.saturating_add(shape.slabs.offset as u64);
        let slabs = self.memory.bytes(slabs_at, written * shapes.slab.bytes)?;
        // Pages of the header that were given back have no memory.
        let pages =
            ((shape.slabs.offset + written * shapes.slab.bytes) as u64).div_ceil(numbers.page);
        let reached = 1_u64.checked_shl(pages as u32).map_or(u64::MAX, |bit| bit - 1);
        let absent = (view.get(shape.absent) & reached).count_ones();
        let metadata = (pages - u64::from(absent)) * numbers.page;
        let buddy = view.part(shape.buddy, shapes.buddy.bytes);
        let is_large = view.get(shape.large) != 0;
        let mut chunk = Chunk {
            address,
            bytes: view.get(shape.reserved),
            is_large,
            is_process: view.get(shape.home) == 0,
            slabs: Vec::new(),
            // A large object's chunk has no runs: it is in use, or kept as a whole.
            free_pages: buddy.get(shapes.buddy.free_pages) + view.get(shape.idle_pages),
            dirty_pages: buddy.get(shapes.buddy.dirty_pages) + view.get(shape.idle_dirty),
            metadata,
            free_runs: [0; 16],
            dirty: buddy.slice(shapes.buddy.dirty.offset, numbers.pages / 8).as_bytes().to_vec(),
        };
        if chunk.bytes < numbers.header_pages as u64 * numbers.page || chunk.bytes >= 1 << 40 {
            problems.add(address, format!("a chunk says that it has {} bytes", chunk.bytes));
            chunk.bytes = numbers.chunk;
        }
        if !is_large {
            for page in numbers.header_pages..numbers.pages {
                let node = buddy
                    .slice(shapes.buddy.nodes.offset + page * shapes.node.bytes, shapes.node.bytes);
                let order = node.get(shapes.node.order_plus_1) as usize;
                if order == 0 {
                    continue;
                }
                match chunk.free_runs.get_mut(order - 1) {
                    Some(runs) => *runs += 1,
                    None => problems.add(address, "a free run of an order that there is not"),
                }
            }
        }
        let used = view.slice(shape.slots_used.offset, most.div_ceil(8)).as_bytes();
        for slot in 0..written {
            if used.get(slot / 8).is_some_and(|byte| byte & 1 << (slot % 8) != 0) {
                let at = slot * shapes.slab.bytes;
                let slab = View::new(&slabs).slice(at, shapes.slab.bytes);
                let place = slabs_at.saturating_add(at as u64);
                match self.slab(&chunk, view, place, slab) {
                    Ok(slab) => chunk.slabs.push(slab),
                    Err(words) => problems.add(place, words),
                }
            }
        }
        chunk.slabs.sort_by_key(|slab| slab.base);
        let overlap = chunk
            .slabs
            .windows(2)
            .find(|pair| pair[1].base < pair[0].base.saturating_add(pair[0].bytes));
        if let Some(pair) = overlap {
            problems.add(pair[1].address, "a slab that lies over another one");
        }
        Ok(chunk)
    }

    fn slab(
        &self,
        chunk: &Chunk,
        head: View<'_>,
        address: u64,
        view: View<'_>,
    ) -> Result<Slab, &'static str> {
        let (shapes, numbers) = (&self.shapes, &self.shapes.numbers);
        let shape = &shapes.slab;
        let (page, order) = (view.get(shape.page) as usize, view.get(shape.order));
        let (stride, capacity) = (view.get(shape.stride), view.get(shape.capacity) as usize);
        if page < numbers.header_pages || page >= numbers.pages || order > numbers.large {
            return Err("a slab that is not in its chunk");
        }
        if chunk.is_large != (order == numbers.large) {
            return Err("a slab of a size that its chunk is not for");
        }
        if stride == 0 || capacity == 0 || capacity > numbers.max_objects {
            return Err("a slab without objects, or with too many");
        }
        let bytes = slab_bytes(shapes, order, stride);
        let start = page as u64 * numbers.page;
        let end = if chunk.is_large { chunk.bytes } else { numbers.chunk };
        if start + bytes > end || capacity as u64 * stride > bytes {
            return Err("a slab that is larger than its chunk, or smaller than its objects");
        }
        let owner = head.number(shapes.chunk.owners.offset + page * shapes.word, shapes.word);
        let owner = match owner {
            0 => return Err("a slab without an owner"),
            owner if owner == numbers.limbo => Owner::Limbo,
            owner if owner == numbers.magazines => Owner::Magazines,
            owner if owner == numbers.parked => Owner::Parked,
            owner if owner < numbers.page => return Err("a slab with an owner that cannot be"),
            owner => Owner::Pool(owner),
        };
        let words = numbers.max_objects / 64;
        let bitmap =
            (0..words).map(|word| view.number(shape.bitmap.offset + word * 8, 8)).collect();
        Ok(Slab {
            address,
            base: chunk.address.saturating_add(start),
            bytes,
            owner,
            item_size: view.get(shape.item_size) as u32,
            num_items: view.get(shape.num_items) as u32,
            stride,
            capacity,
            used: (view.get(shape.used) as usize).min(numbers.max_objects),
            is_leaving: view.get(shape.list) == numbers.leaving,
            bitmap,
        })
    }

    /// The pools of the heap's table.
    fn pools(
        &self,
        buckets: &[u8],
        reservations: &[u64],
        found: &mut Vec<Pool>,
        problems: &mut Problems,
    ) {
        let (shapes, numbers) = (&self.shapes, &self.shapes.numbers);
        let chunks: HashSet<u64> = reservations.iter().copied().collect();
        let mut seen = HashSet::new();
        for bucket in buckets.chunks_exact(shapes.word) {
            let mut entry = View::new(bucket).number(0, shapes.word);
            while entry != 0 {
                let in_chunk = chunks.contains(&(entry & !(numbers.chunk - 1)));
                if !in_chunk || entry % shapes.word as u64 != 0 {
                    problems.add(entry, "the list of pools leads to where no pool can be");
                    break;
                }
                if !seen.insert(entry) || seen.len() > MOST_POOLS {
                    problems.add(entry, "the list of pools leads to a pool twice");
                    break;
                }
                let Ok(bytes) = self.memory.bytes(entry, shapes.pool.bytes) else {
                    problems.add(entry, "a pool that cannot be read");
                    break;
                };
                let view = View::new(&bytes);
                if view.get(shapes.entry.owner) != 0 {
                    found.push(self.pool(entry, view));
                }
                entry = view.get(shapes.entry.next);
            }
        }
    }

    fn pool(&self, entry: u64, view: View<'_>) -> Pool {
        let shapes = &self.shapes;
        let (shape, body) = (&shapes.body, view.part(shapes.pool.body, shapes.body.bytes));
        let full = |index: usize| {
            let at = shape.shelves.offset + index * shapes.shelf.bytes;
            let shelf = body.slice(at, shapes.shelf.bytes);
            let list = shelf.part(shapes.shelf.full, shapes.magazines.bytes);
            Full {
                mask: body.number(shape.masks.offset + 2 * index, 2),
                first: list.get(shapes.magazines.first),
                count: list.get(shapes.magazines.count),
            }
        };
        Pool {
            entry,
            owner: view.get(shapes.entry.owner),
            name: Vec::new(),
            lock: self.lock_of(view),
            item_size: body.get(shape.item_size) as u32,
            num_items: body.get(shape.num_items) as u32,
            stride: body.get(shape.stride),
            order: body.get(shape.order),
            modes: body.get(shape.modes),
            has_spare: body.get(shape.spare) != 0,
            slabs: body.get(shape.slabs),
            holders: body.get(shape.holders),
            out: body.get(shape.out),
            peak: body.get(shape.peak),
            foreign_frees: body.get(shape.foreign_frees),
            exchanges: body.get(shape.exchanges),
            full: (0..shapes.numbers.magazine_sizes).map(full).collect(),
            half: body.get(shape.half),
        }
    }

    /// A pool read anew, for as long as it takes to read it at one moment; none if it is gone, or
    /// never was at rest.
    pub fn pool_at_once(&self, entry: u64, owner: u64) -> Option<Pool> {
        const TRIES: usize = 1000;
        const TRIES_AT_A_TIME: usize = 100;
        for tried in 1..=TRIES {
            if tried % TRIES_AT_A_TIME == 0 {
                // Who holds the lock may wait for this very processor.
                std::thread::sleep(Duration::from_millis(1));
            }
            let bytes = self.memory.bytes(entry, self.shapes.pool.bytes).ok()?;
            let pool = self.pool(entry, View::new(&bytes));
            if pool.owner != owner {
                return None;
            }
            if self.pool_lock(entry).is_ok_and(|after| pool.lock.is_same(after)) {
                return Some(pool);
            }
        }
        None
    }

    /// Reads the names of pools.
    fn names(&self, pools: &mut [Pool], problems: &mut Problems) {
        let shapes = &self.shapes;
        for pool in pools {
            let at = pool.entry.saturating_add(shapes.entry.name.offset as u64);
            let name = match self.word(at) {
                Ok(0) | Err(Unreadable) => continue,
                Ok(name) => name,
            };
            let Ok(bytes) = self.memory.bytes(name, shapes.name.bytes) else {
                problems.add(pool.owner, "the name of a pool cannot be read");
                continue;
            };
            let view = View::new(&bytes);
            let length = view.get(shapes.name.length);
            if length > shapes.numbers.name_bytes as u64 {
                problems.add(name, "the name of a pool is longer than one can be");
                continue;
            }
            pool.name = view.part(shapes.name.text, length as usize).as_bytes().to_vec();
        }
    }

    /// The chunks of guarded objects.
    fn guards(&self, reservations: &[u64], problems: &mut Problems) -> BTreeMap<u64, GuardChunk> {
        let mut found = BTreeMap::new();
        let Some(debug) = &self.shapes.debug else { return found };
        let place = self.root.places.guards;
        let mut chunk = if place == 0 { 0 } else { self.word(place).unwrap_or(0) };
        let chunks: HashSet<u64> = reservations.iter().copied().collect();
        while chunk != 0 {
            if !chunks.contains(&chunk) || found.contains_key(&chunk) {
                problems
                    .add(chunk, "the list of chunks of guarded objects leads to where none can be");
                break;
            }
            let head = self.memory.bytes(chunk, debug.guards.slots.offset);
            let Ok(head) = head else {
                problems.add(chunk, "a chunk of guarded objects cannot be read");
                break;
            };
            let head = View::new(&head);
            found.insert(chunk, self.guard_chunk(chunk, head, problems));
            chunk = head.get(debug.guards.next);
        }
        found
    }

    fn guard_chunk(&self, address: u64, head: View<'_>, problems: &mut Problems) -> GuardChunk {
        let mut chunk = GuardChunk { address, bytes: self.shapes.numbers.chunk, slots: Vec::new() };
        let Some(debug) = &self.shapes.debug else { return chunk };
        let (class, used) = (head.get(debug.guards.class), head.get(debug.guards.slots_used));
        let most = (debug.guards.bytes - debug.guards.slots.offset) / debug.guarded.bytes;
        if class > 30 || used > head.get(debug.guards.slots_total) || used as usize > most {
            problems.add(address, "a chunk of guarded objects has more of them than it can");
            return chunk;
        }
        chunk.bytes = head.get(debug.guards.reserved).min(1 << 40);
        let slots_at = address.saturating_add(debug.guards.slots.offset as u64);
        let Ok(slots) = self.memory.bytes(slots_at, used as usize * debug.guarded.bytes) else {
            problems.add(address, "a chunk of guarded objects cannot be read");
            return chunk;
        };
        let page = self.memory.page_size();
        let first = (debug.guards_header as u64).next_multiple_of(page) + page;
        let slot_bytes = (page << class) + page;
        for (index, slot) in slots.chunks_exact(debug.guarded.bytes).enumerate() {
            let (view, shape) = (View::new(slot), &debug.guarded);
            let start = address.saturating_add(first + index as u64 * slot_bytes);
            let room = view.get(shape.room);
            if room > page << class {
                problems.add(start, "a guarded object that is larger than its slot");
                continue;
            }
            let user = |at| {
                let user = view.part(at, debug.guard_user.bytes);
                (user.get(debug.guard_user.thread), user.get(debug.guard_user.stack))
            };
            let end = start.saturating_add(room.next_multiple_of(page));
            let state = view.get(shape.state);
            chunk.slots.push(Guarded {
                slot: slots_at.saturating_add((index * debug.guarded.bytes) as u64),
                start,
                object: end - room,
                end,
                behind: start.saturating_add(slot_bytes),
                is_live: state == debug.live,
                is_freed: state == debug.freed,
                item_size: view.get(shape.item_size) as u32,
                num_items: view.get(shape.num_items) as u32,
                parent: view.get(shape.parent),
                allocated: user(shape.allocated),
                freed: user(shape.freed),
            });
        }
        chunk
    }
}

impl Image {
    /// The chunk that an address lies in, and its slab there if it has one.
    pub fn chunk_of(&self, shapes: &Shapes, address: u64) -> Option<(&Chunk, Option<&Slab>)> {
        let own = self.chunks.get(&(address & !(shapes.numbers.chunk - 1)));
        // A large object reaches beyond the first bytes of its chunk.
        let chunk = own.or_else(|| {
            let (_, before) = self.chunks.range(..=address).next_back()?;
            let within = address - before.address;
            (before.is_large && within < before.bytes).then_some(before)
        })?;
        Some((chunk, chunk.slabs.iter().find(|slab| slab.contains(address))))
    }

    /// The pool whose parent is at an address.
    pub fn pool(&self, owner: u64) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.owner == owner)
    }
}
