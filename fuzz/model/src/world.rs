//! The pools, the live objects, and what is checked.
//!
//! After each operation the library may have reported nothing. Each object that is allocated is
//! aligned, overlaps no other, and is zero if that was asked for; NULL comes from a destroyed
//! child, or when a request for memory has failed. Each object that is freed has its contents. In
//! the end all have, every pool validates, and when all is freed and destroyed nothing is left of
//! the library's memory.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::panic::AssertUnwindSafe;
use std::ptr;
use std::sync::Mutex;

use mesa_slab_core::abi::ext::{
    SLAB_STATS_JSON, SLAB_STATS_TABLE, slab_get_heap_stats, slab_get_parent_stats, slab_heap_stats,
    slab_parent_stats, slab_print_stats, slab_set_decay, slab_set_name, slab_set_report_handler,
    slab_trim_child, slab_trim_heap, slab_trim_parent, slab_validate,
};
use mesa_slab_core::abi::slab::{
    slab_alloc, slab_alloc_st, slab_child_pool, slab_create, slab_create_child, slab_create_parent,
    slab_destroy, slab_destroy_child, slab_destroy_parent, slab_free, slab_free_st, slab_mempool,
    slab_parent_pool, slab_zalloc,
};

use crate::contents;
use crate::operation::{CHILDREN, Child, Door, Operation, POOLS, Pick, SIZES};
use crate::system::{self, End, Function};

unsafe extern "C" {
    fn inlined_alloc(pool: *mut slab_child_pool) -> *mut c_void;
    fn inlined_free(pool: *mut slab_child_pool, object: *mut c_void);
}

/// So many bytes of objects are live at most; what would be more is not allocated.
const MOST_BYTES: usize = 24 << 20;

/// The first thing that the library reported.
static REPORTED: Mutex<Option<String>> = Mutex::new(None);

unsafe extern "C" fn note_report(_: *mut c_void, report: *const c_char) {
    // SAFETY: the library passes a string.
    let report = unsafe { CStr::from_ptr(report) };
    REPORTED.lock().unwrap().get_or_insert_with(|| report.to_string_lossy().into_owned());
}

/// A live object.
struct Object {
    address: *mut u8,
    size: usize,
    /// That its contents are made of.
    number: u64,
}

impl Object {
    fn check(&self) {
        // SAFETY: the object is live.
        let change = unsafe { contents::first_change(self.address, self.size, self.number) };
        assert_eq!(change, None, "object of {} bytes at {:?} has changed", self.size, self.address);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Zeroed, or destroyed.
    None,
    Live,
    /// Its parent is destroyed, and nothing may be done to it but to destroy it.
    Stale,
}

/// A parent pool that may exist. Its first child lies behind it, as in a slab_mempool.
struct Pool {
    memory: slab_mempool,
    others: [slab_child_pool; CHILDREN - 1],
    /// Bytes of an object, if the pool exists.
    item_size: Option<u32>,
    children: [Life; CHILDREN],
    /// Live objects, the oldest first.
    objects: Vec<Object>,
}

impl Pool {
    fn parent(&mut self) -> *mut slab_parent_pool {
        &raw mut self.memory.parent
    }

    fn child(&mut self, index: usize) -> *mut slab_child_pool {
        if index == 0 { &raw mut self.memory.child } else { &raw mut self.others[index - 1] }
    }
}

/// All pools and all live objects.
pub struct World {
    pools: Box<[Pool]>,
    /// Live objects whose pools are gone.
    orphans: Vec<Object>,
    /// Where live objects end, by where they start.
    ends: BTreeMap<usize, usize>,
    bytes: usize,
    next_number: u64,
    has_forked: bool,
    bytes_held_before: usize,
}

impl Default for World {
    fn default() -> World {
        World::new()
    }
}

impl World {
    /// No pools, and a library that holds nothing.
    pub fn new() -> World {
        slab_set_report_handler(Some(note_report), ptr::null_mut());
        let pool = || Pool {
            // SAFETY: zeroes are pools that were never created.
            memory: unsafe { std::mem::zeroed() },
            // SAFETY: likewise.
            others: unsafe { std::mem::zeroed() },
            item_size: None,
            children: [Life::None; CHILDREN],
            objects: Vec::new(),
        };
        World {
            pools: (0..POOLS).map(|_| pool()).collect(),
            orphans: Vec::new(),
            ends: BTreeMap::new(),
            bytes: 0,
            next_number: 0,
            has_forked: false,
            bytes_held_before: system::bytes_held(),
        }
    }

