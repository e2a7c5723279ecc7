//! The pools, the live objects, and what is checked.
//!
//! After each operation the library may have reported nothing. Each object that is allocated is
//! aligned, overlaps no other, and is zero if that was asked for; NULL comes from a destroyed
//! child, when a request for memory has failed, or from a heap of regions. Each object that is freed has its contents. In
//! the end all have, every pool validates, and when all is freed and destroyed nothing is left of
//! the library's memory.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::AssertUnwindSafe;
use std::ptr;
use std::sync::Mutex;

use mesa_slab::abi::ext::{
    SLAB_STATS_JSON, SLAB_STATS_TABLE, slab_alloc_bulk, slab_create_parent_with,
    slab_create_shared, slab_create_sizes, slab_create_sizes_child, slab_destroy_shared,
    slab_destroy_sizes, slab_destroy_sizes_child, slab_for_each_object, slab_free_bulk,
    slab_get_heap_stats, slab_get_parent_stats, slab_heap_stats, slab_is_object, slab_object_size,
    slab_options, slab_parent_stats, slab_prefill, slab_print_stats, slab_set_decay, slab_set_name,
    slab_set_report_handler, slab_shared_alloc, slab_shared_free, slab_shared_pool,
    slab_shared_zalloc, slab_shrink, slab_sizes, slab_sizes_alloc, slab_sizes_child,
    slab_sizes_free, slab_sizes_size, slab_sizes_zalloc, slab_trim_child, slab_trim_heap,
    slab_trim_parent, slab_validate,
};
use mesa_slab::abi::slab::{
    slab_alloc, slab_alloc_st, slab_child_pool, slab_create, slab_create_child, slab_create_parent,
    slab_destroy, slab_destroy_child, slab_destroy_parent, slab_free, slab_free_st, slab_mempool,
    slab_parent_pool, slab_zalloc,
};

use crate::contents;
use crate::heaps::Heaps;
use crate::operation::{
    CHILDREN, Child, Door, Heap, Operation, POOLS, Pick, SIZES, SIZES_CHILDREN,
};
use crate::system::{self, End, Function};

unsafe extern "C" {
    fn inlined_alloc(pool: *mut slab_child_pool) -> *mut c_void;
    fn inlined_free(pool: *mut slab_child_pool, object: *mut c_void);
}

/// So many bytes of objects are live at most; what would be more is not allocated.
const MOST_BYTES: usize = 24 << 20;

/// Bytes of objects of which a magazine holds a few, so that most calls need the pool.
const LARGE: u32 = 100_000;
/// So many of them come and go in each second in which other pools sleep.
const CALLS_A_SECOND: usize = 32;
/// So many seconds later all of them keep nothing, whatever they had: two magazines go with a call.
const MOST_SECONDS: usize = 200;
/// Bytes that the heap may keep then, for the pool that was awake.
const KEPT_AWAKE: usize = 4 << 20;

/// The first thing that the library reported.
static REPORTED: Mutex<Option<String>> = Mutex::new(None);

unsafe extern "C" fn note_report(_: *mut c_void, report: *const c_char) {
    // SAFETY: the library passes a string.
    let report = unsafe { CStr::from_ptr(report) };
    // That a hook has nothing is what was wanted of it.
    if report.to_bytes().ends_with(b"no memory for this heap") {
        return;
    }
    REPORTED.lock().unwrap().get_or_insert_with(|| report.to_string_lossy().into_owned());
}

