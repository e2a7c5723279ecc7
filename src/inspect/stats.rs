//! Numbers: what a pool and the heap hold. They are exact, taken under the locks of what they count.
//!
//! An object in a magazine cannot be told from one that a caller has: children's magazines are read by
//! nobody but their child. So objects are counted as *out* of the slabs, whoever has them.

use crate::base::geometry::MAX_ORDER;
use crate::heap::HEAP;
use crate::heap::chunk::{LIMBO, owner_of};
use crate::heap::names::NAME_BYTES;
use crate::heap::slab::Slab;
use crate::watch::guard;

/// Orders of runs, in public structs: room for every platform's.
pub const ORDERS: usize = 16;
const _: () = assert!((MAX_ORDER as usize) < ORDERS);

/// What the heap holds, in bytes unless said otherwise.
#[derive(Clone, Copy, Default)]
pub struct HeapNumbers {
    /// Address space.
    pub mapped: usize,
    /// Slabs of parent pools and in limbo.
    pub object_slabs: usize,
    /// Slabs of magazine blocks and names, and the slab of a kit.
    pub magazine_slabs: usize,
    /// The part of the chunks' headers that has been written.
    pub metadata: usize,
    /// Free, and may have memory behind it.
    pub dirty: usize,
    /// Free, without memory behind it.
    pub clean: usize,
    /// How many chunks, large objects' included.
    pub chunks: usize,
    /// How many of them are large objects'.
    pub large: usize,
    /// How many free runs of each order.
    pub free_runs: [u32; ORDERS],
}

impl HeapNumbers {
    /// How many of [`HeapNumbers::in_order`] are bytes: the first ones.
    pub const BYTES: usize = 7;

    /// The numbers in the order in which they are shown: bytes held, and the fields.
    #[inline(never)]
    pub fn in_order(&self) -> [usize; 9] {
        [
            self.held(),
            self.object_slabs,
            self.magazine_slabs,
            self.metadata,
            self.dirty,
            self.clean,
            self.mapped,
            self.chunks,
            self.large,
        ]
    }

    /// Bytes that may have memory behind them.
    pub fn held(&self) -> usize {
        self.object_slabs + self.magazine_slabs + self.metadata + self.dirty
    }
}

/// Address, item_size, num_items: what tells pools apart. The address is [`LIMBO`] for objects of pools that are gone.
pub type PoolKey = (usize, u32, u32);

/// What one pool has: what can be told from the chunks alone.
#[derive(Clone, Copy)]
pub struct PoolNumbers {
    /// Which pool.
    pub key: PoolKey,
    /// Bytes from one object to the next; 0, as are the next two, if all its objects are guarded.
    pub stride: u32,
    /// Objects of a slab.
    pub capacity: u16,
    /// Bytes of a slab.
    pub slab_bytes: usize,
    /// Slabs by state: full, partial, empty.
    pub slabs: [usize; 3],
    /// Objects out of the slabs, guarded ones included.
    pub out: usize,
    /// How many of these are guarded, and so in no slab.
    pub guarded: usize,
    /// Bytes of their pages.
    pub guarded_bytes: usize,
    /// The name, as far as `name_length`.
    pub name: [u8; NAME_BYTES],
    /// Bytes of the name.
    pub name_length: usize,
}

impl PoolNumbers {
    fn new(key: PoolKey) -> PoolNumbers {
        PoolNumbers {
            key,
            stride: 0,
            capacity: 0,
            slab_bytes: 0,
            slabs: [0; 3],
            out: 0,
            guarded: 0,
            guarded_bytes: 0,
            name: [0; NAME_BYTES],
            name_length: 0,
        }
    }

    fn count(&mut self, slab: &Slab) {
        (self.stride, self.capacity, self.slab_bytes) =
            (slab.stride(), slab.capacity(), slab.bytes());
        let used = slab.used();
        let state = if used == slab.capacity() {
            0
        } else if used != 0 {
            1
        } else {
            2
        };
        self.slabs[state] += 1;
        self.out += used as usize;
    }

    /// How many slabs there are.
    pub fn all_slabs(&self) -> usize {
        self.slabs.iter().sum()
    }

    /// Bytes of what there is.
    pub fn bytes(&self) -> usize {
        self.all_slabs() * self.slab_bytes + self.guarded_bytes
    }

    /// Whether the pool is gone.
    pub fn is_limbo(&self) -> bool {
        self.key.0 == LIMBO
    }

    /// The name; empty if there is none.
    pub fn name(&self) -> &[u8] {
        &self.name[..self.name_length]
    }
}

/// The numbers of the first pool behind `after`, in the order of keys. Takes time in proportion to all slabs and all
/// guarded objects, which are counted one after the other.
pub fn next_pool(after: Option<PoolKey>) -> Option<PoolNumbers> {
    let mut first = First { after, found: None };
    HEAP.with_state(|state| {
        for slab in state.object_slabs() {
            // SAFETY: the heap's lock is held; of the slab only that is read which its owner does not write, and
            // `used`, which is atomic.
            let (slab, owner) = unsafe { (&*slab, owner_of((*slab).base())) };
            let (item_size, num_items) = slab.item();
            if let Some(pool) = first.pool((owner, item_size, num_items)) {
                pool.count(slab);
            }
        }
    });
    for object in guard::live_objects() {
        if let Some(pool) = first.pool(object.pool) {
            pool.out += 1;
            pool.guarded += 1;
            pool.guarded_bytes += object.bytes;
        }
    }
    let mut pool = first.found?;
    HEAP.with_state(|state| {
        let name = state.name(pool.key.0);
        pool.name[..name.len()].copy_from_slice(name);
        pool.name_length = name.len();
    });
    Some(pool)
}

/// The first pool behind `after` among those that were asked for.
struct First {
    after: Option<PoolKey>,
    found: Option<PoolNumbers>,
}

impl First {
    /// The numbers of a pool, if it is the first one so far.
    #[inline(never)]
    fn pool(&mut self, key: PoolKey) -> Option<&mut PoolNumbers> {
        let is_behind = self.after.is_none_or(|after| after < key);
        if is_behind && self.found.as_ref().is_none_or(|found| key < found.key) {
            self.found = Some(PoolNumbers::new(key));
        }
        self.found.as_mut().filter(|found| found.key == key)
    }
}
