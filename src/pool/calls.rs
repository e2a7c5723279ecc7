// SPDX-License-Identifier: MIT
//! What callers do to a parent pool: create and destroy it, name it, count what it holds, have it
//! give memory back.

use core::ptr;

use super::body::{Body, Pool};
use super::numbers::PoolNumbers;
use super::parent::ParentPool;
use super::partial::Slabs;
use super::policy::Policy;
use super::sleepers;
use super::visit::Visit;
use crate::base::alignment::Alignment;
use crate::base::geometry::{Geometry, rounds};
use crate::base::modes::{Modes, ModesWord};
use crate::base::pool_id::PoolId;
use crate::base::seal;
use crate::heap::surplus::Surplus;
use crate::heap::{HEAP, Home};
use crate::hooks;
use crate::sys::probe;
use crate::sys::sync::atomic::Ordering::Relaxed;
use crate::sys::sync::{Locked, renew};

impl ParentPool {
    /// Creates a pool in memory of any content. If one at this address was never ended, as it was
    /// not destroyed, or its memory was freed, what it keeps goes to the heap, and its slabs with
    /// objects out are left in limbo.
    ///
    /// # Safety
    /// `this` is writable, and no other call uses it.
    #[inline(always)]
    pub(crate) unsafe fn create(this: *mut ParentPool, item_size: u32, num_items: u32) {
        // SAFETY: the caller's promise.
        unsafe { ParentPool::create_aligned(this, item_size, num_items, Alignment::NATURAL) }
    }

    /// The same of objects that are to be aligned so.
    ///
    /// # Safety
    /// As for [`ParentPool::create`].
    pub(crate) unsafe fn create_aligned(
        this: *mut ParentPool,
        item_size: u32,
        num_items: u32,
        alignment: Alignment,
    ) {
        // Owner words lead back to the pool.
        let mut pool = PoolId::new(this.expose_provenance(), item_size, num_items.max(1));
        pool.alignment = alignment;
        let (element_size, modes) = hooks::modes(&pool);
        // SAFETY: the caller's promise.
        unsafe {
            hooks::before_create_parent(&pool);
            hooks::before_pool_goes(this);
            if let Some(old) = Pool::of(HEAP.find_pool(this.addr())) {
                old.end_abandoned("slab_create_parent");
            }
            hooks::pool_made(&pool, modes);
            seal::prepare();
            renew(this, size_of::<ParentPool>());
            let modes = ModesWord::new(modes);
            ParentPool::init(this, element_size, &pool, modes);
            hooks::initialised(this.cast(), size_of::<ParentPool>());
            probe::pool_create(this.addr(), item_size, num_items);
        }
    }

    /// The same in a heap of the program's, if one is given: its body is made at once there. Returns
    /// false if there is no memory, and leaves a destroyed pool: the heap may have [`Home::more`].
    ///
    /// # Safety
    /// As for [`ParentPool::create`].
    pub(crate) unsafe fn create_in(
        this: *mut ParentPool,
        home: Home,
        item_size: u32,
        num_items: u32,
        alignment: Alignment,
    ) -> bool {
        // SAFETY: the caller's promise.
        unsafe {
            ParentPool::create_aligned(this, item_size, num_items, alignment);
            let made = home.is_process() || (*this).new_pool(home).is_some();
            if !made {
                ParentPool::end_parent(this);
            }
            made
        }
    }

    /// Destroys a pool. Slabs with objects out are left in limbo.
    ///
    /// # Safety
    /// `this` is a pool or zeroed, and no other call uses it, its children or its objects.
    pub(crate) unsafe fn destroy(this: *mut ParentPool) {
        // SAFETY: the caller's promise.
        unsafe { ParentPool::end_parent(this) }
        HEAP.settle();
    }

