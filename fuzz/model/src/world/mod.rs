//! The pools, the live objects, and what is checked.
//!
//! After each operation the library may have reported nothing. Each object that is allocated is
//! aligned, overlaps no other, and is zero if that was asked for; NULL comes from a destroyed
//! child, when a request for memory has failed, or from a heap of regions. Each object that is freed has its contents. In
//! the end all have, every pool validates, and when all is freed and destroyed nothing is left of
//! the library's memory.
//!
//! | file | what it is |
//! |---|---|
//! | `object` | live objects, and which of them an operation picks |
//! | `pools` | parents and children, and their objects |
//! | `groups` | sets of sizes, and shared pools |
//! | `sleep` | pools that fall asleep |
//! | `numbers` | what the library says of all of them |

mod groups;
mod numbers;
mod object;
mod pools;
mod sleep;

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::panic::AssertUnwindSafe;
use std::ptr;
use std::sync::Mutex;

use mesa_slab::abi::ext::{
    slab_get_heap_stats, slab_heap_stats, slab_set_decay, slab_set_report_handler, slab_trim_child,
    slab_trim_heap, slab_trim_parent, slab_validate,
};
use mesa_slab::abi::slab::{slab_child_pool, slab_mempool, slab_parent_pool};

use self::groups::{Shared, Sizes};
use self::object::Object;
use crate::contents;
use crate::heaps::Heaps;
use crate::operation::{CHILDREN, Child, Door, Heap, Operation, POOLS, Pick, SIZES};
use crate::system::{self, End, Function};

/// So many bytes of objects are live at most; what would be more is not allocated.
const MOST_BYTES: usize = 24 << 20;

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
                self.create_mempool(pool, item_size, num_items);
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

    /// Checks an object that is to be freed, and forgets it.
    fn give_up(&mut self, object: &Object) -> *mut c_void {
        object.check();
        self.ends.remove(&object.address.addr());
        self.bytes -= object.size;
        object.address.cast()
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

fn heap_stats() -> slab_heap_stats {
    // SAFETY: zeroes are numbers.
    let mut heap: slab_heap_stats = unsafe { std::mem::zeroed() };
    heap.struct_size = size_of::<slab_heap_stats>();
    // SAFETY: the struct has the size that it says.
    unsafe { slab_get_heap_stats(&mut heap) }
    heap
}
