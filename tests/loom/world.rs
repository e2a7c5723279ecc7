// SPDX-License-Identifier: MIT
//! What models are made of: pools, children and objects that check themselves.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use mesa_slab::abi::ext::*;
use mesa_slab::abi::slab::*;
use mesa_slab::internals::models::{self, reports, writes};

/// Objects of which a magazine holds one; a slab has one, of one page.
pub const ONE_ROUND: u32 = 4096;
/// Objects of which a magazine holds three; a slab has two, of one page.
pub const THREE_ROUNDS: u32 = 2048;
/// How many times a child needs the pool until it is busy.
const VISITS: usize = 8;
/// Bytes of a magazine with one round, and with three, which a busy child has for the same objects.
pub const MAGAZINES: [usize; 2] = [2 * size_of::<usize>(), 4 * size_of::<usize>()];
/// Objects that children do not cache; a slab has one, of four pages.
pub const UNCACHED: u32 = 16 << 10;
/// Objects with a reservation each.
pub const LARGE: u32 = 3 << 20;

/// There is one heap.
static ONE_MODEL: Mutex<()> = Mutex::new(());

/// How many preemptions to try: any number.
pub const ALL: Option<usize> = None;

/// Runs `model` in every order of steps with at most so many preemptions, and says in how many. The
/// heap must be empty at the end of each, and `misuse` reports have been made.
///
/// `LOOM_MAX_PREEMPTIONS` in the environment raises the limit, if there is one.
pub fn check_with_misuse(preemptions: Option<usize>, misuse: u32, model: fn()) {
    let _alone = ONE_MODEL.lock().unwrap_or_else(PoisonError::into_inner);
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    RUNS.store(0, Relaxed);
    slab_set_report_handler(Some(without_words), ptr::null_mut());
    let mut builder = loom::model::Builder::new();
    let more = builder.preemption_bound.unwrap_or(0);
    builder.preemption_bound = preemptions.map(|most| most.max(more));
    builder.max_branches = 100_000;
    let bound = builder.preemption_bound.map_or("any".to_string(), |most| most.to_string());
    builder.check(move || {
        RUNS.fetch_add(1, Relaxed);
        let before = reports();
        models::begin();
        model();
        models::end();
        assert_eq!(reports() - before, misuse, "reports");
    });
    let name = std::thread::current().name().unwrap_or_default().to_string();
    println!("{name}: {} interleavings, {bound} preemptions", RUNS.load(Relaxed));
}

/// The same, without misuse.
pub fn check(preemptions: Option<usize>, model: fn()) {
    check_with_misuse(preemptions, 0, model);
}

unsafe extern "C" fn without_words(_: *mut c_void, _: *const core::ffi::c_char) {}

/// A parent pool. Copies are the same pool.
#[derive(Clone, Copy)]
pub struct Pool(*mut slab_parent_pool);

// SAFETY: a parent pool is made to be used by many threads.
unsafe impl Send for Pool {}

impl Pool {
    /// Creates a pool.
    pub fn new(item_size: u32, num_items: u32) -> Pool {
        let pool = Pool(Box::into_raw(Box::new(MaybeUninit::<slab_parent_pool>::uninit())).cast());
        pool.create(item_size, num_items);
        pool
    }

    /// Creates a pool that has its body. Most models are not about which thread makes that, and those
    /// that are need not be about anything else.
    pub fn made(item_size: u32, num_items: u32) -> Pool {
        let pool = Pool::new(item_size, num_items);
        pool.set_name(c"");
        pool
    }

    /// Creates it anew.
    pub fn create(self, item_size: u32, num_items: u32) {
        // SAFETY: the memory is the pool's.
        unsafe { slab_create_parent(self.0, item_size, num_items) }
    }

    /// Destroys it. It can be created anew.
    pub fn destroy(self) {
        // SAFETY: the pool was created, and no model uses it after.
        unsafe { slab_destroy_parent(self.0) }
    }

    /// Destroys it for good.
    pub fn end(self) {
        self.destroy();
        // SAFETY: this is what `new` allocated.
        drop(unsafe { Box::from_raw(self.0.cast::<MaybeUninit<slab_parent_pool>>()) });
    }

