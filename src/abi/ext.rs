// SPDX-License-Identifier: MIT
//! The C ABI beyond Mesa's: what `include/slab_ext.h` declares, and nothing else. No logic lives
//! here.
//!
//! cbindgen reads this file and those of its modules, so every comment on a public item is also the documentation in
//! the header.
#![expect(
    clippy::missing_safety_doc,
    reason = "the comments are the C header's, and say the contract"
)]

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::mem::{offset_of, size_of};

use crate::abi::slab::{slab_child_pool, slab_parent_pool};
use crate::abi::versioned;
use crate::base::alignment::Alignment;
use crate::heap::{HEAP, HeapNumbers, Home};
use crate::hooks;
use crate::inspect::print::{Format, print, print_to};
use crate::inspect::{objects, validate};
use crate::pool::child::ChildPool;
use crate::pool::numbers::PoolNumbers;
use crate::pool::options::{PoolOptions, Refusal};
use crate::pool::parent::ParentPool;
use crate::pool::sleepers;
use crate::watch::handler;

#[cfg(not(loom))]
#[path = "heaps.rs"]
pub mod heaps;
#[cfg(not(loom))]
#[path = "options.rs"]
pub mod options;
#[cfg(not(loom))]
#[path = "shared.rs"]
pub mod shared;
#[cfg(not(loom))]
#[path = "sizes.rs"]
pub mod sizes;

#[cfg(not(loom))]
pub use heaps::*;
#[cfg(not(loom))]
pub use options::*;
#[cfg(not(loom))]
pub use shared::*;
#[cfg(not(loom))]
pub use sizes::*;

/// For slab_print_stats(): a table for people.
pub const SLAB_STATS_TABLE: c_uint = 0;
/// For slab_print_stats(): JSON.
pub const SLAB_STATS_JSON: c_uint = 1;

/// What a parent pool holds. All numbers are exact.
///
/// An object in a child's cache cannot be told from one that the program has, so both are counted
/// as out.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct slab_parent_stats {
    /// Set by the caller to sizeof(struct slab_parent_stats). Later versions add fields at the end.
    pub struct_size: usize,
    /// Bytes of an object, as given to slab_create_parent().
    pub item_size: usize,
    /// Bytes from one object to the next.
    pub element_size: usize,
    /// Objects of a slab.
    pub objects_per_slab: usize,
    /// Bytes of a slab.
    pub slab_bytes: usize,
    /// Slabs of which all objects are out.
    pub slabs_full: usize,
    /// Slabs of which some objects are out.
    pub slabs_partial: usize,
    /// Slabs of which no object is out.
    pub slabs_empty: usize,
    /// Objects out of the slabs: the program's, guarded ones (slab_set_sampling()) included, those
    /// cached by children, and those cached by the depot.
    pub objects_out: usize,
    /// How many of these are cached by the depot.
    pub objects_in_depot: usize,
    /// The most objects that were out at a time. Of guarded objects only those count that are out
    /// now.
    pub peak_objects_out: usize,
    /// Children that cache objects: those that have allocated or freed, and are not destroyed or
    /// trimmed.
    pub children: usize,
    /// Objects that such a child caches at most, once it is busy.
    pub objects_per_child: usize,
    /// Objects that were freed through a destroyed child, or through a child of another parent.
    pub foreign_frees: usize,
    /// How many times a child exchanged a magazine with the depot.
    pub exchanges: usize,
    /// Bytes of all slabs, of the magazines in the depot, and of the pages of guarded objects.
    pub bytes_held: usize,
    /// How many of objects_out are guarded, and so in no slab.
    pub objects_guarded: usize,
}