    /// The same where locks of a rank before a pool's may be held.
    ///
    /// # Safety
    /// As for [`ParentPool::destroy`].
    unsafe fn end_parent(this: *mut ParentPool) {
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
            let guarded = hooks::guarded(this.addr()).0;
            let tells = numbers.is_some() || guarded != 0;
            let left = match parent.pool() {
                Some(pool) => pool.end(Visit::begin(pool, FUNCTION), tells),
                None => Left::nothing(parent, tells),
            };
            let objects_out = left.objects + guarded;
            probe::pool_destroy(this.addr(), objects_out, left.children);
            if let (Some(numbers), Some(id)) = (&numbers, &left.id) {
                hooks::keep_numbers(id, numbers, objects_out);
            }
            if let (true, Some(id)) = (objects_out != 0 || left.children != 0, &left.id) {
                hooks::objects_leaked(id, modes, objects_out, left.children, left.kept);
            }
            ptr::write_bytes(this, 0, 1);
            hooks::pool_gone(this, modes, left.kept);
        }
    }

    /// Gives a pool a name; returns false if there is no memory for it. If it has not been used, it
    /// gets the modes that SLAB_DEBUG has for the name as well.
    pub(crate) fn set_name(&self, name: &[u8]) -> bool {
        while !self.set_name_once(name) {
            if !self.home().more() {
                return false;
            }
        }
        true
    }

    /// The same with the memory that the heap has: locks of a rank before the pool's may be held.
    pub(crate) fn set_name_once(&self, name: &[u8]) -> bool {
        let Some(pool) = self.pool_or_new() else { return false };
        let body = pool.lock();
        // SAFETY: the pool's mutex is held.
        let set = unsafe { HEAP.set_name(pool.entry(), name) };
        drop(body);
        if set && cfg!(feature = "debug") {
            let before = self.modes.get();
            let mut id = self.plain_id();
            id.set_name(name);
            let (_, modes) = hooks::modes(&id);
            if modes.with(before) != before {
                self.set_modes(modes.with(before));
            }
        }
        set
    }

    /// Changes the modes of a pool, and its layout with them. Returns false if it has been used, or
    /// there is no memory.
    ///
    /// Whoever reads the modes without the lock looks at them again once it has it.
    pub(crate) fn set_modes(&self, modes: Modes) -> bool {
        let id = self.plain_id();
        let (geometry, modes) = hooks::layout(modes, &id);
        let Some(pool) = self.pool_or_new() else { return false };
        let mut body = pool.lock();
        if body.slabs.peak() != 0 || body.slabs.holders != 0 {
            return false;
        }
        // Relaxed: it is for callers, who read it whenever they like.
        self.element_size.store(geometry.stride, Relaxed);
        self.modes.set(modes);
        body.modes = modes;
        body.policy = Policy::new(&geometry, modes.is_empty());
        body.geometry = geometry;
        // SAFETY: the pool has not been used, and its lock is held.
        body.kept = unsafe { hooks::keep(&id, modes) };
        true
    }

    /// What the pool holds.
    pub(crate) fn numbers(&self) -> PoolNumbers {
        let mut numbers = match self.pool() {
            Some(pool) => pool.numbers(),
            None => {
                let (geometry, modes) = hooks::layout(self.modes.get(), &self.plain_id());
                PoolNumbers::of(&geometry, &Policy::new(&geometry, modes.is_empty()))
            }
        };
        let (guarded, bytes) = hooks::guarded(self.address());
        numbers.count_guarded(guarded, bytes);
        numbers.peak_objects_out = numbers.peak_objects_out.max(numbers.objects_out);
        numbers
    }

    /// Gives the heap everything that no child and no caller has. Returns how many bytes of slabs
    /// and magazines that were.
    pub(crate) fn trim(&self) -> usize {
        let Some(pool) = self.pool() else { return 0 };
        let mut visit = Visit::begin(pool, "slab_trim_parent");
        // SAFETY: the visit is to this pool.
        unsafe { hooks::let_all_go(&mut visit) };
        visit.drain_depot();
        let bytes = visit.surplus.bytes();
        drop(visit);
        HEAP.settle();
        bytes
    }
}

impl PoolNumbers {
    /// Of a pool without objects.
    fn of(geometry: &Geometry, policy: &Policy) -> PoolNumbers {
        PoolNumbers {
            item_size: geometry.item_size as usize,
            element_size: geometry.stride as usize,
            objects_per_slab: geometry.capacity as usize,
            slab_bytes: geometry.slab_bytes(),
            objects_per_child: 2 * rounds(policy.largest_mask()),
            ..PoolNumbers::default()
        }
    }
}

/// What was out of a pool when it ended.
struct Left {
    /// Which pool it was, if there is anything to be told of it.
    id: Option<PoolId>,
    objects: usize,
    /// Children that have magazines.
    children: u32,
    kept: hooks::Kept,
}

impl Left {
    /// Of a pool without a body.
    fn nothing(parent: &ParentPool, tells: bool) -> Left {
        let id = parent.plain_id();
        let kept = hooks::kept(&id, parent.modes.get());
        Left { id: tells.then_some(id), objects: 0, children: 0, kept }
    }
}

