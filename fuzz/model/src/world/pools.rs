//! Parents and children: what is done with them and with their objects.

use std::ffi::{c_int, c_void};
use std::ptr;

use mesa_slab::abi::ext::{
    slab_alloc_bulk, slab_create_parent_with, slab_free_bulk, slab_get_parent_stats, slab_options,
    slab_parent_stats, slab_prefill, slab_set_name, slab_shrink, slab_trim_child,
};
use mesa_slab::abi::slab::{
    slab_alloc, slab_alloc_st, slab_child_pool, slab_create, slab_create_child, slab_create_parent,
    slab_destroy, slab_destroy_child, slab_destroy_parent, slab_free, slab_free_st, slab_zalloc,
};

use super::object::{pick_from, promised_alignment};
use super::{Life, MOST_BYTES, Pool, World};
use crate::operation::{CHILDREN, Child, Door, Heap, Pick, SIZES};
use crate::system::{self, Function};

unsafe extern "C" {
    fn inlined_alloc(pool: *mut slab_child_pool) -> *mut c_void;
    fn inlined_free(pool: *mut slab_child_pool, object: *mut c_void);
}

impl World {
    pub(super) fn create_parent(&mut self, pool: usize, item_size: u32, num_items: u32) {
        self.prepare_to_create(pool);
        // SAFETY: no child of the pool is left.
        unsafe { slab_create_parent(self.pools[pool].parent(), item_size, num_items) }
        self.pools[pool].item_size = Some(item_size);
        self.pools[pool].alignment = 1;
        self.pools[pool].heap = Heap::Process;
    }

    pub(super) fn create_parent_with(
        &mut self,
        pool: usize,
        item_size: u32,
        num_items: u32,
        alignment: u32,
        heap: Heap,
    ) {
        self.prepare_to_create(pool);
        let options = slab_options {
            struct_size: size_of::<slab_options>(),
            item_size,
            num_items,
            alignment,
            flags: 0,
            name: c"options".as_ptr(),
            heap: self.heaps.get(heap),
        };
        let failed = self.failed(heap);
        // SAFETY: no child of the pool is left; the name is a string.
        let created = unsafe { slab_create_parent_with(self.pools[pool].parent(), &options) };
        if created == 0 {
            self.pools[pool].item_size = Some(item_size);
            self.pools[pool].alignment = alignment.max(1) as usize;
            self.pools[pool].heap = heap;
        } else {
            assert!(self.may_fail(heap, failed), "no pool although there is memory");
            self.pools[pool].item_size = None;
        }
    }

    /// Destroys the children of a pool, which may then be created, also over one that is not
    /// destroyed.
    pub(super) fn prepare_to_create(&mut self, pool: usize) {
        self.pools[pool].is_forgotten = false;
        for child in 0..CHILDREN {
            self.destroy_child(Child(pool, child));
        }
        let objects = std::mem::take(&mut self.pools[pool].objects);
        self.orphans.extend(objects);
    }

    pub(super) fn create_mempool(&mut self, pool: usize, item_size: u32, num_items: u32) {
        self.prepare_to_create(pool);
        // SAFETY: no child of the pool is left.
        unsafe { slab_create(&raw mut self.pools[pool].memory, item_size, num_items) }
        self.pools[pool].item_size = Some(item_size);
        self.pools[pool].alignment = 1;
        self.pools[pool].heap = Heap::Process;
        self.pools[pool].children[0] = Life::Live;
    }

    pub(super) fn destroy_parent(&mut self, pool: usize, children_first: bool) {
        if children_first {
            for child in 0..CHILDREN {
                self.destroy_child(Child(pool, child));
            }
        }
        let has_single_child = self.pools[pool].children[0] == Life::Live && children_first;
        // SAFETY: no other call uses the pool, and it exists or is zeroed.
        unsafe {
            if has_single_child {
                slab_destroy(&raw mut self.pools[pool].memory);
            } else {
                slab_destroy_parent(self.pools[pool].parent());
            }
        }
        let pool = &mut self.pools[pool];
        if pool.item_size.take().is_some() {
            for life in &mut pool.children {
                if *life == Life::Live {
                    *life = Life::Stale;
                }
            }
        }
        self.orphans.append(&mut pool.objects);
    }

    pub(super) fn create_child(&mut self, Child(pool, child): Child) {
        let pool = &mut self.pools[pool];
        if pool.item_size.is_some() && pool.children[child] == Life::None {
            // SAFETY: the parent exists, and the child does not.
            unsafe { slab_create_child(pool.child(child), pool.parent()) }
            pool.children[child] = Life::Live;
        }
    }