/// What the process's heap holds, which all pools share for which no other one is chosen. All
/// numbers are exact, in bytes unless said otherwise. Guarded objects (slab_set_sampling()) are not
/// in the heap.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct slab_heap_stats {
    /// Set by the caller to sizeof(struct slab_heap_stats). Later versions add fields at the end.
    pub struct_size: usize,
    /// All that may have memory behind it: the sum of the next four. A page of a slab that was
    /// never written has none.
    pub held: usize,
    /// Slabs of pools, destroyed ones with objects out included.
    pub object_slabs: usize,
    /// Slabs of magazines and names, and one that the last child of a pool may leave for the next.
    pub magazine_slabs: usize,
    /// Headers of chunks, as far as they are in use.
    pub metadata: usize,
    /// Free memory that is kept for reuse.
    pub dirty: usize,
    /// Free address space without memory.
    pub clean: usize,
    /// All address space.
    pub mapped: usize,
    /// How many chunks, large objects' included.
    pub chunks: usize,
    /// How many of them are for one large object each, which its pool has or keeps the room of. Those
    /// that the heap keeps for the next one are not counted.
    pub large: usize,
    /// How many free runs of 2^n pages of 4 KiB.
    pub free_runs: [c_uint; 16],
}

/// Creates a parent pool as slab_create_parent() does, of which more is said.
///
/// Returns 0, or -1 if something is out of range, which is reported, or if there is no memory for
/// the name, or in the heap: 512 bytes are taken of that at once, if one is chosen. `*parent` then
/// is a destroyed pool.
///
/// Objects that are aligned to more than a page of the system's are not guarded
/// (slab_set_sampling()); if it is more than 4096, "redzone" looks only behind them.
///
/// Threading: no other call may use `parent` at the same time.
/// Ownership: `*parent` stays the caller's; `*options` and the name are copied.
/// NULL: neither may be NULL.
/// cbindgen:postfix=SLAB_NONNULL_((1, 2))
#[cfg(not(loom))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_create_parent_with(
    parent: *mut slab_parent_pool,
    options: *const slab_options,
) -> c_int {
    const FUNCTION: &str = "slab_create_parent_with";
    // SAFETY: the caller passes writable storage that no other call is using, and a struct of the
    // size that it says, with NULL or a string in it.
    unsafe {
        let parent = parent.cast();
        match pool_options(options).and_then(|options| options.create(parent)) {
            Ok(()) => 0,
            Err(refusal) => {
                refusal.settle(FUNCTION, parent);
                -1
            }
        }
    }
}

/// What the caller's struct says.
///
/// # Safety
/// It has the size that it says; its name is NULL or a string.
#[cfg(not(loom))]
unsafe fn pool_options<'a>(options: *const slab_options) -> Result<PoolOptions<'a>, Refusal> {
    let wrong = |words| Err(Refusal::Wrong(words));
    // SAFETY: the caller's promise.
    let Some(options) = (unsafe { versioned::read(options) }) else {
        return wrong("options of another version");
    };
    let Some(alignment) = Alignment::new(options.alignment) else {
        return wrong("the alignment is no power of two up to 65536");
    };
    if options.flags != 0 {
        return wrong("flags that are not known");
    }
    let Some(home) = Home::named(options.heap.cast()) else {
        return wrong("a heap that does not exist");
    };
    let slab_options { item_size, num_items, name, .. } = options;
    // SAFETY: the caller's promise.
    let name = if name.is_null() { &[] } else { unsafe { CStr::from_ptr(name) }.to_bytes() };
    Ok(PoolOptions { item_size, num_items, alignment, name, home })
}

/// Gives the parent all free objects that a child caches. The child stays usable.
///
/// Returns how many bytes of objects that were. Cost: that of freeing them.
///
/// Threading: no other call may use `pool` at the same time; `parent` may be in use by others.
/// NULL: returns 0 if `pool` is NULL; also if it is destroyed or zeroed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_trim_child(pool: *mut slab_child_pool) -> usize {
    if pool.is_null() {
        return 0;
    }
    // SAFETY: the caller passes a created, destroyed or zeroed child that no other call is using.
    unsafe { ChildPool::trim(pool.cast()) }
}

/// Gives the heap everything of a parent that is free and not cached by a child: the depot, and
/// slabs of which no object is out.
///
/// Returns how many bytes of slabs and magazines that were. Cost: that of freeing what the depot
/// caches.
///
/// Threading: any thread, at any time while the parent exists.
/// NULL: returns 0 if `parent` is NULL; also if it is destroyed or zeroed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_trim_parent(parent: *mut slab_parent_pool) -> usize {
    // SAFETY: the caller passes a created, destroyed or zeroed pool.
    unsafe { existing(parent).map_or(0, |parent| parent.trim()) }
}