    /// A child of it.
    pub fn child(self) -> Child {
        let mut child = Child(Box::new(zeroed()));
        // SAFETY: the pool exists.
        unsafe { slab_create_child(&raw mut *child.0, self.0) }
        child
    }

    /// See `slab_trim_parent`.
    pub fn trim(self) {
        // SAFETY: the pool exists.
        unsafe { slab_trim_parent(self.0) };
    }

    /// See `slab_set_name`.
    pub fn set_name(self, name: &core::ffi::CStr) {
        // SAFETY: the pool exists.
        assert_eq!(unsafe { slab_set_name(self.0, name.as_ptr()) }, 0);
    }

    fn stats(self) -> slab_parent_stats {
        // SAFETY: the pool exists; all zeroes is a valid value.
        unsafe {
            let mut stats: slab_parent_stats = MaybeUninit::zeroed().assume_init();
            stats.struct_size = size_of::<slab_parent_stats>();
            assert_eq!(slab_get_parent_stats(self.0, &mut stats), 0);
            stats
        }
    }

    /// How many objects are out of the slabs.
    pub fn objects_out(self) -> usize {
        self.stats().objects_out
    }

    /// Whether it holds nothing but slabs with objects in use.
    pub fn keeps_nothing(self) -> bool {
        let stats = self.stats();
        stats.slabs_empty == 0 && stats.objects_in_depot == 0
    }

    /// How many children have magazines.
    pub fn children(self) -> usize {
        self.stats().children
    }

    /// Checks the pool and the heap, which other threads may use.
    pub fn validate(self) {
        // SAFETY: the pool exists.
        assert_eq!(unsafe { slab_validate(self.0) }, 0);
    }

    /// A child with a larger magazine than it began with, which is empty, and the objects that it
    /// has in use.
    pub fn busy_child(self) -> (Child, Vec<Object>) {
        let mut child = self.child();
        let mut taken = vec![child.alloc()];
        let first = child.magazine_bytes();
        while child.magazine_bytes() == first {
            taken.push(child.alloc());
        }
        while child.has_objects() {
            taken.push(child.alloc());
        }
        (child, taken)
    }

    /// A child of [`ONE_ROUND`] with two empty magazines that gets a larger one when it needs the
    /// pool next, and the objects that it has in use.
    pub fn nearly_busy_child(self) -> (Child, Vec<Object>) {
        let mut child = self.child();
        let two = [child.alloc(), child.alloc()];
        two.into_iter().for_each(|object| child.free(object));
        // The first two of these need no pool, the others do, as the first two objects did, and the
        // second one when it was freed.
        let taken = (0..VISITS - 1).map(|_| child.alloc()).collect();
        (child, taken)
    }
}

fn zeroed() -> slab_child_pool {
    slab_child_pool {
        parent: ptr::null_mut(),
        top: ptr::null_mut(),
        previous: ptr::null_mut(),
        mask: 0,
        item_size: 0,
    }
}

/// A child pool.
pub struct Child(Box<slab_child_pool>);

// SAFETY: which thread uses a child does not matter.
unsafe impl Send for Child {}

impl Child {
    /// A destroyed one.
    pub fn destroyed() -> Child {
        Child(Box::new(zeroed()))
    }

    /// Allocates an object, and writes it.
    pub fn alloc(&mut self) -> Object {
        // SAFETY: the child is this thread's.
        Object::write(unsafe { slab_alloc(&raw mut *self.0) })
    }

    /// Allocates objects in bulk, and writes them.
    pub fn alloc_bulk(&mut self, count: usize) -> Vec<Object> {
        let mut objects = vec![ptr::null_mut::<c_void>(); count];
        // SAFETY: the child is this thread's, and there is room for as many.
        let got = unsafe { slab_alloc_bulk(&raw mut *self.0, count as u32, objects.as_mut_ptr()) };
        assert_eq!(got as usize, count);
        objects.into_iter().map(Object::write).collect()
    }

    /// Frees objects in bulk that nobody else has written.
    pub fn free_bulk(&mut self, objects: Vec<Object>) {
        let addresses: Vec<*mut c_void> =
            objects.iter().map(|object| object.check().cast()).collect();
        // SAFETY: the child is this thread's.
        unsafe {
            slab_free_bulk(&raw mut *self.0, addresses.len() as u32, addresses.as_ptr());
        }
    }

