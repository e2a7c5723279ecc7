// SPDX-License-Identifier: MIT
//! What an address is: an object of which pool, and where it is; or what else of the library.

use std::cell::RefCell;
use std::collections::HashMap;

use serde::Serialize;

use crate::image::{Full, GuardChunk, Guarded, Image, Owner, Pool, Reader, Slab};
use crate::ledger::State;
use crate::look::Look;
use crate::shapes::View;
use crate::symbols::Symbols;

/// Magazines of a list at most, whatever it says.
const MOST_MAGAZINES: u64 = 1 << 20;

/// Who has an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// The program.
    Out,
    /// The program, or a child that caches it: children were not looked for.
    OutOrCached,
    /// The magazines of a child, which is at this address.
    Child(String),
    /// The pool's depot.
    Depot,
    /// The heap, in what the last child of a pool has left.
    Kit,
    /// Its slab.
    Free,
    /// The library: it was freed, and waits before it is used again.
    Waiting,
    /// The program: a guarded object.
    Guarded,
    /// Nobody: a guarded object that was freed.
    FreedGuarded,
}

/// What was found of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum What {
    /// In no chunk of this copy.
    Nothing,
    /// An object, or within one.
    Object(Object),
    /// Behind the last object of a slab, or between objects.
    Gap { pool: String, slab: String },
    /// A magazine, a name or a body: memory that the library has for itself.
    Library { of: String },
    /// In a parent pool, which is the program's memory.
    Parent { pool: String },
    /// The header of a chunk.
    Header,
    /// A page that is in no slab.
    FreePage { dirty: bool },
    /// The page behind or before a guarded object, which cannot be accessed.
    GuardPage { object: Object },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Object {
    /// Name, size, hint and address of its pool.
    pub pool: String,
    pub object: String,
    /// How far behind the beginning of the object the address is; less than 0 in a redzone.
    pub offset: i64,
    pub size: u64,
    pub slab: Option<String>,
    pub index: Option<usize>,
    pub who: Who,
    /// Thread and frames of who allocated it, and of who freed it, if that is known.
    pub allocated: Option<User>,
    pub freed: Option<User>,
}

/// Who did something: the thread, and the frames of its stack, the innermost first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    pub thread: u64,
    pub frames: Vec<String>,
}

/// An address, and what it is.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    pub address: String,
    /// The object that carries the copy of the library which the address belongs to.
    pub copy: Option<String>,
    #[serde(flatten)]
    pub what: What,
}

/// Where objects are that are in no slab's hands and not the program's.
pub struct Cached {
    rounds: HashMap<u64, Who>,
}

impl Cached {
    /// Those of the depots of all pools, and of kits. What does not lead to a magazine is noted.
    pub fn of(reader: &Reader<'_>, image: &mut Image) -> Cached {
        let mut cached = Cached { rounds: HashMap::new() };
        let mut faults = Vec::new();
        for pool in &image.pools {
            for full in &pool.full {
                if !cached.add_list(reader, image, full) {
                    faults.push(pool.owner);
                }
            }
            if pool.half != 0 {
                let mask = block_mask(reader, image, pool.half);
                let sound = mask.is_some_and(|mask| {
                    cached.add(reader, image, pool.half, mask, &Who::Depot).is_some()
                });
                if !sound {
                    faults.push(pool.owner);
                }
            }
        }
        for kit in image.heap.kits.clone() {
            cached.add(reader, image, kit.magazine, kit.mask, &Who::Kit);
        }
        for owner in faults {
            // Of a process that runs, the depot may have changed since.
            if !reader.memory.is_live() {
                image.problems.add(owner, "a pool whose depot leads to where no magazine can be");
            }
        }
        cached
    }

    /// Adds the rounds of a list of magazines, and returns whether all of it could be read.
    fn add_list(&mut self, reader: &Reader<'_>, image: &Image, full: &Full) -> bool {
        let mut magazine = full.first;
        for _ in 0..full.count.min(MOST_MAGAZINES) {
            let Some(link) = self.add(reader, image, magazine, full.mask, &Who::Depot) else {
                return false;
            };
            magazine = link;
        }
        full.count <= MOST_MAGAZINES
    }