/// Gives the system everything that is free in the process's heap, and the hooks of other heaps
/// what is free in these, and before that the heaps what pools keep that no child has, but for
/// pools that other threads call just now.
///
/// Returns how many bytes may have had memory behind them. Cost: a system call for each free run.
///
/// Threading: any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn slab_trim_heap() -> usize {
    sleepers::drain_all();
    HEAP.trim() + HEAP.trim_lent()
}

/// Sets for how many seconds free memory is kept for reuse before it goes back to the system, or to
/// the hooks of a heap: 10 unless set. With 0 it goes as soon as it is free, and what is free goes
/// with this call.
///
/// What is due is looked for on slow paths, once a second. There is no background thread: a program
/// that calls nothing keeps what it has. Returns the value that was set before.
///
/// Threading: any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn slab_set_decay(seconds: c_uint) -> c_uint {
    let before = HEAP.set_decay(seconds);
    if seconds == 0 {
        sleepers::drop_spares();
    }
    before
}

/// Gives a parent pool a name, for statistics and reports. It is copied; what is beyond 100 bytes
/// (50 on 32-bit machines) may be cut off. It ends with the pool.
///
/// Returns 0, or -1 if there is no memory or no pool.
///
/// Threading: any thread, at any time while the parent exists.
/// NULL: returns -1 if `parent` is NULL; a `name` of NULL is an empty one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_set_name(
    parent: *mut slab_parent_pool,
    name: *const c_char,
) -> c_int {
    // SAFETY: the caller passes a created, destroyed or zeroed pool, and NULL or a string.
    unsafe {
        let name: &[u8] = if name.is_null() { &[] } else { CStr::from_ptr(name).to_bytes() };
        if existing(parent).is_some_and(|parent| parent.set_name(name)) { 0 } else { -1 }
    }
}

/// Fills in `*stats`, as far as its `struct_size` goes, and sets `struct_size` to how much that is.
///
/// Returns 0, or -1 if there is no pool. Cost: in proportion to the partial slabs, under the pool's
/// lock.
///
/// Threading: any thread, at any time while the parent exists.
/// NULL: returns -1 if `parent` is NULL; `stats` must not be NULL.
/// cbindgen:postfix=SLAB_NONNULL_((2))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_get_parent_stats(
    parent: *mut slab_parent_pool,
    stats: *mut slab_parent_stats,
) -> c_int {
    // SAFETY: the caller passes a created, destroyed or zeroed pool, and `struct_size` writable
    // bytes.
    unsafe {
        let Some(parent) = existing(parent) else { return -1 };
        fill(stats, &parent.numbers());
        0
    }
}

/// Fills in `*stats`, as far as its `struct_size` goes, and sets `struct_size` to how much that is.
///
/// Cost: in proportion to all slabs, under the heap's lock.
///
/// Threading: any thread, at any time.
/// NULL: `stats` must not be NULL.
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_get_heap_stats(stats: *mut slab_heap_stats) {
    // SAFETY: the caller passes `struct_size` writable bytes.
    unsafe { fill(stats, &HEAP.numbers()) }
}

/// Prints what all pools and the heap hold: one line for each pool that has slabs or guarded
/// objects.
///
/// `write` is called with `data` and a piece of text, which does not end with a NUL, until all is
/// printed; it may call other functions of the library. `format` is SLAB_STATS_TABLE or
/// SLAB_STATS_JSON.
///
/// With the environment variable SLAB_STATS set to a path, or to "stderr", the same is written when
/// the library is unloaded or the program ends: as JSON if the path ends in ".json", else as a
/// table. The file is created or emptied; a symbolic link is not followed. The variable is ignored
/// in setuid programs.
///
/// Cost: in proportion to all slabs, times the number of pools. The heap's lock is held for a line
/// at a time, so that pools which are used meanwhile are counted at different moments.
///
/// Threading: any thread, at any time.
/// NULL: `write` must not be NULL.
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_print_stats(
    write: unsafe extern "C" fn(data: *mut c_void, text: *const c_char, length: usize),
    data: *mut c_void,
    format: c_uint,
) {
    // SAFETY: the caller passes a function that takes these.
    unsafe { print(format_of(format), write, data) }
}