    /// See `slab_prefill`.
    pub fn prefill(&mut self, count: usize) {
        // SAFETY: the child is this thread's.
        assert_eq!(unsafe { slab_prefill(&raw mut *self.0, count as u32) } as usize, count);
    }

    /// Frees an object that nobody else has written.
    pub fn free(&mut self, object: Object) {
        self.free_address(object.check().addr());
    }

    /// Frees what is at an address.
    pub fn free_address(&mut self, address: usize) {
        let address = ptr::with_exposed_provenance_mut::<c_void>(address);
        // SAFETY: the child is this thread's.
        unsafe { slab_free(&raw mut *self.0, address) }
    }

    /// See `slab_trim_child`.
    pub fn trim(&mut self) {
        // SAFETY: the child is this thread's.
        unsafe { slab_trim_child(&raw mut *self.0) };
    }

    /// Bytes of its magazines; 0 if it has none.
    pub fn magazine_bytes(&self) -> usize {
        match self.0.mask as usize {
            0 => 0,
            mask => mask + 1,
        }
    }

    /// Whether it has objects to give without the pool, in its loaded magazine.
    pub fn has_objects(&self) -> bool {
        self.0.top.addr() & self.0.mask as usize != 0
    }

    /// Destroys it.
    pub fn destroy(mut self) {
        // SAFETY: the child is this thread's.
        unsafe { slab_destroy_child(&raw mut *self.0) }
    }
}

/// An object in use.
pub struct Object {
    address: *mut usize,
    stamp: usize,
}

// SAFETY: an object is whose thread it is given to.
unsafe impl Send for Object {}

impl Object {
    fn write(address: *mut c_void) -> Object {
        static STAMPS: AtomicUsize = AtomicUsize::new(1);
        let address = address.cast::<usize>();
        assert!(!address.is_null());
        writes(address);
        let stamp = STAMPS.fetch_add(1, Relaxed);
        // SAFETY: the object is this thread's.
        unsafe { address.write(stamp) };
        Object { address, stamp }
    }

    /// Where it is, if nobody else has written it.
    fn check(&self) -> *mut usize {
        writes(self.address);
        // SAFETY: the object is this thread's.
        assert_eq!(unsafe { self.address.read() }, self.stamp, "an object was given to two");
        self.address
    }

    /// Where it is.
    pub fn address(&self) -> usize {
        self.address.expose_provenance()
    }
}

/// A child that takes and gives back a few objects.
pub fn short_life(pool: Pool, objects: usize) {
    let mut child = pool.child();
    let taken: Vec<Object> = (0..objects).map(|_| child.alloc()).collect();
    taken.into_iter().for_each(|object| child.free(object));
    child.destroy();
}

/// Two children of a pool that exchange both magazines next, each after two visits for the same thing.
pub struct ExchangeBoth {
    pub pool: Pool,
    /// Takes two full ones with its next object, if the depot has two. It has one now.
    pub taker: Child,
    /// What the taker has in use.
    pub taken: Vec<Object>,
    /// Gives two full ones with its next object, which is its last.
    pub giver: Child,
    pub last: Object,
}

impl ExchangeBoth {
    /// Of [`ONE_ROUND`].
    pub fn new() -> ExchangeBoth {
        let pool = Pool::made(ONE_ROUND, 1);
        let (mut taker, mut giver) = (pool.child(), pool.child());
        let two = [taker.alloc(), taker.alloc()];
        two.into_iter().for_each(|object| taker.free(object));
        // Two from its magazines, two in a visit each.
        let taken = (0..4).map(|_| taker.alloc()).collect();
        let [last, given @ ..] = [(); 4].map(|()| giver.alloc());
        given.into_iter().for_each(|object| giver.free(object));
        ExchangeBoth { pool, taker, taken, giver, last }
    }
}

/// Runs a thread beside the one that calls, and waits for it at the end of the model.
pub fn beside(body: impl FnOnce() + Send + 'static) -> loom::thread::JoinHandle<()> {
    loom::thread::spawn(body)
}
