//! Memory that pools are given: a heap of regions, and one whose memory hooks reserve.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr;

use mesa_slab::abi::ext::{
    slab_add_region, slab_create_heap, slab_create_parent_with, slab_destroy_heap, slab_heap,
    slab_memory, slab_options,
};
use mesa_slab::abi::slab::{
    slab_alloc, slab_child_pool, slab_create_child, slab_destroy_child, slab_destroy_parent,
    slab_free, slab_parent_pool,
};

use crate::operation::Heap;

/// What memory is used in pieces of, and the part of each that is the library's.
const PIECE: usize = if usize::BITS == 64 { 4 << 20 } else { 1 << 20 };
const HEADER: usize = PIECE / 32;

/// Where the regions begin in memory that is aligned to a piece, how long they are, and how much of
/// each is used.
const REGIONS: [(usize, usize, usize); 3] = [
    (0, PIECE, PIECE - HEADER),
    (PIECE - 4096, 4096 + PIECE / 4 + 77, PIECE / 4 - HEADER),
    (64, 3 * PIECE - 64, 2 * (PIECE - HEADER)),
];

/// Memory that was given.
struct Given {
    start: *mut u8,
    layout: Layout,
}

impl Given {
    fn new(bytes: usize) -> Given {
        let layout = Layout::from_size_align(bytes, PIECE).unwrap();
        // SAFETY: the layout has bytes.
        let start = unsafe { alloc(layout) };
        assert!(!start.is_null());
        Given { start, layout }
    }

    fn has(&self, address: usize) -> bool {
        address.wrapping_sub(self.start.addr()) < self.layout.size()
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        // SAFETY: it was allocated so.
        unsafe { dealloc(self.start, self.layout) }
    }
}

/// What the hooks have given.
#[derive(Default)]
struct Hooks {
    given: RefCell<Vec<Given>>,
    /// The call that is to fail, counted down to 0.
    fail: Cell<u32>,
    failed: Cell<u32>,
}

unsafe extern "C" fn reserve(data: *mut c_void, bytes: usize, alignment: usize) -> *mut c_void {
    // SAFETY: it is what the heap was made with.
    let hooks = unsafe { &*data.cast::<Hooks>() };
    assert_eq!(alignment, PIECE);
    let fail = hooks.fail.get();
    hooks.fail.set(fail.saturating_sub(1));
    if fail == 1 {
        hooks.failed.set(hooks.failed.get() + 1);
        return ptr::null_mut();
    }
    let given = Given::new(bytes);
    let start = given.start;
    hooks.given.borrow_mut().push(given);
    start.cast()
}

unsafe extern "C" fn release(data: *mut c_void, start: *mut c_void, bytes: usize) {
    // SAFETY: as above.
    let hooks = unsafe { &*data.cast::<Hooks>() };
    let mut given = hooks.given.borrow_mut();
    let place = given.iter().position(|given| given.start.addr() == start.addr());
    let given = given.swap_remove(place.expect("only what was given is released"));
    assert_eq!(given.layout.size(), bytes);
}

unsafe extern "C" fn purge(data: *mut c_void, start: *mut c_void, bytes: usize) {
    // SAFETY: as above.
    let hooks = unsafe { &*data.cast::<Hooks>() };
    assert!(
        hooks
            .given
            .borrow()
            .iter()
            .any(|given| { given.has(start.addr()) && given.has(start.addr() + bytes - 1) })
    );
    // SAFETY: nobody uses it.
    unsafe { start.cast::<u8>().write_bytes(0xcc, bytes) }
}

/// Heaps that may exist.
pub struct Heaps {
    regions: *mut slab_heap,
    given: Vec<Given>,
    hooked: *mut slab_heap,
    hooks: Box<Hooks>,
}

impl Heaps {
    pub fn none() -> Heaps {
        Heaps {
            regions: ptr::null_mut(),
            given: Vec::new(),
            hooked: ptr::null_mut(),
            hooks: Box::default(),
        }
    }