/// The same as slab_print_stats(), written to a file descriptor.
///
/// Returns 0, or -1 if something could not be written; errno says why.
#[unsafe(no_mangle)]
pub extern "C" fn slab_print_stats_fd(fd: c_int, format: c_uint) -> c_int {
    if print_to(fd, &[], format_of(format)) { 0 } else { -1 }
}

/// Checks every structure of a parent pool and of the heap, and reports each problem in a line on
/// stderr.
///
/// Returns how many there are: 0 unless the library's memory was overwritten, or it has a bug.
/// Writes that "redzone" and "poison" look for (slab_set_debug()) count as well.
///
/// Cost: in proportion to all slabs and all objects in the depot, under the locks of the pool and
/// of the heap.
///
/// Threading: any thread, at any time while the parent exists.
/// NULL: checks only the heap if `parent` is NULL; also if it is destroyed or zeroed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_validate(parent: *mut slab_parent_pool) -> c_uint {
    // SAFETY: the caller passes NULL or a created, destroyed or zeroed pool.
    unsafe { existing(parent).map_or_else(validate::heap, validate::parent) }
}

/// Gives reports of misuse to `handler` instead of writing them to stderr; to stderr again if it is
/// NULL.
///
/// A report is one line without a line feed, which names the function, the pool, the address, and
/// what is wrong: a double free, or an address that is not an object of a pool. With
/// slab_set_debug() and slab_set_sampling() more is looked for, and a report may have further
/// lines, which begin with a space: for each of them the handler is called once more. After 100
/// reports further ones are only counted.
///
/// With the word "abort" in the environment variable SLAB_DEBUG the process ends after a report.
///
/// The handler is called in the thread that meets the misuse, where nothing is locked: it may call
/// any function of the library, on any pool but one that is just being destroyed, and fork(); and
/// it may end the thread or the process, or leave by longjmp(). Further reports of the same call
/// are lost then. It must not leave by an exception.
///
/// Without a handler a report is one write() for each line. A full pipe or a slow terminal stops
/// the thread that reports, and no other one; if stderr cannot be written, the report is lost,
/// without SIGPIPE.
///
/// Threading: any thread; reports that are made at the same time go to the old or to the new
/// handler, each with its own data.
#[unsafe(no_mangle)]
pub extern "C" fn slab_set_report_handler(
    handler: Option<unsafe extern "C" fn(data: *mut c_void, report: *const c_char)>,
    data: *mut c_void,
) {
    handler::set(handler, data);
}

/// Chooses what is looked for in the calls on a parent pool: `words`, separated by commas, in place
/// of those that it has. If `parent` is NULL: for all pools that are created from now on, besides
/// what SLAB_DEBUG says.
///
/// "checks": double free at once, a free into the wrong pool or of a wrong address, the use of
/// destroyed pools, two threads in one child. "redzone": writes before and behind an object.
/// "poison": writes into free objects. "users": reports name thread and call stack of the
/// allocation and of the free. "quarantine": freed objects wait before they are used again.
/// "leaks": objects that are out when the pool is destroyed, or the program ends. "guard": all
/// objects are guarded (see slab_set_sampling()), and what "checks" and "leaks" do. "trace": all
/// calls are written to a file (docs/traces.md). Pools with such words are slower and take more
/// memory; docs/debugging.md tells how much. An empty string is an ordinary pool.
///
/// The environment variable SLAB_DEBUG takes the same words, and "abort" and "help".
/// `words:pattern` holds for pools whose name, size ("96") or size and hint ("96x64") the pattern
/// matches; there may be several, separated by semicolons. A pool is to be named before its first
/// allocation for a pattern to match its name. The variable is ignored in setuid programs.
///
/// Returns 0, or -1 if a word is not known, if there is no pool, if it has been used, or if the
/// library was built without this.
///
/// Threading: no other call may use `parent` or its children at the same time, nor call this with
/// NULL.
/// NULL: all pools if `parent` is NULL; `words` must not be NULL.
/// cbindgen:postfix=SLAB_NONNULL_((2))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_set_debug(
    parent: *mut slab_parent_pool,
    words: *const c_char,
) -> c_int {
    // SAFETY: the caller passes NULL or a created, destroyed or zeroed pool, and a string.
    unsafe {
        let words = CStr::from_ptr(words).to_bytes();
        let done = if parent.is_null() {
            hooks::set_default_modes(words)
        } else {
            existing(parent).is_some_and(|parent| hooks::set_modes(parent, words))
        };
        if done { 0 } else { -1 }
    }
}