    /// Adds the rounds of a magazine, and returns its link. None if there is none.
    pub fn add(
        &mut self,
        reader: &Reader<'_>,
        image: &Image,
        magazine: u64,
        mask: u64,
        who: &Who,
    ) -> Option<u64> {
        let (block, rounds) = rounds(reader, image, magazine, mask)?;
        let link = reader.unseal(reader.word(block).ok()?, block);
        rounds.into_iter().for_each(|round| drop(self.rounds.insert(round, who.clone())));
        Some(link)
    }

    /// Notes who has a slot.
    pub fn note(&mut self, slot: u64, who: Who) {
        self.rounds.entry(slot).or_insert(who);
    }

    pub fn get(&self, slot: u64) -> Option<&Who> {
        self.rounds.get(&slot)
    }
}

/// The size less 1 of the block of the heap's that a magazine lies in.
pub fn block_mask(reader: &Reader<'_>, image: &Image, magazine: u64) -> Option<u64> {
    let (_, slab) = image.chunk_of(&reader.shapes, magazine)?;
    let slab =
        slab.filter(|slab| slab.owner == Owner::Magazines && slab.stride.is_power_of_two())?;
    slab.stride.checked_sub(1)
}

/// The block of a magazine, and its rounds: what is in the words from the second to the one that
/// the magazine points at.
pub fn rounds(
    reader: &Reader<'_>,
    image: &Image,
    magazine: u64,
    mask: u64,
) -> Option<(u64, Vec<u64>)> {
    let word = reader.shapes.word as u64;
    if magazine == 0 || magazine % word != 0 || block_mask(reader, image, magazine)? != mask {
        return None;
    }
    let block = magazine & !mask;
    let count = (magazine - block) / word;
    let first = block + word;
    let bytes = reader.memory.bytes(first, (count * word) as usize).ok()?;
    let view = View::new(&bytes);
    let round = |index: u64| {
        let at = first + index * word;
        reader.unseal(view.number((index * word) as usize, word as usize), at)
    };
    Some((block, (0..count).map(round).collect()))
}

/// Looks up addresses in what was found of a copy.
pub struct Finder<'a> {
    pub look: &'a Look<'a>,
    pub symbols: &'a RefCell<Symbols>,
}