/// A live object.
struct Object {
    address: *mut u8,
    size: usize,
    /// What the library says of it: more, if it is of a set of sizes.
    room: usize,
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
    /// What objects are to be aligned to at least.
    alignment: usize,
    heap: Heap,
    children: [Life; CHILDREN],
    /// The library may know of a pool here whose memory has another use.
    is_forgotten: bool,
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

/// A set of sizes that may exist, and its live objects.
struct Sizes {
    set: *mut slab_sizes,
    heap: Heap,
    children: [*mut slab_sizes_child; SIZES_CHILDREN],
    objects: Vec<Object>,
}

impl Sizes {
    const NONE: Sizes = Sizes {
        set: ptr::null_mut(),
        heap: Heap::Process,
        children: [ptr::null_mut(); SIZES_CHILDREN],
        objects: Vec::new(),
    };
}

/// A shared pool that may exist, and its live objects.
struct Shared {
    pool: *mut slab_shared_pool,
    item_size: u32,
    heap: Heap,
    objects: Vec<Object>,
}

impl Shared {
    const NONE: Shared =
        Shared { pool: ptr::null_mut(), item_size: 0, heap: Heap::Process, objects: Vec::new() };
}

/// All pools and all live objects.
pub struct World {
    pools: Box<[Pool]>,
    /// Live objects whose pools are gone.
    orphans: Vec<Object>,
    heaps: Heaps,
    sizes: Sizes,
    shared: Shared,
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
            alignment: 1,
            heap: Heap::Process,
            children: [Life::None; CHILDREN],
            is_forgotten: false,
            objects: Vec::new(),
        };
        World {
            pools: (0..POOLS).map(|_| pool()).collect(),
            orphans: Vec::new(),
            heaps: Heaps::none(),
            sizes: Sizes::NONE,
            shared: Shared::NONE,
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
            Operation::Visit { pool } => self.visit(pool),
            Operation::Allocate { child, count, zeroed, door } => {
                self.allocate(child, count, zeroed, door);
            }
            Operation::Free { of, through, count, pick, door } => {
                self.free(of, through, count, pick, door);
            }
            Operation::CreateParent { pool, item_size, num_items } => {
                self.create_parent(pool, item_size, num_items);
            }
            Operation::CreateParentWith { pool, item_size, num_items, alignment, heap } => {
                self.create_parent_with(pool, item_size, num_items, alignment, heap);
            }
            Operation::AddRegion => self.heaps.add_region(),
            Operation::FailReserve { number } => self.heaps.fail_reserve(number),
            Operation::CreateSizes { heap } => self.create_sizes(heap),
            Operation::SizesAllocate { child, bytes, count, zeroed } => {
                self.sizes_allocate(child, bytes, count, zeroed);
            }
            Operation::SizesFree { child, count, pick } => self.sizes_free(child, count, pick),
            Operation::DestroySizesChild { child } => self.destroy_sizes_child(child),
            Operation::CreateShared { item_size, heap } => self.create_shared(item_size, heap),
            Operation::SharedAllocate { count, zeroed } => self.shared_allocate(count, zeroed),
            Operation::SharedFree { count, pick } => self.shared_free(count, pick),
            Operation::CreateMempool { pool, item_size, num_items } => {
                self.prepare_to_create(pool);
                // SAFETY: no child of the pool is left.
                unsafe { slab_create(&raw mut self.pools[pool].memory, item_size, num_items) }
                self.pools[pool].item_size = Some(item_size);
                self.pools[pool].alignment = 1;
                self.pools[pool].heap = Heap::Process;
                self.pools[pool].children[0] = Life::Live;
            }
            Operation::DestroyParent { pool, children_first } => {
                self.destroy_parent(pool, children_first);
            }
            Operation::CreateChild { child } => self.create_child(child),
            Operation::DestroyChild { child } => self.destroy_child(child),
            Operation::Prefill { child, count } => self.prefill(child, count),
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
            Operation::Shrink { pool, but } => self.shrink(pool, but),
            Operation::TrimHeap => {
                slab_trim_heap();
            }
            Operation::SetDecay { seconds } => {
                slab_set_decay(seconds);
            }
            Operation::PassTime { seconds } => system::pass_time(seconds),
            Operation::Cycle { child, count, times } => {
                (0..times).for_each(|_| self.cycle(child, count));
            }
            Operation::TakeTurns { count } => self.take_turns(count),
            Operation::Forget { pool } => self.forget(pool),
            Operation::FallAsleep => self.fall_asleep(),
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
        self.heaps.recover();
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
            self.visit(pool);
        }
        self.sizes_free(0, usize::MAX, Pick::Spread(3));
        self.shared_free(usize::MAX, Pick::Spread(3));
        self.destroy_sizes();
        self.destroy_shared();
        for of in 0..=POOLS {
            let count = self.objects(of).len();
            self.free(of, Child(of % POOLS, 0), count, Pick::Spread(3), Door::Exported);
        }
        for pool in 0..POOLS {
            if self.pools[pool].is_forgotten {
                self.create_parent(pool, SIZES[0], 16);
            }
            self.validate(pool);
            self.destroy_parent(pool, pool % 2 == 0);
            for child in 0..CHILDREN {
                self.destroy_child(Child(pool, child));
            }
        }
        self.heaps.destroy();
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
        let objects = objects.chain(&self.sizes.objects).chain(&self.shared.objects);
        objects.for_each(Object::check);
    }

    fn create_parent(&mut self, pool: usize, item_size: u32, num_items: u32) {
        self.prepare_to_create(pool);
        // SAFETY: no child of the pool is left.
        unsafe { slab_create_parent(self.pools[pool].parent(), item_size, num_items) }
        self.pools[pool].item_size = Some(item_size);
        self.pools[pool].alignment = 1;
        self.pools[pool].heap = Heap::Process;
    }

    fn create_parent_with(
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
    fn prepare_to_create(&mut self, pool: usize) {
        self.pools[pool].is_forgotten = false;
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

    fn allocate_bulk(&mut self, Child(pool, child): Child, count: usize, size: usize) {
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

    fn prefill(&mut self, at: Child, count: usize) {
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

    /// How many requests for memory of a heap have failed.
    fn failed(&self, heap: Heap) -> u32 {
        match heap {
            Heap::Hooks => self.heaps.failed(),
            _ => Function::Mmap.failed(),
        }
    }

    /// Whether a call may have failed since so many requests for memory had.
    fn may_fail(&self, heap: Heap, failed: u32) -> bool {
        heap == Heap::Regions || self.failed(heap) != failed
    }

    /// Takes in an object of a pool that was allocated.
    fn add(&mut self, pool: usize, address: *mut u8, size: usize, zeroed: bool) {
        let promised = promised_alignment(size).max(self.pools[pool].alignment);
        let object = self.object(address, size, promised, zeroed, self.pools[pool].heap);
        self.pools[pool].objects.push(object);
    }

    /// Looks at an object that was allocated.
    fn object(
        &mut self,
        address: *mut u8,
        size: usize,
        promised: usize,
        zeroed: bool,
        heap: Heap,
    ) -> Object {
        assert_eq!(self.heaps.of(address), heap, "{size} bytes at {address:?}");
        assert_eq!(address.addr() % promised, 0, "{size} bytes at {address:?}");
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
        Object { address, size, room: size, number }
    }

    fn free(&mut self, of: usize, through: Child, count: usize, pick: Pick, door: Door) {
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

    fn cycle(&mut self, at: Child, count: usize) {
        let before = self.pools[at.0].objects.len();
        self.allocate(at, count, false, Door::Exported);
        let count = self.pools[at.0].objects.len() - before;
        self.free(at.0, at, count, Pick::Newest, Door::Exported);
    }

    fn take_turns(&mut self, count: usize) {
        for pool in 0..POOLS {
            for child in 0..CHILDREN {
                if self.pools[pool].children[child] == Life::Live {
                    self.cycle(Child(pool, child), count);
                }
            }
        }
    }

    /// What has no parent any more that exists, or was destroyed, could not be freed.
    fn forget(&mut self, pool: usize) {
        let count = self.pools[pool].objects.len();
        self.free(pool, Child(pool, 0), count, Pick::Oldest, Door::Exported);
        for child in 0..CHILDREN {
            self.destroy_child(Child(pool, child));
        }
        let pool = &mut self.pools[pool];
        // SAFETY: zeroes are a pool that was never created.
        pool.memory = unsafe { std::mem::zeroed() };
        pool.is_forgotten |= pool.item_size.take().is_some();
    }

    /// While another pool is used, those that sleep come to keep nothing, and after the decay time the
    /// heap does neither.
    fn fall_asleep(&mut self) {
        system::recover();
        let decay = slab_set_decay(1);
        // SAFETY: zeroes are a pool that was never created.
        let mut awake: slab_mempool = unsafe { std::mem::zeroed() };
        // SAFETY: nobody else uses the pool.
        unsafe { slab_create(&raw mut awake, LARGE, 1) }
        let pass_a_second = |awake: *mut slab_mempool| {
            system::pass_time(1);
            // SAFETY: the pool exists, and nobody else uses it.
            let objects: [_; CALLS_A_SECOND] =
                std::array::from_fn(|_| unsafe { slab_alloc_st(awake) });
            for object in objects {
                assert!(!object.is_null(), "NULL although there is memory");
                // SAFETY: as above.
                unsafe { slab_free_st(awake, object) }
            }
        };
        let mut seconds = 0;
        while let Some(stats) = self.all_stats().find(keeps_something) {
            assert!(
                seconds < MOST_SECONDS,
                "a pool of {} bytes keeps {} objects and {} empty slabs in its sleep",
                stats.item_size,
                stats.objects_in_depot,
                stats.slabs_empty
            );
            seconds += 1;
            pass_a_second(&raw mut awake);
        }
        // What is free is due a second later, and goes in slices.
        while heap_stats().dirty > KEPT_AWAKE {
            assert!(seconds < MOST_SECONDS, "{} bytes are kept for reuse", heap_stats().dirty);
            seconds += 1;
            pass_a_second(&raw mut awake);
        }
        // SAFETY: nobody else uses the pool.
        unsafe { slab_destroy(&raw mut awake) }
        let has_groups = !self.sizes.set.is_null() || !self.shared.pool.is_null();
        if self.orphans.is_empty() && !has_groups {
            let slabs: usize = self.all_stats().map(|stats| stats.bytes_held).sum();
            let beyond = heap_stats().object_slabs.saturating_sub(slabs);
            assert!(beyond <= KEPT_AWAKE, "{beyond} bytes of slabs are no pool's");
        }
        slab_set_decay(decay);
    }

    /// The numbers of all pools that exist.
    fn all_stats(&mut self) -> impl Iterator<Item = slab_parent_stats> {
        self.pools.iter_mut().filter(|pool| pool.item_size.is_some()).map(|pool| {
            // SAFETY: zeroes are numbers; the pool exists.
            unsafe {
                let mut stats: slab_parent_stats = std::mem::zeroed();
                stats.struct_size = size_of::<slab_parent_stats>();
                assert_eq!(slab_get_parent_stats(pool.parent(), &mut stats), 0);
                stats
            }
        })
    }

    /// Checks an object that is to be freed, and forgets it.
    fn give_up(&mut self, object: &Object) -> *mut c_void {
        object.check();
        self.ends.remove(&object.address.addr());
        self.bytes -= object.size;
        object.address.cast()
    }

    fn options(&mut self, item_size: u32, heap: Heap) -> slab_options {
        slab_options {
            struct_size: size_of::<slab_options>(),
            item_size,
            num_items: 64,
            alignment: 0,
            flags: 0,
            name: c"a group".as_ptr(),
            heap: self.heaps.get(heap),
        }
    }

    fn create_sizes(&mut self, heap: Heap) {
        self.destroy_sizes();
        let (options, failed) = (self.options(0, heap), self.failed(heap));
        // SAFETY: the options are such, and the heap exists.
        let set = unsafe { slab_create_sizes(&options) };
        assert!(!set.is_null() || self.may_fail(heap, failed), "no set although there is memory");
        (self.sizes.set, self.sizes.heap) = (set, heap);
    }

    fn destroy_sizes(&mut self) {
        for child in 0..SIZES_CHILDREN {
            self.destroy_sizes_child(child);
        }
        // SAFETY: it is null, or a set without children.
        unsafe { slab_destroy_sizes(self.sizes.set) }
        self.sizes.set = ptr::null_mut();
        self.orphans.append(&mut self.sizes.objects);
    }

    fn destroy_sizes_child(&mut self, child: usize) {
        let child = std::mem::replace(&mut self.sizes.children[child], ptr::null_mut());
        // SAFETY: it is null, or a child.
        unsafe { slab_destroy_sizes_child(child) }
    }

    /// A child of the set of sizes, which are made if there are none. Null without memory.
    fn sizes_child(&mut self, child: usize) -> *mut slab_sizes_child {
        if self.sizes.set.is_null() {
            self.create_sizes(Heap::Process);
        }
        if self.sizes.children[child].is_null() && !self.sizes.set.is_null() {
            let heap = self.sizes.heap;
            let failed = self.failed(heap);
            // SAFETY: the set exists.
            self.sizes.children[child] = unsafe { slab_create_sizes_child(self.sizes.set) };
            let made = !self.sizes.children[child].is_null();
            assert!(made || self.may_fail(heap, failed), "no child although there is memory");
        }
        self.sizes.children[child]
    }

    fn sizes_allocate(&mut self, child: usize, bytes: usize, count: usize, zeroed: bool) {
        let from = self.sizes_child(child);
        let heap = self.sizes.heap;
        for number in 0..count {
            let bytes = bytes + number % 3;
            if from.is_null() || self.bytes + bytes > MOST_BYTES {
                return;
            }
            let failed = self.failed(heap);
            // SAFETY: the child is live.
            let object = unsafe {
                if zeroed { slab_sizes_zalloc(from, bytes) } else { slab_sizes_alloc(from, bytes) }
            };
            if object.is_null() {
                assert!(self.may_fail(heap, failed), "NULL although there is memory");
                return;
            }
            // SAFETY: it is an object.
            let room = unsafe { slab_sizes_size(object) };
            assert!(room >= bytes);
            let promised = if bytes <= 8 { 8 } else { 16 };
            let object = self.object(object.cast(), bytes, promised, zeroed, heap);
            self.sizes.objects.push(Object { room, ..object });
        }
    }

    fn sizes_free(&mut self, child: usize, count: usize, pick: Pick) {
        let through = self.sizes_child(child);
        if through.is_null() {
            return;
        }
        for object in pick_from(&mut self.sizes.objects, count, pick) {
            let address = self.give_up(&object);
            // SAFETY: the object is live until here, and the child is.
            unsafe { slab_sizes_free(through, address) }
        }
    }

    fn create_shared(&mut self, item_size: u32, heap: Heap) {
        self.destroy_shared();
        let (options, failed) = (self.options(item_size, heap), self.failed(heap));
        // SAFETY: the options are such, and the heap exists.
        let pool = unsafe { slab_create_shared(&options) };
        assert!(!pool.is_null() || self.may_fail(heap, failed), "no pool although there is memory");
        (self.shared.pool, self.shared.item_size, self.shared.heap) = (pool, item_size, heap);
    }

    fn destroy_shared(&mut self) {
        // SAFETY: it is null, or a pool.
        unsafe { slab_destroy_shared(self.shared.pool) }
        self.shared.pool = ptr::null_mut();
        self.orphans.append(&mut self.shared.objects);
    }

    fn shared_allocate(&mut self, count: usize, zeroed: bool) {
        if self.shared.pool.is_null() {
            self.create_shared(96, Heap::Process);
        }
        let Shared { pool, item_size, heap, .. } = self.shared;
        let size = item_size.max(1) as usize;
        for _ in 0..count {
            if pool.is_null() || self.bytes + size > MOST_BYTES {
                return;
            }
            let failed = self.failed(heap);
            // SAFETY: the pool exists.
            let object =
                unsafe { if zeroed { slab_shared_zalloc(pool) } else { slab_shared_alloc(pool) } };
            if object.is_null() {
                assert!(self.may_fail(heap, failed), "NULL although there is memory");
                return;
            }
            let promised = promised_alignment(size);
            let object = self.object(object.cast(), size, promised, zeroed, heap);
            self.shared.objects.push(object);
        }
    }

    fn shared_free(&mut self, count: usize, pick: Pick) {
        for object in pick_from(&mut self.shared.objects, count, pick) {
            let address = self.give_up(&object);
            // SAFETY: the object is live until here, and the pool exists, as it has objects.
            unsafe { slab_shared_free(self.shared.pool, address) }
        }
    }

    fn validate(&mut self, pool: usize) {
        // SAFETY: the pool exists, or is destroyed or zeroed.
        let problems = unsafe { slab_validate(self.pools[pool].parent()) };
        assert_eq!(problems, 0, "{:?}", REPORTED.lock().unwrap());
    }

    fn set_name(&mut self, pool: usize, length: usize) {
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

    /// The numbers of a pool agree with the model and with each other; those of the heap with each
    /// other.
    fn statistics(&mut self, pool: usize) {
        let of_process = |(start, end): (&usize, &usize)| {
            let is_there = self.heaps.of(ptr::without_provenance(*start)) == Heap::Process;
            if is_there { end - start } else { 0 }
        };
        let bytes: usize = self.ends.iter().map(of_process).sum();
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

    /// Every live object is one by pointer, of its pool and of no other, and no address within one
    /// is. Once the children are trimmed, all objects of a pool are visited, each once.
    fn visit(&mut self, index: usize) {
        for of in 0..=POOLS {
            let parent = if of < POOLS { self.pools[of].parent() } else { ptr::null_mut() };
            let other = self.pools[(of + 1) % POOLS].parent();
            for object in self.objects(of).iter() {
                let address = object.address.cast_const().cast::<c_void>();
                let within = address.wrapping_byte_add(1 + object.number as usize % object.size);
                assert_eq!(slab_object_size(address), object.room, "{address:?}");
                // SAFETY: the pools exist, or are destroyed or zeroed, or null.
                unsafe {
                    assert_eq!(slab_is_object(parent, address), 1, "{address:?}");
                    assert_eq!(slab_is_object(other, address), 0, "{address:?}");
                }
                let is_next = within.addr() == address.addr() + object.size;
                assert!(is_next || slab_object_size(within) == 0, "{within:?} in {address:?}");
            }
        }
        self.trim_children(index);
        let mut visited = Vec::<*mut u8>::new();
        // SAFETY: the pool exists, or is destroyed or zeroed; `note` takes a vector.
        let count = unsafe {
            let parent = self.pools[index].parent();
            slab_for_each_object(parent, note, (&raw mut visited).cast())
        };
        assert_eq!(count, visited.len());
        visited.sort();
        let mut live: Vec<*mut u8> =
            self.pools[index].objects.iter().map(|object| object.address).collect();
        live.sort();
        assert_eq!(visited, live, "the objects that are visited");
    }

    fn trim_children(&mut self, pool: usize) {
        for child in 0..CHILDREN {
            if self.pools[pool].children[child] == Life::Live {
                // SAFETY: the child is live.
                unsafe { slab_trim_child(self.pools[pool].child(child)) };
            }
        }
    }

    /// Moves objects, each of which is live and has its contents, to where no other is.
    fn shrink(&mut self, pool: usize, but: usize) {
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
    fn move_object(&mut self, pool: usize, child: usize, address: *mut u8) -> bool {
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

/// Whether a pool has more than slabs with objects that callers or children have.
fn keeps_something(stats: &slab_parent_stats) -> bool {
    stats.objects_in_depot != 0 || stats.slabs_empty != 0
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

unsafe extern "C" fn note(visited: *mut c_void, object: *mut c_void) -> c_int {
    // SAFETY: `visited` is a vector.
    unsafe { (*visited.cast::<Vec<*mut u8>>()).push(object.cast()) }
    0
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

/// Takes so many of these objects, or all.
fn pick_from(objects: &mut Vec<Object>, count: usize, pick: Pick) -> Vec<Object> {
    let count = count.min(objects.len());
    match pick {
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
    }
}

/// What `slab.h` promises.
fn promised_alignment(size: usize) -> usize {
    match size {
        0..=8 => 8,
        32..=4096 if size.is_power_of_two() => size,
        _ => 16,
    }
}