/// Guards about one allocation in `rate`, of whatever pool, from now on; none if it is 0, as it is
/// unless set.
///
/// A guarded object ends at a page that cannot be accessed, and cannot be accessed itself once it
/// is freed. So an overrun and a use after free fault at the instruction, and before the signal
/// goes its way a note on stderr tells the pool, and the call stacks of the allocation and of the
/// free. There are at most 64 such objects at a time, each of a page at most.
///
/// What is sampled are allocations for which a child has to look beyond its loaded magazine, which
/// it does once in up to 127, or 511 if it was busy before the rate was set: others cost what they
/// did. So a child that allocates and frees in turns without emptying a magazine is not sampled.
///
/// The environment variable SLAB_SAMPLE sets the rate when the first pool is created. It is ignored
/// in setuid programs.
///
/// Returns the rate that was set before; 0 if the library was built without this. A rate above 2^30
/// counts as 2^30.
///
/// Threading: any thread, at any time.
#[unsafe(no_mangle)]
pub extern "C" fn slab_set_sampling(rate: c_uint) -> c_uint {
    hooks::set_sampling(rate)
}

/// Allocates `count` objects, and writes them to `objects[0]`, `objects[1]` and so on: as so many
/// calls of slab_alloc(), but at a third of their cost or less.
///
/// Returns how many it allocated: fewer than `count` if there is no memory for more, or if `pool`
/// is destroyed or zeroed. The others of `objects` are not changed, or are NULL.
///
/// Threading: no other call may use `pool` at the same time.
/// NULL: `pool` must not be NULL, nor `objects` unless `count` is 0.
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_alloc_bulk(
    pool: *mut slab_child_pool,
    count: c_uint,
    objects: *mut *mut c_void,
) -> c_uint {
    if count == 0 {
        return 0;
    }
    // SAFETY: the caller passes room for so many objects, and a created, destroyed or zeroed child
    // that no other call is using.
    unsafe {
        let places = core::slice::from_raw_parts_mut(objects.cast(), count as usize);
        ChildPool::alloc_bulk(pool.cast(), places) as c_uint
    }
}

/// Frees `count` objects: as so many calls of slab_free(), which is also what is reported of them.
/// Some may be NULL, or objects of other pools.
///
/// Threading: no other call may use `pool` at the same time.
/// NULL: `pool` must not be NULL, nor `objects` unless `count` is 0.
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_free_bulk(
    pool: *mut slab_child_pool,
    count: c_uint,
    objects: *const *mut c_void,
) {
    if count == 0 {
        return;
    }
    // SAFETY: the caller passes so many objects, and a created, destroyed or zeroed child that no
    // other call is using.
    unsafe {
        let objects = core::slice::from_raw_parts(objects.cast(), count as usize);
        ChildPool::free_bulk(pool.cast(), objects)
    }
}