    /// Does one thing and checks what it gives.
    pub fn apply(&mut self, number: usize, operation: &Operation) {
        match *operation {
            Operation::Validate { pool } => self.validate(pool),
            Operation::Statistics { pool } => self.statistics(pool),
            Operation::Allocate { child, count, zeroed, door } => {
                self.allocate(child, count, zeroed, door);
            }
            Operation::Free { of, through, count, pick, door } => {
                self.free(of, through, count, pick, door);
            }
            Operation::CreateParent { pool, item_size, num_items } => {
                self.create_parent(pool, item_size, num_items);
            }
            Operation::CreateMempool { pool, item_size, num_items } => {
                self.prepare_to_create(pool);
                // SAFETY: no child of the pool is left.
                unsafe { slab_create(&raw mut self.pools[pool].memory, item_size, num_items) }
                self.pools[pool].item_size = Some(item_size);
                self.pools[pool].children[0] = Life::Live;
            }
            Operation::DestroyParent { pool, children_first } => {
                self.destroy_parent(pool, children_first);
            }
            Operation::CreateChild { child } => self.create_child(child),
            Operation::DestroyChild { child } => self.destroy_child(child),
            Operation::TrimChild { child: Child(pool, child) } => {
                if self.pools[pool].children[child] != Life::Stale {
                    // SAFETY: the child is live, destroyed or zeroed.
                    unsafe { slab_trim_child(self.pools[pool].child(child)) };
                }
            }
            Operation::TrimParent { pool } => {
                // SAFETY: the pool exists, or is destroyed or zeroed.
                unsafe { slab_trim_parent(self.pools[pool].parent()) };
            }
            Operation::TrimHeap => {
                slab_trim_heap();
            }
            Operation::SetDecay { seconds } => {
                slab_set_decay(seconds);
            }
            Operation::PassTime { seconds } => system::pass_time(seconds),
            Operation::SetName { pool, length } => self.set_name(pool, length),
            Operation::FailCalls { function, number, and_later_ones } => {
                function.fail(number, and_later_ones);
            }
            Operation::Recover => system::recover(),
            Operation::Fork => self.fork(),
        }
        if let Some(report) = REPORTED.lock().unwrap().take() {
            panic!("reported by operation {number}, {operation:?}: {report}");
        }
    }

    /// Checks everything, takes all down, and checks that nothing is left. The system is well
    /// again.
    pub fn finish(mut self) {
        system::recover();
        self.check_all();
        for pool in 0..POOLS {
            // While there is memory, every child gives an object.
            for child in 0..CHILDREN {
                if self.pools[pool].children[child] == Life::Live {
                    self.allocate(Child(pool, child), 1, false, Door::Exported);
                }
            }
            self.validate(pool);
            self.statistics(pool);
        }
        for of in 0..=POOLS {
            let count = self.objects(of).len();
            self.free(of, Child(of % POOLS, 0), count, Pick::Spread(3), Door::Exported);
        }
        for pool in 0..POOLS {
            self.validate(pool);
            self.destroy_parent(pool, pool % 2 == 0);
            for child in 0..CHILDREN {
                self.destroy_child(Child(pool, child));
            }
        }
        slab_set_decay(10);
        slab_trim_heap();
        // SAFETY: null is no pool.
        assert_eq!(unsafe { slab_validate(ptr::null_mut()) }, 0);
        let heap = heap_stats();
        assert_eq!((heap.object_slabs, heap.mapped), (0, 0), "something is left");
        assert_eq!(system::bytes_held(), self.bytes_held_before, "something stays mapped");
        assert_eq!(REPORTED.lock().unwrap().take(), None);
    }

    fn objects(&mut self, of: usize) -> &mut Vec<Object> {
        if of < POOLS { &mut self.pools[of].objects } else { &mut self.orphans }
    }

    fn check_all(&self) {
        let objects = self.pools.iter().flat_map(|pool| &pool.objects).chain(&self.orphans);
        objects.for_each(Object::check);
    }

    fn create_parent(&mut self, pool: usize, item_size: u32, num_items: u32) {
        self.prepare_to_create(pool);
        // SAFETY: no child of the pool is left.
        unsafe { slab_create_parent(self.pools[pool].parent(), item_size, num_items) }
        self.pools[pool].item_size = Some(item_size);
    }

    /// Destroys the children of a pool, which may then be created, also over one that is not
    /// destroyed.
    fn prepare_to_create(&mut self, pool: usize) {
        for child in 0..CHILDREN {
            self.destroy_child(Child(pool, child));
        }
        let objects = std::mem::take(&mut self.pools[pool].objects);
        self.orphans.extend(objects);
    }