    pub(super) fn destroy_child(&mut self, Child(pool, child): Child) {
        let pool = &mut self.pools[pool];
        // SAFETY: the child is live, stale, destroyed or zeroed.
        unsafe { slab_destroy_child(pool.child(child)) }
        pool.children[child] = Life::None;
    }

    pub(super) fn trim_children(&mut self, pool: usize) {
        for child in 0..CHILDREN {
            if self.pools[pool].children[child] == Life::Live {
                // SAFETY: the child is live.
                unsafe { slab_trim_child(self.pools[pool].child(child)) };
            }
        }
    }

    pub(super) fn allocate(&mut self, at: Child, count: usize, zeroed: bool, door: Door) {
        let Child(pool, child) = at;
        if self.pools[pool].children[child] == Life::Stale {
            return;
        }
        if self.pools[pool].children[child] == Life::None {
            // SAFETY: the child is destroyed or zeroed.
            let object = unsafe { slab_alloc(self.pools[pool].child(child)) };
            assert!(object.is_null(), "an object from a destroyed child");
            if self.pools[pool].item_size.is_none() {
                self.create_parent(pool, SIZES[pool], 16);
            }
            self.create_child(at);
        }
        let size = self.pools[pool].item_size.expect("a live child has a parent").max(1) as usize;
        if let (Door::Bulk, false) = (door, zeroed) {
            return self.allocate_bulk(at, count.min((MOST_BYTES - self.bytes) / size), size);
        }
        for _ in 0..count {
            if self.bytes + size > MOST_BYTES {
                return;
            }
            let heap = self.pools[pool].heap;
            let failed = self.failed(heap);
            let Pool { memory, .. } = &mut self.pools[pool];
            let memory = &raw mut *memory;
            let from = self.pools[pool].child(child);
            // SAFETY: the child is live, as is the mempool if it is its child.
            let object = unsafe {
                match door {
                    _ if zeroed => slab_zalloc(from),
                    Door::Exported | Door::Bulk => slab_alloc(from),
                    Door::Inlined => inlined_alloc(from),
                    Door::Single if child == 0 => slab_alloc_st(memory),
                    Door::Single => slab_alloc(from),
                }
            };
            if object.is_null() {
                assert!(self.may_fail(heap, failed), "NULL although there is memory");
                self.check_all();
                return;
            }
            self.add(pool, object.cast(), size, zeroed);
        }
    }

    pub(super) fn allocate_bulk(&mut self, Child(pool, child): Child, count: usize, size: usize) {
        let heap = self.pools[pool].heap;
        let failed = self.failed(heap);
        let mut objects = vec![ptr::null_mut::<c_void>(); count];
        let from = self.pools[pool].child(child);
        // SAFETY: the child is live, and there is room for as many.
        let got = unsafe { slab_alloc_bulk(from, count as u32, objects.as_mut_ptr()) } as usize;
        assert!(got <= count);
        if got < count {
            assert!(self.may_fail(heap, failed), "fewer although there is memory");
            assert!(objects[got..].iter().all(|object| object.is_null()));
        }
        for object in &objects[..got] {
            self.add(pool, object.cast(), size, false);
        }
    }

    pub(super) fn prefill(&mut self, at: Child, count: usize) {
        let Child(pool, child) = at;
        if self.pools[pool].children[child] != Life::Live {
            return;
        }
        let size = self.pools[pool].item_size.expect("a live child has a parent").max(1) as usize;
        let count = count.min((MOST_BYTES - self.bytes) / size);
        let heap = self.pools[pool].heap;
        let failed = self.failed(heap);
        // SAFETY: zeroes are numbers.
        let mut stats: slab_parent_stats = unsafe { std::mem::zeroed() };
        stats.struct_size = size_of::<slab_parent_stats>();
        // SAFETY: the child and its parent are live.
        let promised = unsafe {
            slab_get_parent_stats(self.pools[pool].parent(), &mut stats);
            slab_prefill(self.pools[pool].child(child), count as u32) as usize
        };
        let most = count.min(stats.objects_per_child);
        assert!(promised <= most);
        assert!(promised == most || self.may_fail(heap, failed), "{promised} of {most}");
        // One in two is left for other operations to meet.
        if count % 16 < 8 {
            Function::Mmap.fail(1, true);
            self.heaps.fail_reserve(1);
            let before = self.pools[pool].objects.len();
            self.allocate(at, promised, false, Door::Inlined);
            assert_eq!(self.pools[pool].objects.len() - before, promised, "less than promised");
            system::recover();
            self.heaps.recover();
        }
    }