/// Puts by `count` objects in the child's cache, so that as many next allocations from it can
/// neither fail nor take a lock: for paths that must not fail.
///
/// Returns how many can: `count`, or fewer if there is no memory for more, or if the child cannot
/// cache as many. At most that is `objects_per_child` of slab_get_parent_stats(): 1022 objects of
/// up to 256 bytes, two of 128 KiB, and none if they are larger or the pool has modes
/// (slab_set_debug()), of which nothing is cached. While objects are sampled (slab_set_sampling())
/// it is half of what it would be at most. What is put by already counts.
///
/// It holds for what is allocated until the child is trimmed or destroyed. An object that is freed
/// through the child is cached as well; if it finds the cache full, half of that may go to the
/// parent, and the rest of what was put by with it.
///
/// Cost: that of allocating what is missing.
///
/// Threading: no other call may use `pool` at the same time.
/// NULL: `pool` must not be NULL. Returns 0 if it is destroyed or zeroed.
/// cbindgen:postfix=SLAB_NONNULL_((1))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_prefill(pool: *mut slab_child_pool, count: c_uint) -> c_uint {
    // SAFETY: the caller passes a created, destroyed or zeroed child that no other call is using.
    unsafe { ChildPool::prefill(pool.cast(), count as usize) as c_uint }
}

/// How many bytes the object at an address has, as its pool was created with (1 if that was 0): 0
/// if there is no object, but something else, or nothing at all.
///
/// Any address may be asked, be it mapped or not: it is looked up and not followed. An address
/// within an object is none. An object that was freed may still be one here, for as long as a child
/// or the depot caches it: slab_is_object() also looks in the depot, and slab_trim_child() empties
/// a child's cache. Of pools with modes (slab_set_debug()) nothing is cached. An object whose pool
/// is gone is one until it is freed.
///
/// Cost: some hundred instructions, under the locks of the heap and the pool.
///
/// Threading: any thread, at any time. Not in a child process of a fork, about objects of a pool
/// that another thread was inside of.
/// NULL: returns 0.
#[unsafe(no_mangle)]
pub extern "C" fn slab_object_size(object: *const c_void) -> usize {
    objects::item_size_at(object.addr(), None, false).map_or(0, |bytes| bytes.max(1) as usize)
}

/// Whether an address is that of an object of this parent pool that the program has: 1 if it is,
/// and else 0. If `parent` is NULL: of any pool, also of one that is gone.
///
/// Any address may be asked, be it mapped or not: it is looked up and not followed. What a child
/// caches cannot be told from what the program has: slab_trim_child() empties a child's cache.
///
/// Cost: in proportion to the objects that the depot of the pool caches, under the locks of the
/// heap and the pool.
///
/// Threading: any thread, at any time while the parent exists, or with NULL at any time; but see
/// slab_object_size() for forks.
/// NULL: an `object` of NULL is none. Returns 0 if `parent` is destroyed or zeroed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_is_object(
    parent: *mut slab_parent_pool,
    object: *const c_void,
) -> c_int {
    if parent.is_null() {
        return objects::item_size_at(object.addr(), None, true).is_some().into();
    }
    // SAFETY: the caller passes a created, destroyed or zeroed pool.
    let Some(parent) = (unsafe { existing(parent) }) else { return 0 };
    objects::item_size_at(object.addr(), Some(parent), true).is_some().into()
}

