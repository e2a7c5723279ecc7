// SPDX-License-Identifier: MIT
//! Pools of a type.
//!
//! | field | meaning | written |
//! |---|---|---|
//! | `parent` | its parent, in a block of the library's; null before the first cache | once, by the first thread that needs it |
//! | `num_items` | what the parent is created with | when it is made |

use core::fmt;
use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire},
};

use crate::base::geometry::PAGE;
use crate::pool::blocks;
use crate::pool::parent::ParentPool;

/// Objects of the size of most slabs: what the pools of C drivers ask for.
const NUM_ITEMS: u32 = 64;

/// The owner of the memory of all objects of a type.
///
/// Objects are allocated and freed through [caches](super::Cache), of which a pool has as many as it has
/// users, typically one for each context. An object may be freed through any of them, and by being
/// dropped in any thread.
///
/// ```
/// use mesa_slab::{OutOfMemory, Pool};
///
/// struct Transfer {
///     offset: usize,
///     bytes: Vec<u8>,
/// }
///
/// # fn main() -> Result<(), OutOfMemory<Transfer>> {
/// let pool = Pool::new();
/// let mut maps = pool.cache();
/// let mut unmaps = pool.cache();
///
/// let mut transfer = maps.alloc(Transfer { offset: 64, bytes: vec![0; 16] })?;
/// transfer.bytes[0] = 1;
/// std::thread::scope(|scope| {
///     scope.spawn(move || {
///         assert_eq!(transfer.offset, 64);
///         // Costs what a free through `maps` does, and drops the vector.
///         unmaps.free(transfer);
///     });
/// });
/// # Ok(())
/// # }
/// ```
///
/// Nothing is allocated before the first cache is made, so that a pool may be a static:
///
/// ```
/// use mesa_slab::{Object, Pool};
///
/// static QUERIES: Pool<[u64; 4]> = Pool::new().of_slabs_with(256);
///
/// let query: Object<'static, [u64; 4]> = QUERIES.cache().alloc([1; 4]).unwrap();
/// assert_eq!(query.iter().sum::<u64>(), 4);
/// ```
///
/// The pool stays where it is told to be: caches and objects borrow it, and go before it.
///
/// ```compile_fail,E0505
/// use mesa_slab::Pool;
///
/// let pool = Pool::new();
/// let object = pool.cache().alloc(7).unwrap();
/// drop(pool);
/// assert_eq!(*object, 7);
/// ```
///
/// A type of more than 4 GiB, or one that is aligned to more than 4096 bytes, has no pool:
///
/// ```compile_fail,E0080
/// use mesa_slab::Pool;
///
/// #[repr(align(8192))]
/// struct Page(u8);
///
/// Pool::<Page>::new().cache();
/// ```
pub struct Pool<T> {
    parent: AtomicPtr<ParentPool>,
    num_items: u32,
    // It has no values.
    of: PhantomData<fn() -> T>,
}

impl<T> Pool<T> {
    /// Bytes of an object, such that it is aligned as a `T` has to be: objects are aligned to 8 up to
    /// 8 bytes, else to 16, and powers of two up to a page to their size, in every mode.
    const ITEM_SIZE: u32 = {
        let (mut bytes, align) = (size_of::<T>(), align_of::<T>());
        assert!(align <= PAGE, "a type that is aligned to more than 4096 bytes has no pool");
        if bytes < align {
            bytes = align;
        }
        if align > 16 {
            bytes = bytes.next_power_of_two();
        }
        assert!(bytes as u64 <= u32::MAX as u64, "a type of more than 4 GiB has no pool");
        bytes as u32
    };

    /// A pool without objects. Allocates nothing.
    pub const fn new() -> Pool<T> {
        Pool { parent: AtomicPtr::new(ptr::null_mut()), num_items: NUM_ITEMS, of: PhantomData }
    }

    /// Has the pool take memory for about so many objects at a time, if it has no cache yet: 64
    /// unless set.
    #[must_use]
    pub const fn of_slabs_with(mut self, objects: u32) -> Pool<T> {
        self.num_items = objects;
        self
    }

    /// Gives the pool a name, for statistics and reports. What is beyond 100 bytes (50 on 32-bit
    /// machines) may be cut off.
    ///
    /// Returns false if there is no memory.
    pub fn set_name(&self, name: &str) -> bool {
        self.parent().is_some_and(|parent| parent.set_name(name.as_bytes()))
    }

    /// Gives the heap what is free and in no cache. Returns how many bytes that were.
    pub fn trim(&self) -> usize {
        self.parent_if_any().map_or(0, ParentPool::trim)
    }

    /// The parent; none before the first cache.
    fn parent_if_any(&self) -> Option<&ParentPool> {
        // SAFETY: it lives until the pool is dropped. Acquire: it is used.
        unsafe { self.parent.load(Acquire).as_ref() }
    }

    /// The parent, made if there is none. None if there is no memory.
    pub(super) fn parent(&self) -> Option<&ParentPool> {
        self.parent_if_any().or_else(|| {
            let made = make(Self::ITEM_SIZE, self.num_items);
            if made.is_null() {
                return None;
            }
            // AcqRel: whoever finds it uses it, and what another thread has made is used.
            let found = self.parent.compare_exchange(ptr::null_mut(), made, AcqRel, Acquire);
            // SAFETY: a parent that was made just now and is not the pool's is nobody's; that of
            // the pool lives until the pool is dropped.
            unsafe {
                found.map_or_else(
                    |others| {
                        unmake(made);
                        others.as_ref()
                    },
                    |_| made.as_ref(),
                )
            }
        })
    }
}

/// A parent in memory of the library's. Null if there is none.
#[cold]
#[inline(never)]
fn make(item_size: u32, num_items: u32) -> *mut ParentPool {
    let parent = blocks::take::<ParentPool>();
    if !parent.is_null() {
        // SAFETY: the block was taken just now.
        unsafe { ParentPool::create(parent, item_size, num_items) }
    }
    parent
}

/// Destroys a parent, and gives its memory back.
///
/// # Safety
/// [`make`] made it, and no other call uses it, a child or an object of it.
#[inline(never)]
unsafe fn unmake(parent: *mut ParentPool) {
    // SAFETY: the caller's promise.
    unsafe {
        ParentPool::destroy(parent);
        blocks::give_back(parent);
    }
}

impl<T> Drop for Pool<T> {
    fn drop(&mut self) {
        let parent = *self.parent.get_mut();
        if !parent.is_null() {
            // SAFETY: caches and objects borrow the pool: they are gone, or were forgotten, in which
            // case nobody uses them.
            unsafe { unmake(parent) }
        }
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Pool<T> {
        Pool::new()
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("item_size", &Self::ITEM_SIZE).finish_non_exhaustive()
    }
}
