// SPDX-License-Identifier: MIT
//! What callers do to a parent pool: create and destroy it, name it, count what it holds, have it
//! give memory back.

use core::cell::UnsafeCell;
use core::ptr;

use super::body::Body;
use super::numbers::PoolNumbers;
use super::parent::ParentPool;
use super::policy::Policy;
use crate::base::geometry::rounds;
use crate::base::modes::{Modes, ModesWord};
use crate::base::pool_id::PoolId;
use crate::base::seal;
use crate::heap::HEAP;
use crate::hooks;
use crate::sys::sync::atomic::{AtomicU32, Ordering::Relaxed};
use crate::sys::sync::{Mutex, renew};

impl ParentPool {
    /// Creates a pool in memory of any content. Slabs that still belong to a pool at this address
    /// (it was never destroyed, or its memory was freed) are left in limbo.
    ///
    /// # Safety
    /// `this` is writable, and no other call uses it.
    pub(crate) unsafe fn create(this: *mut ParentPool, item_size: u32, num_items: u32) {
        let num_items = num_items.max(1);
        // Owner words lead back to the pool.
        let pool = PoolId::new(this.expose_provenance(), item_size, num_items);
        let (geometry, modes) = hooks::layout(&pool);
        // SAFETY: the caller's promise. Fields are written one by one as the old content may be no
        // valid pool.
        unsafe {
            hooks::before_create_parent(&pool);
            hooks::before_pool_goes(this);
            HEAP.disown(this.addr());
            let kept = hooks::pool_made(&pool, modes);
            seal::prepare();
            renew(this, size_of::<ParentPool>());
            Mutex::init(&raw mut (*this).mutex);
            (&raw mut (*this).element_size).write(AtomicU32::new(geometry.stride));
            (&raw mut (*this).num_elements).write(num_items);
            (&raw mut (*this).item_size).write(item_size);
            (&raw mut (*this).modes).write(ModesWord::new(modes));
            let body = Body::new(geometry, modes.is_empty(), kept);
            (&raw mut (*this).body).write(UnsafeCell::new(body));
            hooks::initialised(this.cast(), size_of::<ParentPool>());
        }
    }

    /// Destroys a pool. Slabs with objects out are left in limbo.
    ///
    /// # Safety
    /// `this` is a pool or zeroed, and no other call uses it, its children or its objects.
    pub(crate) unsafe fn destroy(this: *mut ParentPool) {
        const FUNCTION: &str = "slab_destroy_parent";
        // SAFETY: the caller's promise.
        unsafe {
            hooks::before_destroy_parent(this);
            if (*this).num_elements == 0 {
                return;
            }
            hooks::before_pool_goes(this);
            let parent = &*this;
            let modes = parent.modes.get();
            let numbers = hooks::keeps_numbers().then(|| parent.numbers());
            // If the last child is gone, all that is left are slabs with objects of callers'.
            let body = parent.body.get();
            let kept = (*body).kept;
            let (mut objects_out, mut children) = (hooks::guarded(this.addr()).0, 0);
            if (*body).slabs.holders != 0 || (*body).slabs.count() != 0 {
                let out = parent.visit(FUNCTION, |visit| {
                    hooks::let_all_go(visit);
                    visit.drain_depot();
                    (visit.body.slabs.out(), visit.body.slabs.holders)
                });
                objects_out += out.0;
                children = out.1;
            }
            if let Some(numbers) = numbers {
                let id = (*parent.body.get()).id(parent.address());
                hooks::keep_numbers(&id, &numbers, objects_out);
            }
            if objects_out != 0 || children != 0 {
                let body = &*parent.body.get();
                hooks::objects_leaked(
                    &body.id(parent.address()),
                    modes,
                    objects_out,
                    children,
                    kept,
                );
            }
            HEAP.disown(this.addr());
            parent.mutex.destroy();
            ptr::write_bytes(this, 0, 1);
            hooks::pool_gone(this, modes, kept);
        }
    }

    /// Gives a pool a name; returns false if there is no memory for it. If it has not been used, it
    /// gets the modes that SLAB_DEBUG has for the name as well.
    pub(crate) fn set_name(&self, name: &[u8]) -> bool {
        let mut body = self.lock();
        // SAFETY: the pool's lock is held, without which its name is not read.
        let set = unsafe { HEAP.set_name(self.address(), name) };
        if set.is_null() {
            return false;
        }
        body.name = set;
        drop(body);
        if cfg!(feature = "debug") {
            let before = self.modes.get();
            let mut pool = PoolId::new(self.address(), self.item_size, self.num_elements);
            pool.set_name(name);
            let (_, modes) = hooks::layout(&pool);
            if modes.with(before) != before {
                self.set_modes(modes.with(before));
            }
        }
        true
    }