impl Pool {
    /// What it holds, without guarded objects.
    fn numbers(&self) -> PoolNumbers {
        let body = self.lock();
        let (geometry, policy) = (&body.geometry, &body.policy);
        let [slabs_full, slabs_partial, slabs_empty] = body.slabs.by_state();
        let magazines = body.depot.counts().into_iter().zip(policy.masks());
        let depot_bytes: usize = magazines.map(|(count, mask)| count as usize * (mask + 1)).sum();
        let slabs = slabs_full + slabs_partial + slabs_empty;
        PoolNumbers {
            slabs_full,
            slabs_partial,
            slabs_empty,
            objects_out: body.slabs.out(),
            objects_in_depot: body.depot.objects(),
            peak_objects_out: body.slabs.peak(),
            children: body.slabs.holders as usize,
            foreign_frees: body.foreign_frees,
            exchanges: body.exchanges,
            bytes_held: slabs * geometry.slab_bytes() + depot_bytes,
            ..PoolNumbers::of(geometry, policy)
        }
    }

    /// Ends a pool: what it keeps goes to the heap, its slabs with objects out are left in limbo,
    /// and its own memory is freed. Says which it was if that is asked for, or something is left.
    ///
    /// # Safety
    /// The visit is to this pool, and no other call uses the pool or its objects from now on.
    unsafe fn end(&self, mut visit: Visit<'_>, tells: bool) -> Left {
        // SAFETY: the caller's promise.
        unsafe { hooks::let_all_go(&mut visit) };
        self.end_as_it_is(visit, tells)
    }

    /// The same for a pool of a parent that was not destroyed, and whose memory is another one's.
    ///
    /// # Safety
    /// As for [`Pool::end`].
    #[cold]
    #[inline(never)]
    unsafe fn end_abandoned(&self, function: &'static str) {
        // Nobody calls the pool, so that who has its lock goes round, or is gone.
        match sleepers::while_none_goes_round(|| self.try_lock()) {
            Some(body) => {
                self.end_as_it_is(Visit::with(self, body, function), false);
            }
            // SAFETY: the caller's promise: whoever had the lock is gone.
            None => unsafe {
                let entry = ptr::from_ref(self.entry()).cast_mut();
                HEAP.disown(entry, self.entry().owner());
            },
        }
    }

    /// Ends a pool that nobody has used, and is locked.
    pub(super) fn end_unused(&self, body: Locked<'_, Body>) {
        let owner = self.entry().owner();
        self.entry().end();
        drop(body);
        // SAFETY: the pool has ended, and is empty.
        unsafe { HEAP.leave_spare(ptr::from_ref(self.entry()).cast_mut(), owner) }
    }

    fn end_as_it_is(&self, mut visit: Visit<'_>, tells: bool) -> Left {
        // Mostly there is nothing, as the last child is gone. (A pool that was reaped may have empty
        // magazines and no slab.)
        let body = &**visit.body;
        let has_magazines = cfg!(feature = "ext") && !body.depot.is_empty();
        if body.slabs.holders != 0 || body.slabs.count() != 0 || has_magazines {
            if cfg!(feature = "ext") && visit.body.slabs.holders == 0 {
                visit.leave_kit();
            }
            visit.drain_depot();
        }
        let (objects, children) = (visit.body.slabs.out(), visit.body.slabs.holders);
        let tells = tells || objects != 0 || children != 0;
        let id = tells.then(|| self.id(&visit.body));
        let left = Left { id, objects, children, kept: visit.body.kept };
        let slabs = core::mem::replace(&mut visit.body.slabs, Slabs::EMPTY);
        let mut surplus = core::mem::replace(&mut visit.surplus, Surplus::EMPTY);
        let has_nothing = surplus.is_empty() && slabs.count() == 0 && !self.entry().has_name();
        let is_empty = has_nothing && self.home().is_process();
        let (entry, owner) = (ptr::from_ref(self.entry()).cast_mut(), visit.owner());
        if is_empty {
            self.entry().end();
        }
        drop(visit);
        // SAFETY: the pool has ended, and its slabs were taken out of it.
        unsafe {
            if is_empty {
                HEAP.finish();
                HEAP.leave_spare(entry, owner);
            } else {
                HEAP.strike_out(entry, &mut surplus, |each| slabs.for_each(each));
            }
        }
        left
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
            (*parent).pool_or_new().expect("memory").lock().foreign_frees = BEFORE;
            (*parent).pool_or_new().expect("memory").lock().exchanges = BEFORE;
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
