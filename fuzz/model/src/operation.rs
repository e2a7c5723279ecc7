//! What can be done to the library, and how it is read from bytes: four for each operation, so that
//! a fuzzer that changes, moves or drops one leaves the others as they are.
//!
//! The debug form of an operation is Rust that can be pasted into a test.

use crate::system::Function;

/// How many pools there are.
pub const POOLS: usize = 5;
/// How many children each has.
pub const CHILDREN: usize = 4;

/// How many children the set of sizes has.
pub const SIZES_CHILDREN: usize = 3;

/// Sizes of objects that meet every kind of slab and of magazine.
pub const SIZES: [u32; 24] = [
    96, 1, 8, 9, 24, 88, 240, 256, 257, 600, 1024, 1500, 2048, 4000, 4096, 5000, 8192, 20_000,
    40_000, 66_632, 131_072, 300_000, 1_100_000, 3_000_000,
];
const NUM_ITEMS: [u32; 8] = [16, 0, 1, 4, 64, 200, 512, 5000];
const COUNTS: [usize; 8] = [1, 2, 3, 8, 17, 64, 130, 300];
const SECONDS: [u32; 4] = [10, 0, 1, 100];

/// A pool and one of its children, which need not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child(pub usize, pub usize);

/// Which of the ways to the same function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Exported,
    Inlined,
    /// slab_alloc_st() and slab_free_st(), for the child of a slab_mempool.
    Single,
    /// All in one call.
    Bulk,
}

/// Which heap something is made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heap {
    Process,
    /// That of regions, which may be used up.
    Regions,
    /// That of hooks.
    Hooks,
}

/// Which of the objects of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    Newest,
    Oldest,
    /// Each so-many-th, from the oldest on.
    Spread(usize),
}

/// One thing that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Validate {
        pool: usize,
    },
    Statistics {
        pool: usize,
    },
    /// Asks by pointer, and visits all objects of a pool whose children are trimmed.
    Visit {
        pool: usize,
    },
    Allocate {
        child: Child,
        count: usize,
        zeroed: bool,
        door: Door,
    },
    /// Objects of `of`, those of destroyed pools if it is none, through any child.
    Free {
        of: usize,
        through: Child,
        count: usize,
        pick: Pick,
        door: Door,
    },
    CreateParent {
        pool: usize,
        item_size: u32,
        num_items: u32,
    },
    /// With an alignment and a name.
    CreateParentWith {
        pool: usize,
        item_size: u32,
        num_items: u32,
        alignment: u32,
        heap: Heap,
    },
    /// The heap of regions gets one more, if there is one left.
    AddRegion,
    /// A call of the hook that reserves memory fails.
    FailReserve {
        number: u32,
    },
    /// A set of sizes is made anew; the objects of the old one stay.
    CreateSizes {
        heap: Heap,
    },
    SizesAllocate {
        child: usize,
        bytes: usize,
        count: usize,
        zeroed: bool,
    },
    SizesFree {
        child: usize,
        count: usize,
        pick: Pick,
    },
    DestroySizesChild {
        child: usize,
    },
    /// A shared pool is made anew, likewise.
    CreateShared {
        item_size: u32,
        heap: Heap,
    },
    SharedAllocate {
        count: usize,
        zeroed: bool,
    },
    SharedFree {
        count: usize,
        pick: Pick,
    },
    CreateMempool {
        pool: usize,
        item_size: u32,
        num_items: u32,
    },
    /// If not its children first, they are destroyed after it.
    DestroyParent {
        pool: usize,
        children_first: bool,
    },
    CreateChild {
        child: Child,
    },
    DestroyChild {
        child: Child,
    },
    /// Puts objects by, and allocates as many as were promised while no memory is to be had.
    Prefill {
        child: Child,
        count: usize,
    },
    TrimChild {
        child: Child,
    },
    TrimParent {
        pool: usize,
    },
    /// Moves the objects of sparse slabs, but one in four.
    Shrink {
        pool: usize,
        but: usize,
    },
    TrimHeap,
    SetDecay {
        seconds: u32,
    },
    PassTime {
        seconds: u32,
    },
    /// Fills a pool and empties it, some times over.
    Cycle {
        child: Child,
        count: usize,
        times: usize,
    },
    /// Each child of each pool allocates a few objects and frees them.
    TakeTurns {
        count: usize,
    },
    /// All objects are freed and the children destroyed, and the memory of the pool is used for
    /// something else, without a word.
    Forget {
        pool: usize,
    },
    /// Time passes in which another pool is used, until these keep nothing.
    FallAsleep,
    SetName {
        pool: usize,
        length: usize,
    },
    FailCalls {
        function: Function,
        number: u32,
        and_later_ones: bool,
    },
    Recover,
    Fork,
}