    /// Takes in an object of a pool that was allocated.
    pub(super) fn add(&mut self, pool: usize, address: *mut u8, size: usize, zeroed: bool) {
        let promised = promised_alignment(size).max(self.pools[pool].alignment);
        let object = self.object(address, size, promised, zeroed, self.pools[pool].heap);
        self.pools[pool].objects.push(object);
    }

    pub(super) fn free(&mut self, of: usize, through: Child, count: usize, pick: Pick, door: Door) {
        let picked = pick_from(self.objects(of), count, pick);
        let Child(pool, child) = through;
        // SAFETY: zeroes are a child that was never created.
        let mut nobody: slab_child_pool = unsafe { std::mem::zeroed() };
        let is_stale = self.pools[pool].children[child] == Life::Stale;
        let memory = &raw mut self.pools[pool].memory;
        let through = if is_stale { &raw mut nobody } else { self.pools[pool].child(child) };
        let mut in_bulk = Vec::new();
        for object in picked {
            let address = self.give_up(&object);
            // SAFETY: the object is live until here; the child is live, destroyed or zeroed.
            unsafe {
                match door {
                    Door::Bulk => in_bulk.push(address),
                    Door::Exported => slab_free(through, address),
                    Door::Inlined => inlined_free(through, address),
                    Door::Single if child == 0 && !is_stale => slab_free_st(memory, address),
                    Door::Single => slab_free(through, address),
                }
            }
        }
        // SAFETY: as above.
        unsafe { slab_free_bulk(through, in_bulk.len() as u32, in_bulk.as_ptr()) }
    }

    pub(super) fn cycle(&mut self, at: Child, count: usize) {
        let before = self.pools[at.0].objects.len();
        self.allocate(at, count, false, Door::Exported);
        let count = self.pools[at.0].objects.len() - before;
        self.free(at.0, at, count, Pick::Newest, Door::Exported);
    }

    pub(super) fn set_name(&mut self, pool: usize, length: usize) {
        let name: Vec<u8> = (0..length).map(|place| b'a' + (place % 26) as u8).chain([0]).collect();
        let heap = self.pools[pool].heap;
        let failed = self.failed(heap);
        let exists = self.pools[pool].item_size.is_some();
        // SAFETY: the pool exists, or is destroyed or zeroed; the name is a string.
        let named = unsafe { slab_set_name(self.pools[pool].parent(), name.as_ptr().cast()) };
        match named {
            0 => assert!(exists, "a name for a pool that is not there"),
            _ => assert!(!exists || self.may_fail(heap, failed), "no name"),
        }
    }

    /// Moves objects, each of which is live and has its contents, to where no other is.
    pub(super) fn shrink(&mut self, pool: usize, but: usize) {
        self.trim_children(pool);
        let child = self.pools[pool].children.iter().position(|life| *life == Life::Live);
        let before = self.pools[pool].objects.len();
        let parent = self.pools[pool].parent();
        let mut mover = Mover { world: self, pool, child, but, met: 0 };
        // SAFETY: the pool exists, or is destroyed or zeroed; `move_object` takes a mover.
        unsafe { slab_shrink(parent, move_object, (&raw mut mover).cast()) };
        assert!(mover.met <= before);
        assert_eq!(self.pools[pool].objects.len(), before);
        self.validate(pool);
    }

    /// Moves a live object of a pool, and returns whether it did.
    pub(super) fn move_object(&mut self, pool: usize, child: usize, address: *mut u8) -> bool {
        let objects = &mut self.pools[pool].objects;
        let found = objects.iter().position(|object| object.address == address);
        let found = found.expect("only what is live is to be moved");
        objects[found].check();
        let from = self.pools[pool].child(child);
        // SAFETY: the child is live.
        let new = unsafe { slab_alloc(from) }.cast::<u8>();
        if new.is_null() {
            return false;
        }
        let old = self.pools[pool].objects.remove(found);
        self.add(pool, new, old.size, false);
        self.ends.remove(&old.address.addr());
        self.bytes -= old.size;
        true
    }
}

/// Who moves the objects of a pool, through a child if there is one.
struct Mover<'a> {
    world: &'a mut World,
    pool: usize,
    child: Option<usize>,
    but: usize,
    met: usize,
}

unsafe extern "C" fn move_object(mover: *mut c_void, object: *mut c_void) -> c_int {
    // SAFETY: it is a mover, and nobody else uses it.
    let mover = unsafe { &mut *mover.cast::<Mover<'_>>() };
    mover.met += 1;
    match mover.child {
        Some(child) if mover.met % 4 != mover.but => {
            mover.world.move_object(mover.pool, child, object.cast()).into()
        }
        _ => 0,
    }
}