    /// Changes the modes of a pool, and its layout with them. Returns false if it has been used.
    ///
    /// Whoever reads the modes without the lock looks at them again once it has it.
    pub(crate) fn set_modes(&self, modes: Modes) -> bool {
        let pool = PoolId::new(self.address(), self.item_size, self.num_elements);
        let (geometry, modes) = hooks::layout_with(modes, &pool);
        let mut body = self.lock();
        if body.slabs.peak() != 0 || body.slabs.holders != 0 {
            return false;
        }
        // Relaxed: it is for callers, who read it whenever they like.
        self.element_size.store(geometry.stride, Relaxed);
        self.modes.set(modes);
        body.policy = Policy::new(&geometry, modes.is_empty());
        body.geometry = geometry;
        // SAFETY: the pool has not been used, and its lock is held.
        body.kept = unsafe { hooks::keep(&pool, modes) };
        true
    }

    /// What the pool holds.
    pub(crate) fn numbers(&self) -> PoolNumbers {
        let body = self.lock();
        let (geometry, policy) = (&body.geometry, &body.policy);
        let [slabs_full, slabs_partial, slabs_empty] = body.slabs.by_state();
        let [first, busy] = body.depot.counts().map(|count| count as usize);
        let depot_bytes = first * (policy.first_mask() + 1) + busy * (policy.busy_mask() + 1);
        let slabs = slabs_full + slabs_partial + slabs_empty;
        let mut numbers = PoolNumbers {
            item_size: geometry.item_size as usize,
            element_size: geometry.stride as usize,
            objects_per_slab: geometry.capacity as usize,
            slab_bytes: geometry.slab_bytes(),
            slabs_full,
            slabs_partial,
            slabs_empty,
            objects_out: body.slabs.out(),
            objects_in_depot: body.depot.objects(policy),
            peak_objects_out: 0,
            children: body.slabs.holders as usize,
            objects_per_child: 2 * rounds(policy.busy_mask()),
            foreign_frees: body.foreign_frees,
            exchanges: body.exchanges,
            bytes_held: slabs * geometry.slab_bytes() + depot_bytes,
            objects_guarded: 0,
        };
        let (guarded, bytes) = hooks::guarded(self.address());
        numbers.count_guarded(guarded, bytes);
        numbers.peak_objects_out = body.slabs.peak().max(numbers.objects_out);
        numbers
    }

    /// Gives the heap everything that no child and no caller has. Returns how many bytes of slabs
    /// and magazines that were.
    pub(crate) fn trim(&self) -> usize {
        self.visit("slab_trim_parent", |visit| {
            // SAFETY: the visit is to this pool.
            unsafe { hooks::let_all_go(visit) };
            visit.drain_depot();
            visit.surplus.bytes()
        })
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use core::ptr;

    use super::*;
    use crate::pool::child::ChildPool;

    #[test]
    fn counters_go_on_beyond_32_bits() {
        const BEFORE: usize = u32::MAX as usize;
        let mut parent = Box::<ParentPool>::new_uninit();
        let parent = parent.as_mut_ptr();
        let mut children = [const { core::mem::MaybeUninit::<ChildPool>::uninit() }; 2];
        let [child, gone] = children.each_mut().map(|child| child.as_mut_ptr());
        // SAFETY: the pool and its children are the test's alone, and so are the objects.
        unsafe {
            ParentPool::create(parent, 96, 64);
            ChildPool::create(child, parent);
            ChildPool::create(gone, ptr::null());
            (*parent).lock().foreign_frees = BEFORE;
            (*parent).lock().exchanges = BEFORE;
            ChildPool::free(gone, ChildPool::alloc(child));
            let mut objects = [ptr::null_mut(); 1000];
            objects.iter_mut().for_each(|object| *object = ChildPool::alloc(child));
            objects.into_iter().for_each(|object| ChildPool::free(child, object));
            let numbers = (*parent).numbers();
            assert_eq!(numbers.foreign_frees, BEFORE + 1);
            assert!(numbers.exchanges > BEFORE, "{}", numbers.exchanges);
            ChildPool::destroy(child);
            ParentPool::destroy(parent);
        }
    }
}