impl Operation {
    /// Reads an operation. Every four bytes are one.
    pub fn decode([kind, place, a, b]: [u8; 4]) -> Operation {
        let pool = place as usize % POOLS;
        let child = Child(pool, (place >> 4) as usize % CHILDREN);
        let door = [Door::Exported, Door::Inlined, Door::Single, Door::Bulk][a as usize % 4];
        let count = COUNTS[b as usize % COUNTS.len()];
        let item_size = SIZES[a as usize % SIZES.len()];
        let num_items = NUM_ITEMS[b as usize % NUM_ITEMS.len()];
        let seconds = SECONDS[a as usize % SECONDS.len()];
        let heap = [Heap::Process, Heap::Regions, Heap::Hooks][b as usize % 3];
        let pick = match b >> 6 {
            0 => Pick::Newest,
            1 => Pick::Oldest,
            _ => Pick::Spread(1 + (b >> 3) as usize % 7),
        };
        match kind {
            0..4 => Operation::Validate { pool },
            4 => Operation::Cycle { child, count: 16 * count, times: 1 + (a >> 2) as usize % 3 },
            5 => Operation::TakeTurns { count },
            6 => Operation::Forget { pool },
            7 => Operation::FallAsleep,
            8..10 => Operation::Statistics { pool },
            10..12 => Operation::Visit { pool },
            12 => Operation::CreateSizes { heap },
            13 => Operation::CreateShared { item_size, heap },
            14..18 => Operation::SizesAllocate {
                child: place as usize % SIZES_CHILDREN,
                bytes: (1 + a as usize) << (b as usize % 8) << ((place >> 4) % 4),
                count,
                zeroed: a >= 220,
            },
            18..22 => Operation::SizesFree { child: place as usize % SIZES_CHILDREN, count, pick },
            22 => Operation::DestroySizesChild { child: place as usize % SIZES_CHILDREN },
            23..26 => Operation::SharedAllocate { count, zeroed: a >= 220 },
            26..29 => Operation::SharedFree { count, pick },
            29 => Operation::AddRegion,
            30 => Operation::FailReserve { number: 1 + u32::from(a % 4) },
            31..33 => Operation::CreateParentWith {
                pool,
                item_size,
                num_items: 64,
                alignment: 0,
                heap: [Heap::Regions, Heap::Hooks][b as usize % 2],
            },
            33..90 => Operation::Allocate { child, count, zeroed: a >= 220, door },
            90..168 => Operation::Free {
                of: (a >> 4) as usize % (POOLS + 1),
                through: child,
                count,
                pick,
                door,
            },
            168..180 => Operation::CreateChild { child },
            180..184 => Operation::Prefill { child, count: 4 * count },
            184..196 => Operation::DestroyChild { child },
            196..200 => Operation::CreateParent { pool, item_size, num_items },
            200..204 => Operation::CreateParentWith {
                pool,
                item_size,
                num_items,
                alignment: 1 << (u32::from(b >> 3) % 17),
                heap: Heap::Process,
            },
            204..208 => Operation::CreateMempool { pool, item_size, num_items },
            208..214 => Operation::DestroyParent { pool, children_first: a % 4 != 0 },
            214..220 => Operation::TrimChild { child },
            220..224 => Operation::TrimParent { pool },
            224..226 => Operation::Shrink { pool, but: a as usize % 8 },
            226..230 => Operation::TrimHeap,
            230..234 => Operation::SetDecay { seconds },
            234..240 => Operation::PassTime { seconds },
            240..244 => Operation::SetName { pool, length: a as usize },
            244..251 => Operation::FailCalls {
                function: [
                    Function::Mmap,
                    Function::Mmap,
                    Function::Munmap,
                    Function::Madvise,
                    Function::ClockGettime,
                ][place as usize % 5],
                number: 1 + u32::from(a % 8),
                and_later_ones: b % 2 == 1,
            },
            251..=254 => Operation::Recover,
            255 => Operation::Fork,
        }
    }

    /// Reads operations. What is left at the end, less than four bytes, is none.
    pub fn decode_all(bytes: &[u8]) -> Vec<Operation> {
        let operations = bytes.chunks_exact(4);
        operations
            .map(|bytes| Operation::decode([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .collect()
    }
}