    /// A heap, made if there is none; null for the process's.
    pub fn get(&mut self, heap: Heap) -> *mut slab_heap {
        match heap {
            Heap::Process => ptr::null_mut(),
            Heap::Regions => {
                if self.regions.is_null() {
                    // SAFETY: null is no memory.
                    self.regions = unsafe { slab_create_heap(ptr::null()) };
                    assert!(!self.regions.is_null());
                    self.add_region();
                }
                self.regions
            }
            Heap::Hooks => {
                if self.hooked.is_null() {
                    let memory = slab_memory {
                        struct_size: size_of::<slab_memory>(),
                        data: (&raw mut *self.hooks).cast(),
                        reserve: Some(reserve),
                        release: Some(release),
                        purge: Some(purge),
                    };
                    // SAFETY: the hooks are functions of these types, and stay.
                    self.hooked = unsafe { slab_create_heap(&memory) };
                    assert!(!self.hooked.is_null());
                }
                self.hooked
            }
        }
    }

    /// Adds the next region, if there is a heap of them.
    pub fn add_region(&mut self) {
        let Some(&(begin, bytes, usable)) = REGIONS.get(self.given.len()) else { return };
        if !self.regions.is_null() {
            let given = Given::new((begin + bytes).next_multiple_of(PIECE));
            // SAFETY: the memory is the heap's alone from now on.
            let got =
                unsafe { slab_add_region(self.regions, given.start.add(begin).cast(), bytes) };
            assert_eq!(got, usable);
            self.given.push(given);
        }
    }

    /// Has a call of the hook fail.
    pub fn fail_reserve(&mut self, number: u32) {
        self.hooks.fail.set(number);
    }

    /// No call fails from now on.
    pub fn recover(&mut self) {
        self.hooks.fail.set(0);
    }

    /// How many calls of the hook have failed.
    pub fn failed(&self) -> u32 {
        self.hooks.failed.get()
    }

    /// In which heap an object lies.
    pub fn of(&self, object: *const u8) -> Heap {
        let is_in = |given: &[Given]| given.iter().any(|given| given.has(object.addr()));
        if is_in(&self.given) {
            Heap::Regions
        } else if is_in(&self.hooks.given.borrow()) {
            Heap::Hooks
        } else {
            Heap::Process
        }
    }

    /// Destroys the heaps, in which nothing is any more: what regions have is all there.
    pub fn destroy(&mut self) {
        if !self.regions.is_null() {
            let usable: usize = REGIONS[..self.given.len()].iter().map(|region| region.2).sum();
            let used = use_up(self.regions);
            assert!(used > usable / 100 * 90, "{used} of {usable}");
        }
        for heap in [self.regions, self.hooked] {
            // SAFETY: it is null, or a heap that nobody uses.
            assert_eq!(unsafe { slab_destroy_heap(heap) }, 0);
        }
        assert!(self.hooks.given.borrow().is_empty(), "a hook has not got back what it gave");
        *self = Heaps::none();
    }
}

/// Allocates all that there is in a heap, and returns how many bytes of objects that are.
fn use_up(heap: *mut slab_heap) -> usize {
    const SIZE: usize = 256;
    let options = slab_options {
        struct_size: size_of::<slab_options>(),
        item_size: SIZE as u32,
        num_items: 64,
        alignment: 0,
        flags: 0,
        name: ptr::null(),
        heap,
    };
    let mut objects = Vec::new();
    // SAFETY: the pool and its child are made before they are used, and are here alone.
    unsafe {
        let mut parent = std::mem::zeroed::<slab_parent_pool>();
        let mut child = std::mem::zeroed::<slab_child_pool>();
        assert_eq!(slab_create_parent_with(&mut parent, &options), 0);
        slab_create_child(&mut child, &mut parent);
        loop {
            let object = slab_alloc(&mut child);
            if object.is_null() {
                break;
            }
            objects.push(object);
        }
        objects.iter().for_each(|object| slab_free(&mut child, *object));
        slab_destroy_child(&mut child);
        slab_destroy_parent(&mut parent);
    }
    objects.len() * SIZE
}
