// SPDX-License-Identifier: MIT
//! All that is found out of a copy of the library, for commands that look at its objects.

use crate::children;
use crate::find::{Cached, Who};
use crate::image::{Image, Owner, Reader};
use crate::ledger::{Ledger, State};
use crate::locate::Copy;
use crate::memory::Memory;
use crate::numbers::{self, CopyNumbers, PoolNumbers, say};
use crate::target::object_name;

/// See the head of this file.
pub struct Look<'a> {
    pub reader: Reader<'a>,
    pub numbers: CopyNumbers,
    pub image: Image,
    pub cached: Cached,
    pub ledger: Ledger,
    /// Whether children were looked for.
    pub has_children: bool,
    pub warnings: Vec<String>,
}

impl<'a> Look<'a> {
    /// Looks at a copy, and for children unless it is to be fast.
    pub fn at(memory: &'a dyn Memory, copy: &'a Copy, fast: bool) -> Result<Look<'a>, String> {
        let object = object_name(copy);
        let reader =
            Reader::new(memory, &copy.root).map_err(|fault| format!("{object}: {fault}"))?;
        let (numbers, mut image) = numbers::count(&reader, &object)
            .map_err(|_| format!("{object}: its heap cannot be read"))?;
        let mut warnings = numbers.warnings.clone();
        // Those that were there until now are among the warnings.
        image.problems = Default::default();
        let mut cached = Cached::of(&reader, &mut image);
        let ledger = Ledger::read(&reader, &mut image);
        warnings.extend(say(&image.problems));
        if !fast {
            warnings.extend(children::search(&reader, &image, &mut cached));
        }
        Ok(Look { reader, numbers, image, cached, ledger, has_children: !fast, warnings })
    }

    /// The objects of a pool that the program has, in the order of their addresses.
    pub fn objects(&self, pool: &PoolNumbers) -> Vec<u64> {
        let address = pool_address(pool);
        let is_its = |item_size: u32, num_items: u32| {
            (u64::from(item_size), u64::from(num_items)) == (pool.item_size, pool.num_items)
        };
        let mut found = Vec::new();
        for slab in self.image.chunks.values().flat_map(|chunk| &chunk.slabs) {
            let owner = if address == 0 { Owner::Limbo } else { Owner::Pool(address) };
            if slab.owner != owner || !is_its(slab.item_size, slab.num_items) {
                continue;
            }
            for index in (0..slab.capacity).filter(|index| slab.is_out(*index)) {
                let slot = slab.slot(index);
                let waits = self.ledger.record(address, slot);
                let waits = waits.is_some_and(|record| record.state == State::Waiting);
                if self.cached.get(slot).is_none() && !waits {
                    found.push(slot.saturating_add(slab.lead()));
                }
            }
        }
        let guarded = self.image.guards.values().flat_map(|chunk| &chunk.slots);
        let guarded = guarded.filter(|slot| slot.is_live && slot.parent == address);
        let guarded = guarded.filter(|slot| is_its(slot.item_size, slot.num_items));
        found.extend(guarded.map(|slot| slot.object));
        found.sort_unstable();
        found
    }
}

/// The address of a pool's parent; 0 if it is gone.
pub fn pool_address(pool: &PoolNumbers) -> u64 {
    let digits = pool.address.as_deref().and_then(|address| address.strip_prefix("0x"));
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// Who has an object, in words.
pub fn who(who: &Who) -> String {
    match who {
        Who::Out => "out: the program has it".into(),
        Who::OutOrCached => "out: the program has it, or a child caches it".into(),
        Who::Child(child) => format!("free: in a magazine of the child at {child}"),
        Who::Depot => "free: in a magazine of the pool's depot".into(),
        Who::Kit => "free: in what the pool's last child has left".into(),
        Who::Free => "free: in its slab".into(),
        Who::Waiting => "freed: it waits before it is used again".into(),
        Who::Guarded => "out: the program has it, guarded".into(),
        Who::FreedGuarded => "freed, guarded".into(),
    }
}
