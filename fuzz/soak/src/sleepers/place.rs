//! A pool, in memory that may go from under it, with its children and live objects.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Mutex, RwLock, RwLockWriteGuard};

use mesa_slab::abi::ext::{slab_get_parent_stats, slab_parent_stats};
use mesa_slab::abi::slab::{
    slab_child_pool, slab_create_child, slab_create_parent, slab_destroy_child, slab_parent_pool,
};

use crate::share::{Object, free, problem};

const PAGE: usize = 4096;
/// As many children as have room in a page.
pub const MOST_CHILDREN: usize = PAGE / size_of::<slab_child_pool>();
/// What is where a pool was, when the memory has another use.
const OTHER_USE: u8 = 0xa5;

/// A page for a parent and one for its children, which the program may take from them.
pub struct Memory(*mut u8);

// SAFETY: who has it, has the pages.
unsafe impl Send for Memory {}
// SAFETY: a parent is for many threads, and each has a child of its own.
unsafe impl Sync for Memory {}

impl Memory {
    pub fn new() -> Memory {
        // SAFETY: new memory. Not by mmap(), whose calls count as the library's.
        let pages = unsafe {
            libc::syscall(
                libc::SYS_mmap,
                ptr::null_mut::<c_void>(),
                2 * PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert!(pages > 0, "no memory for the soak itself");
        Memory(ptr::with_exposed_provenance_mut(pages as usize))
    }

    pub fn parent(&self) -> *mut slab_parent_pool {
        self.0.cast()
    }

    pub fn child(&self, index: usize) -> *mut slab_child_pool {
        debug_assert!(index < MOST_CHILDREN);
        self.0.wrapping_add(PAGE).cast::<slab_child_pool>().wrapping_add(index)
    }

    /// Uses it for something else.
    pub fn overwrite(&self) {
        // SAFETY: both pages are this struct's.
        unsafe { ptr::write_bytes(self.0, OTHER_USE, 2 * PAGE) }
    }

    /// Takes it from whoever may still use it: to touch it is a fault. What was in it is lost.
    pub fn take_away(&self) {
        // SAFETY: both pages are this struct's. Not by madvise(), whose calls count as the library's.
        let done =
            unsafe { libc::syscall(libc::SYS_madvise, self.0, 2 * PAGE, libc::MADV_DONTNEED) };
        assert_eq!(done, 0, "madvise");
        self.protect(libc::PROT_NONE);
    }

    pub fn bring_back(&self) {
        self.protect(libc::PROT_READ | libc::PROT_WRITE);
    }

    fn protect(&self, how: libc::c_int) {
        // SAFETY: both pages are this struct's.
        let done = unsafe { libc::mprotect(self.0.cast(), 2 * PAGE, how) };
        assert_eq!(done, 0, "mprotect");
    }
}

/// How many objects a pool of them has when it is full, and how many are left when it falls asleep.
#[derive(Clone, Copy)]
pub struct Measure {
    pub item_size: u32,
    pub num_items: u32,
    pub full: usize,
    pub kept: usize,
}

/// Where a pool is. Who uses the pool reads `memory`; who ends it, or lets it fall asleep, writes.
pub struct Place {
    pub measure: Measure,
    pub memory: RwLock<Memory>,
    /// The oldest first.
    pub objects: Mutex<Vec<Object>>,
    pub is_filling: AtomicBool,
    /// How many times it was filled and emptied since it awoke.
    pub cycles: AtomicUsize,
    /// The turn from which on it sleeps.
    pub asleep_from: AtomicUsize,
}

impl Place {
    pub fn new(measure: Measure, children: usize) -> Place {
        let place = Place {
            measure,
            memory: RwLock::new(Memory::new()),
            objects: Mutex::new(Vec::with_capacity(2 * measure.full)),
            is_filling: AtomicBool::new(true),
            cycles: AtomicUsize::new(0),
            asleep_from: AtomicUsize::new(0),
        };
        place.create(&place.memory.read().unwrap(), children);
        place
    }

    /// Makes the pool and its children, whatever is there.
    pub fn create(&self, memory: &Memory, children: usize) {
        let Measure { item_size, num_items, .. } = self.measure;
        // SAFETY: the memory is the pool's, and no child that was there is used any more.
        unsafe { slab_create_parent(memory.parent(), item_size, num_items) }
        self.create_children(memory, 0, children);
    }

    pub fn create_children(&self, memory: &Memory, from: usize, to: usize) {
        for index in from..to {
            // SAFETY: the memory is the children's, and the parent exists.
            unsafe { slab_create_child(memory.child(index), memory.parent()) }
        }
    }

    /// The memory, when nobody else uses the pool, nor may until it is let go.
    pub fn alone(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap()
    }

    pub fn bytes(&self, objects: usize) -> usize {
        objects * self.measure.item_size as usize
    }

    /// Frees what is beyond so many objects through a child, and returns how many that were.
    pub fn free_beyond(&self, memory: &Memory, child: usize, kept: usize) -> usize {
        let mut objects = self.objects.lock().unwrap();
        let beyond = kept.min(objects.len());
        let freed = objects.len() - beyond;
        // SAFETY: who has the memory for itself has all children; the objects are live.
        objects.drain(beyond..).for_each(|object| unsafe { free(memory.child(child), object) });
        freed
    }

    pub fn stats(&self, memory: &Memory) -> slab_parent_stats {
        // SAFETY: zeroes are numbers; the pool exists.
        unsafe {
            let mut stats: slab_parent_stats = std::mem::zeroed();
            stats.struct_size = size_of::<slab_parent_stats>();
            if slab_get_parent_stats(memory.parent(), &mut stats) != 0 {
                problem("no statistics");
            }
            stats
        }
    }

    /// How many objects the children have. Nobody else uses the pool.
    pub fn in_children(&self, memory: &Memory) -> usize {
        let stats = self.stats(memory);
        let live = self.objects.lock().unwrap().len();
        stats.objects_out - stats.objects_in_depot - live
    }

    pub fn destroy_children(&self, memory: &Memory, from: usize, to: usize) {
        for index in from..to {
            // SAFETY: nobody else uses the children, which exist or are destroyed.
            unsafe { slab_destroy_child(memory.child(index)) }
        }
    }

    /// Begins a sleep that nothing disturbs. All children go but one, which keeps what it has, and the
    /// pool from draining its depot. Nobody else uses the pool.
    pub fn fall_asleep(&self, memory: &Memory, children: usize, turn: usize) {
        self.destroy_children(memory, 1, children);
        self.create_children(memory, 1, children);
        self.cycles.store(0, Relaxed);
        self.is_filling.store(true, Relaxed);
        self.asleep_from.store(turn, Relaxed);
    }
}
