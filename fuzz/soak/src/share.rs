//! What the threads share: pools that live as long as the program, objects on their way from one
//! thread to another, and counts.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use mesa_slab::abi::ext::{
    slab_get_heap_stats, slab_heap_stats, slab_set_name, slab_set_report_handler, slab_trim_heap,
    slab_validate,
};
use mesa_slab::abi::slab::{
    slab_child_pool, slab_create_parent, slab_destroy_parent, slab_free, slab_parent_pool,
};
use model::{contents, system};

/// Item sizes and hints of the shared pools: what drivers use, and what has a slab of its own.
const POOLS: [(u32, u32); 8] =
    [(96, 64), (24, 512), (88, 16), (256, 64), (1500, 16), (4096, 8), (66_632, 4), (1_100_000, 1)];

/// So many objects wait for a thread at most.
const MOST_WAITING: usize = 2000;

/// A parent pool at an address of its own.
pub struct Parent(Box<slab_parent_pool>);

// SAFETY: functions that take a parent may be called from any thread.
unsafe impl Send for Parent {}
// SAFETY: likewise.
unsafe impl Sync for Parent {}

impl Parent {
    /// A pool with a name.
    pub fn new(item_size: u32, num_items: u32) -> Parent {
        // SAFETY: the memory is the pool's own until it is destroyed.
        unsafe {
            let mut pool = Box::new(std::mem::zeroed());
            slab_create_parent(&mut *pool, item_size, num_items);
            slab_set_name(&mut *pool, c"soaked".as_ptr());
            Parent(pool)
        }
    }

    /// For C.
    pub fn as_ptr(&self) -> *mut slab_parent_pool {
        (&raw const *self.0).cast_mut()
    }

    /// Bytes of an object.
    pub fn item_size(&self) -> usize {
        self.0.item_size as usize
    }
}

/// An object that somebody has.
pub struct Object {
    pub address: *mut u8,
    pub size: usize,
    pub number: u64,
}

// SAFETY: an object may be used and freed by any thread.
unsafe impl Send for Object {}

/// What the threads share.
pub struct Share {
    pub parents: Vec<Parent>,
    waiting: Vec<Mutex<Vec<Object>>>,
    pub stop: AtomicBool,
    pub operations: AtomicU64,
    pub nulls: AtomicU64,
    pub pools_created: AtomicU64,
    held_before: usize,
}

static PROBLEMS: AtomicU64 = AtomicU64::new(0);

/// Notes a problem, and says the first ones.
pub fn problem(what: &str) {
    if PROBLEMS.fetch_add(1, Relaxed) < 20 {
        eprintln!("problem: {what}");
    }
}

/// How many problems there were.
pub fn problems() -> u64 {
    PROBLEMS.load(Relaxed)
}

/// Takes what the library reports as problems.
pub fn watch_reports() {
    slab_set_report_handler(Some(note_report), ptr::null_mut());
}

unsafe extern "C" fn note_report(_: *mut c_void, report: *const c_char) {
    // SAFETY: the library passes a string.
    problem(&unsafe { CStr::from_ptr(report) }.to_string_lossy());
}

impl Share {
    /// The pools, with nothing in them.
    pub fn new(threads: usize) -> Share {
        watch_reports();
        let held_before = system::bytes_held();
        Share {
            parents: POOLS.iter().map(|&(size, items)| Parent::new(size, items)).collect(),
            waiting: (0..threads).map(|_| Mutex::new(Vec::new())).collect(),
            stop: AtomicBool::new(false),
            operations: AtomicU64::new(0),
            nulls: AtomicU64::new(0),
            pools_created: AtomicU64::new(POOLS.len() as u64),
            held_before,
        }
    }

    /// Hands objects to a thread, and leaves those for which there is no room.
    pub fn send(&self, thread: usize, objects: &mut Vec<Object>) {
        let mut waiting = self.waiting[thread % self.waiting.len()].lock().unwrap();
        let room = MOST_WAITING.saturating_sub(waiting.len()).min(objects.len());
        waiting.extend(objects.drain(objects.len() - room..));
    }

    /// Takes what waits for a thread.
    pub fn receive(&self, thread: usize) -> Vec<Object> {
        std::mem::take(&mut *self.waiting[thread].lock().unwrap())
    }

    /// Frees and destroys everything, and returns how many bytes are left.
    pub fn take_down(&self) -> usize {
        // SAFETY: zeroes are a child that was never created; the threads have ended.
        unsafe {
            let mut nobody: slab_child_pool = std::mem::zeroed();
            for waiting in &self.waiting {
                waiting.lock().unwrap().drain(..).for_each(|object| free(&mut nobody, object));
            }
            for parent in &self.parents {
                if slab_validate(parent.as_ptr()) != 0 {
                    problem("a pool is broken in the end");
                }
                slab_destroy_parent(parent.as_ptr());
            }
            slab_trim_heap();
            if slab_validate(ptr::null_mut()) != 0 {
                problem("the heap is broken in the end");
            }
        }
        let left = heap_stats().mapped.max(system::bytes_held() - self.held_before);
        if left != 0 {
            problem("something is left in the end");
        }
        left
    }
}

/// Checks the contents of an object and frees it.
///
/// # Safety
/// The child may be used, and the object is live.
pub unsafe fn free(through: *mut slab_child_pool, object: Object) {
    // SAFETY: the caller's promise.
    unsafe {
        if contents::first_change(object.address, object.size, object.number).is_some() {
            problem("an object has changed");
        }
        slab_free(through, object.address.cast());
    }
}

/// The numbers of the heap.
pub fn heap_stats() -> slab_heap_stats {
    // SAFETY: zeroes are numbers, and the struct has the size that it says.
    unsafe {
        let mut heap: slab_heap_stats = std::mem::zeroed();
        heap.struct_size = size_of::<slab_heap_stats>();
        slab_get_heap_stats(&mut heap);
        heap
    }
}