impl Finder<'_> {
    pub fn find(&self, address: u64) -> What {
        let numbers = &self.look.reader.shapes.numbers;
        for chunk in self.look.image.guards.values() {
            if address.checked_sub(chunk.address).is_some_and(|within| within < chunk.bytes) {
                return self.guarded(chunk, address);
            }
        }
        let Some((chunk, slab)) = self.look.image.chunk_of(&self.look.reader.shapes, address)
        else {
            return self.parent(address);
        };
        if let Some(slab) = slab {
            return self.in_slab(slab, address);
        }
        let page = (address - chunk.address) / numbers.page;
        if page < numbers.header_pages as u64 {
            return What::Header;
        }
        What::FreePage { dirty: chunk.is_dirty(page, numbers.page) }
    }

    /// What an address is that is not in the library's memory.
    fn parent(&self, address: u64) -> What {
        let bytes = self.look.reader.shapes.parent.bytes as u64;
        let is_in = |pool: &&Pool| address.checked_sub(pool.owner).is_some_and(|at| at < bytes);
        match self.look.image.pools.iter().find(is_in) {
            Some(pool) => {
                let owner = Owner::Pool(pool.owner);
                What::Parent { pool: self.pool_of(owner, pool.item_size, pool.num_items).1 }
            }
            None => What::Nothing,
        }
    }

    fn in_slab(&self, slab: &Slab, address: u64) -> What {
        if slab.owner == Owner::Magazines {
            return What::Library { of: self.block_of(slab, address) };
        }
        let (pool, title) = self.pool_of(slab.owner, slab.item_size, slab.num_items);
        let index = slab.index_of(address);
        if index >= slab.capacity {
            return What::Gap { pool: title, slab: format!("{:#x}", slab.base) };
        }
        let slot = slab.slot(index);
        let object = slot.saturating_add(slab.lead());
        let record = self.look.ledger.record(pool.map_or(0, |pool| pool.owner), slot);
        let who = if !slab.is_out(index) {
            Who::Free
        } else if let Some(who) = self.look.cached.get(slot) {
            who.clone()
        } else if record.is_some_and(|record| record.state == State::Waiting) {
            Who::Waiting
        } else if self.look.has_children {
            Who::Out
        } else {
            Who::OutOrCached
        };
        let users = record.map(|record| record.users).unwrap_or_default();
        let [allocated, freed] = users.map(|user| self.user(user));
        What::Object(Object {
            pool: title,
            object: format!("{object:#x}"),
            offset: address.wrapping_sub(object) as i64,
            size: slab.item_size.into(),
            slab: Some(format!("{:#x}", slab.base)),
            index: Some(index),
            who,
            allocated,
            freed,
        })
    }

    fn user(&self, (thread, stack): (u64, u64)) -> Option<User> {
        let returns = self.look.ledger.frames(&self.look.reader, stack);
        let memory = self.look.reader.memory;
        let frames = || self.symbols.borrow_mut().stack(memory, &returns);
        (thread != 0).then(|| User { thread, frames: frames() })
    }

    /// The pool of an owner word, and what it is called.
    fn pool_of(&self, owner: Owner, item_size: u32, num_items: u32) -> (Option<&Pool>, String) {
        let address = match owner {
            Owner::Pool(address) => address,
            Owner::Parked => return (None, format!("{item_size}x{num_items}, parked")),
            _ => return (None, format!("{item_size}x{num_items}, which is gone")),
        };
        let pool = self.look.image.pool(address);
        let name = pool.map(|pool| String::from_utf8_lossy(&pool.name)).unwrap_or_default();
        let space = if name.is_empty() { "" } else { " " };
        (pool, format!("{name}{space}{item_size}x{num_items} at {address:#x}"))
    }

    fn block_of(&self, slab: &Slab, address: u64) -> String {
        let index = slab.index_of(address);
        if index >= slab.capacity {
            return "the end of a slab of magazines".into();
        }
        let block = slab.slot(index);
        let of = |pool: &Pool| {
            let name = String::from_utf8_lossy(&pool.name).into_owned();
            let space = if name.is_empty() { "" } else { " " };
            format!("{name}{space}{}x{} at {:#x}", pool.item_size, pool.num_items, pool.owner)
        };
        if let Some(pool) = self.look.image.pools.iter().find(|pool| pool.entry == block) {
            return format!("the body of pool {}", of(pool));
        }
        if slab.is_out(index) {
            "a magazine or a name".into()
        } else {
            "a free magazine block".into()
        }
    }

    fn guarded(&self, chunk: &GuardChunk, address: u64) -> What {
        let slot = chunk.slots.iter().find(|slot| (slot.start..slot.behind).contains(&address));
        let Some(slot) = slot.filter(|slot| slot.is_live || slot.is_freed) else {
            return What::Header;
        };
        let object = self.guarded_object(slot, address);
        if address >= slot.end { What::GuardPage { object } } else { What::Object(object) }
    }

    fn guarded_object(&self, slot: &Guarded, address: u64) -> Object {
        let owner = if slot.parent == 0 { Owner::Limbo } else { Owner::Pool(slot.parent) };
        Object {
            pool: self.pool_of(owner, slot.item_size, slot.num_items).1,
            object: format!("{:#x}", slot.object),
            offset: address.wrapping_sub(slot.object) as i64,
            size: slot.item_size.into(),
            slab: None,
            index: None,
            who: if slot.is_live { Who::Guarded } else { Who::FreedGuarded },
            allocated: self.user(slot.allocated),
            freed: self.user(slot.freed),
        }
    }
}
