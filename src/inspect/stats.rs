// SPDX-License-Identifier: MIT
//! Numbers of pools as the chunks show them, whether the pools' memory is still there or not. They
//! are exact, taken under the heap's lock.
//!
//! An object in a magazine cannot be told from one that a caller has: children's magazines are read
//! by nobody but their child. So objects are counted as *out* of the slabs, whoever has them.

use crate::base::pool_id::PoolId;
use crate::heap::HEAP;
use crate::heap::chunk::{LIMBO, owner_of};
use crate::hooks;
use crate::pool::numbers::PoolNumbers;

/// A pool, and of its numbers those that can be told from the chunks alone.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    /// Which pool; at address 0 if it is gone.
    pub(crate) pool: PoolId,
    /// The same numbers as the pool itself gives, but for what only it knows.
    pub(crate) numbers: PoolNumbers,
}

/// The first pool behind `after`, in the order of their addresses. Takes time in proportion to all
/// slabs and all guarded objects, which are counted one after the other.
pub(crate) fn next_pool(after: Option<PoolId>) -> Option<Found> {
    let mut first = First { after, found: None };
    HEAP.with_each_state(&mut |state| {
        for slab in state.object_slabs() {
            // SAFETY: the heap's lock is held; of the slab only that is read which its owner does
            // not write, and `used`, which is atomic.
            let (slab, owner) = unsafe { (&*slab, owner_of((*slab).base())) };
            let (item_size, num_items) = slab.item();
            let address = if owner == LIMBO { 0 } else { owner };
            if let Some(numbers) = first.pool(PoolId::new(address, item_size, num_items)) {
                numbers.element_size = slab.stride() as usize;
                numbers.objects_per_slab = slab.capacity() as usize;
                numbers.slab_bytes = slab.bytes();
                numbers.count_slab(slab.used() as usize);
            }
        }
    });
    hooks::for_each_guarded(|pool, bytes| {
        if let Some(numbers) = first.pool(pool) {
            numbers.count_guarded(1, bytes);
        }
    });
    let mut found = first.found?;
    HEAP.with_name(found.pool.address, |name| found.pool.set_name(name));
    Some(found)
}

/// The first pool behind `after` among those that were asked for.
struct First {
    after: Option<PoolId>,
    found: Option<Found>,
}

impl First {
    /// The numbers of a pool, if it is the first one so far.
    #[inline(never)]
    fn pool(&mut self, pool: PoolId) -> Option<&mut PoolNumbers> {
        let is_behind = self.after.is_none_or(|after| after < pool);
        if is_behind && self.found.as_ref().is_none_or(|found| pool < found.pool) {
            let numbers =
                PoolNumbers { item_size: pool.item_size as usize, ..PoolNumbers::default() };
            self.found = Some(Found { pool, numbers });
        }
        self.found.as_mut().filter(|found| found.pool == pool).map(|found| &mut found.numbers)
    }
}