/// Empties sparse slabs of a parent pool, whose objects the program moves.
///
/// `move` is called with `data` and each object in a slab of which at most half of the objects are
/// out, the emptiest slabs first, for as many slabs as others have room for. It either allocates a
/// new object from the pool, moves the contents, changes whatever refers to the old one, and
/// returns 1, upon which the old object is freed; or it returns 0, and the object stays where it
/// is.
///
/// All children of the pool are to be trimmed before (slab_trim_child()), or destroyed, as what
/// they cache cannot be told from what the program has. If one caches objects, that is reported and
/// nothing is moved. The child that `move` allocates from is one that caches objects then.
///
/// `move` is called with nothing locked. It may allocate from the pool and call what does not use
/// this pool; it must not free objects of the pool, the one that it is given included, or leave by
/// longjmp().
///
/// Returns by how many bytes of slabs the pool has fewer: the heap has them, for which
/// slab_trim_heap() gives them back to the system. Cost: in proportion to the pool's slabs, under
/// its lock, and a call of `move`, an allocation and a free for each object that is moved.
///
/// Threading: no other call may use `parent`, its children or its objects at the same time.
/// NULL: returns 0 if `parent` is NULL; also if it is destroyed or zeroed. `move` must not be NULL.
/// cbindgen:postfix=SLAB_NONNULL_((2))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_shrink(
    parent: *mut slab_parent_pool,
    r#move: unsafe extern "C" fn(data: *mut c_void, object: *mut c_void) -> c_int,
    data: *mut c_void,
) -> usize {
    // SAFETY: the caller passes a created, destroyed or zeroed pool that no other call is using,
    // and a function that takes these.
    unsafe {
        let Some(parent) = existing(parent) else { return 0 };
        parent.shrink("slab_shrink", |object| r#move(data, object.cast()) != 0)
    }
}

/// Calls `visit` with `data` and each object of a parent pool that the program has, each once, in
/// no certain order, until all were visited or `visit` returns something else than 0.
///
/// All children of the pool are to be trimmed before (slab_trim_child()), or destroyed, as what
/// they cache cannot be told from what the program has. If one caches objects, that is reported and
/// nothing is visited. Objects whose pool is gone are no pool's.
///
/// `visit` is called with nothing locked. It may free the object that it is given, through any
/// child, and call what does not use this pool; it must not allocate from the pool, or free other
/// objects of it, or trim its children. It may leave by longjmp().
///
/// Returns how many times `visit` was called. Cost: in proportion to all slabs of all pools, under
/// the locks of the heap and the pool for one slab at a time.
///
/// Threading: no other call may use `parent` or its children at the same time.
/// NULL: returns 0 if `parent` is NULL; also if it is destroyed or zeroed. `visit` must not be
/// NULL.
/// cbindgen:postfix=SLAB_NONNULL_((2))
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slab_for_each_object(
    parent: *mut slab_parent_pool,
    visit: unsafe extern "C" fn(data: *mut c_void, object: *mut c_void) -> c_int,
    data: *mut c_void,
) -> usize {
    // SAFETY: the caller passes a created, destroyed or zeroed pool.
    let Some(parent) = (unsafe { existing(parent) }) else { return 0 };
    objects::for_each("slab_for_each_object", parent, |object| {
        // SAFETY: the caller passes a function that takes these.
        unsafe { visit(data, object.cast()) == 0 }
    })
}

/// The pool, unless it is null, destroyed or zeroed.
///
/// # Safety
/// It is null, or memory of a created, destroyed or zeroed pool.
unsafe fn existing<'a>(parent: *mut slab_parent_pool) -> Option<&'a ParentPool> {
    // SAFETY: the caller's promise.
    unsafe { parent.cast::<ParentPool>().as_ref().filter(|parent| parent.exists()) }
}

fn format_of(format: c_uint) -> Format {
    if format == SLAB_STATS_JSON { Format::Json } else { Format::Table }
}

/// Writes as many of `numbers` as the caller's struct has room for, as its first word says. The
/// struct has them behind that word.
///
/// # Safety
/// So many bytes are writable; `T` is such a struct.
unsafe fn fill<T, N>(to: *mut T, numbers: &N) {
    const { assert!(size_of::<T>() == size_of::<usize>() + size_of::<N>()) }
    // SAFETY: the caller's promise.
    unsafe {
        let size = to.cast::<usize>();
        let bytes = (*size).min(size_of::<T>());
        if let Some(bytes) = bytes.checked_sub(size_of::<usize>()) {
            core::ptr::copy_nonoverlapping(
                (&raw const *numbers).cast::<u8>(),
                size.add(1).cast(),
                bytes,
            );
            *size = bytes + size_of::<usize>();
        }
    }
}

/// Asserts that the numbers that are counted stand in a struct of the header behind its first word.
macro_rules! same_numbers {
    ($($numbers:ident in $stats:ident: $($field:ident)*;)*) => {
        $($(const _: () = assert!(
            offset_of!($numbers, $field) + size_of::<usize>() == offset_of!($stats, $field)
        );)*)*
    };
}

same_numbers! {
    PoolNumbers in slab_parent_stats:
        item_size element_size objects_per_slab slab_bytes slabs_full slabs_partial slabs_empty
        objects_out objects_in_depot peak_objects_out children objects_per_child foreign_frees
        exchanges bytes_held objects_guarded;
    HeapNumbers in slab_heap_stats:
        held object_slabs magazine_slabs metadata dirty clean mapped chunks large free_runs;
}