    fn destroy_parent(&mut self, pool: usize, children_first: bool) {
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

    fn create_child(&mut self, Child(pool, child): Child) {
        let pool = &mut self.pools[pool];
        if pool.item_size.is_some() && pool.children[child] == Life::None {
            // SAFETY: the parent exists, and the child does not.
            unsafe { slab_create_child(pool.child(child), pool.parent()) }
            pool.children[child] = Life::Live;
        }
    }

    fn destroy_child(&mut self, Child(pool, child): Child) {
        let pool = &mut self.pools[pool];
        // SAFETY: the child is live, stale, destroyed or zeroed.
        unsafe { slab_destroy_child(pool.child(child)) }
        pool.children[child] = Life::None;
    }

    fn allocate(&mut self, at: Child, count: usize, zeroed: bool, door: Door) {
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
        for _ in 0..count {
            let size =
                self.pools[pool].item_size.expect("a live child has a parent").max(1) as usize;
            if self.bytes + size > MOST_BYTES {
                return;
            }
            let failed = Function::Mmap.failed();
            let Pool { memory, .. } = &mut self.pools[pool];
            let memory = &raw mut *memory;
            let from = self.pools[pool].child(child);
            // SAFETY: the child is live, as is the mempool if it is its child.
            let object = unsafe {
                match door {
                    _ if zeroed => slab_zalloc(from),
                    Door::Exported => slab_alloc(from),
                    Door::Inlined => inlined_alloc(from),
                    Door::Single if child == 0 => slab_alloc_st(memory),
                    Door::Single => slab_alloc(from),
                }
            };
            if object.is_null() {
                assert_ne!(Function::Mmap.failed(), failed, "NULL although there is memory");
                self.check_all();
                return;
            }
            self.add(pool, object.cast(), size, zeroed);
        }
    }

    /// Takes in an object that was allocated.
    fn add(&mut self, pool: usize, address: *mut u8, size: usize, zeroed: bool) {
        assert_eq!(address.addr() % promised_alignment(size), 0, "{size} bytes at {address:?}");
        let end = address.addr() + size;
        let (before, behind) = (self.ends.range(..end).next_back(), self.ends.range(end..).next());
        for (&start, &other_end) in before.into_iter().chain(behind) {
            assert!(
                other_end <= address.addr() || start >= end,
                "{size} bytes at {address:?} overlap {start:#x} to {other_end:#x}"
            );
        }
        if zeroed {
            // SAFETY: the object is live.
            let bytes = unsafe { std::slice::from_raw_parts(address, size) };
            assert!(
                bytes.iter().all(|byte| *byte == 0),
                "{size} bytes at {address:?} are not zero"
            );
        }
        let number = self.next_number;
        self.next_number += 1;
        // SAFETY: the object is live, and nobody else's.
        unsafe { contents::write(address, size, number) }
        self.ends.insert(address.addr(), end);
        self.bytes += size;
        self.pools[pool].objects.push(Object { address, size, number });
    }

    fn free(&mut self, of: usize, through: Child, count: usize, pick: Pick, door: Door) {
        let objects = self.objects(of);
        let count = count.min(objects.len());
        let picked: Vec<Object> = match pick {
            Pick::Newest => objects.drain(objects.len() - count..).rev().collect(),
            Pick::Oldest => objects.drain(..count).collect(),
            Pick::Spread(step) => {
                let mut picked = Vec::new();
                let mut index = 0;
                while picked.len() < count {
                    index = (index + step) % objects.len();
                    picked.push(objects.swap_remove(index));
                }
                picked
            }
        };
        let Child(pool, child) = through;
        // SAFETY: zeroes are a child that was never created.
        let mut nobody: slab_child_pool = unsafe { std::mem::zeroed() };
        let is_stale = self.pools[pool].children[child] == Life::Stale;
        let memory = &raw mut self.pools[pool].memory;
        let through = if is_stale { &raw mut nobody } else { self.pools[pool].child(child) };
        for object in picked {
            object.check();
            self.ends.remove(&object.address.addr());
            self.bytes -= object.size;
            let address = object.address.cast();
            // SAFETY: the object is live until here; the child is live, destroyed or zeroed.
            unsafe {
                match door {
                    Door::Exported => slab_free(through, address),
                    Door::Inlined => inlined_free(through, address),
                    Door::Single if child == 0 && !is_stale => slab_free_st(memory, address),
                    Door::Single => slab_free(through, address),
                }
            }
        }
    }

    fn validate(&mut self, pool: usize) {
        // SAFETY: the pool exists, or is destroyed or zeroed.
        let problems = unsafe { slab_validate(self.pools[pool].parent()) };
        assert_eq!(problems, 0, "{:?}", REPORTED.lock().unwrap());
    }

    fn set_name(&mut self, pool: usize, length: usize) {
        let name: Vec<u8> = (0..length).map(|place| b'a' + (place % 26) as u8).chain([0]).collect();
        let failed = Function::Mmap.failed();
        let exists = self.pools[pool].item_size.is_some();
        // SAFETY: the pool exists, or is destroyed or zeroed; the name is a string.
        let named = unsafe { slab_set_name(self.pools[pool].parent(), name.as_ptr().cast()) };
        match named {
            0 => assert!(exists, "a name for a pool that is not there"),
            _ => assert!(!exists || Function::Mmap.failed() != failed, "no name"),
        }
    }

    /// The numbers of a pool agree with the model and with each other; those of the heap with each
    /// other.
    fn statistics(&mut self, pool: usize) {
        let bytes: usize = self.bytes;
        let pool = &mut self.pools[pool];
        // SAFETY: zeroes are numbers.
        let mut stats: slab_parent_stats = unsafe { std::mem::zeroed() };
        stats.struct_size = size_of::<slab_parent_stats>();
        // SAFETY: the pool exists, or is destroyed or zeroed.
        let got = unsafe { slab_get_parent_stats(pool.parent(), &mut stats) };
        assert_eq!(got == 0, pool.item_size.is_some());
        if let Some(item_size) = pool.item_size {
            let live = pool.objects.len();
            let children = pool.children.iter().filter(|life| **life == Life::Live).count();
            assert_eq!(stats.item_size, item_size as usize);
            assert!(stats.children <= children);
            assert!(stats.objects_out >= live + stats.objects_in_depot, "an object is lost");
            let cached = stats.objects_out - stats.objects_in_depot - live;
            assert!(cached <= stats.children * stats.objects_per_child, "an object is kept");
            assert!(stats.peak_objects_out >= stats.objects_out);
            let slabs = stats.slabs_full + stats.slabs_partial + stats.slabs_empty;
            assert!(slabs * stats.objects_per_slab >= stats.objects_out);
            assert!(stats.bytes_held >= slabs * stats.slab_bytes);
        }
        let heap = heap_stats();
        assert_eq!(heap.held, heap.object_slabs + heap.magazine_slabs + heap.metadata + heap.dirty);
        assert!(heap.object_slabs >= bytes);
        assert!(heap.mapped >= heap.held + heap.clean);
        for format in [SLAB_STATS_TABLE, SLAB_STATS_JSON] {
            let mut text = Vec::<u8>::new();
            // SAFETY: `append` takes a vector.
            unsafe { slab_print_stats(append, (&raw mut text).cast(), format) }
            assert!(text.is_ascii() && text.ends_with(b"\n"));
        }
    }

    /// The forked process can use every pool, and leaves this one's alone. Once in a sequence, as
    /// it is slow.
    fn fork(&mut self) {
        if std::mem::replace(&mut self.has_forked, true) {
            return;
        }
        let end = system::in_a_forked_process(AssertUnwindSafe(|| {
            self.check_all();
            for pool in 0..POOLS {
                for child in 0..CHILDREN {
                    if self.pools[pool].children[child] == Life::Live {
                        self.allocate(Child(pool, child), 20, false, Door::Exported);
                        self.free(pool, Child(pool, child), 30, Pick::Oldest, Door::Exported);
                    }
                }
                self.validate(pool);
            }
            slab_trim_heap();
            self.check_all();
            assert_eq!(REPORTED.lock().unwrap().take(), None);
        }));
        assert_eq!(end, End::Good, "the forked process");
        self.check_all();
    }
}

unsafe extern "C" fn append(text: *mut c_void, piece: *const c_char, length: usize) {
    // SAFETY: `text` is a vector, and the library passes a piece of this length.
    unsafe {
        (*text.cast::<Vec<u8>>()).extend(std::slice::from_raw_parts(piece.cast::<u8>(), length))
    }
}

fn heap_stats() -> slab_heap_stats {
    // SAFETY: zeroes are numbers.
    let mut heap: slab_heap_stats = unsafe { std::mem::zeroed() };
    heap.struct_size = size_of::<slab_heap_stats>();
    // SAFETY: the struct has the size that it says.
    unsafe { slab_get_heap_stats(&mut heap) }
    heap
}

/// What `slab.h` promises.
fn promised_alignment(size: usize) -> usize {
    match size {
        0..=8 => 8,
        32..=4096 if size.is_power_of_two() => size,
        _ => 16,
    }
}
