// SPDX-License-Identifier: MIT
//! One user's cache of free objects of a type.

use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

use super::object::Object;
use super::out_of_memory::OutOfMemory;
use super::pool::Pool;
use crate::pool::cache;
use crate::pool::child::ChildPool;
use crate::pool::parent::ParentPool;

/// One user's cache of free objects of a [`Pool`].
///
/// It is used by one thread at a time, without a lock: it can be sent to another thread, and not
/// be shared.
///
/// ```compile_fail,E0277
/// use mesa_slab::Pool;
///
/// let pool = Pool::new();
/// let cache = pool.cache();
/// std::thread::scope(|scope| {
///     scope.spawn(|| cache.alloc(1));
///     scope.spawn(|| cache.alloc(2));
/// });
/// ```
///
/// Two threads have a cache each, and may free each other's objects:
///
/// ```
/// use mesa_slab::Pool;
///
/// let pool = Pool::new();
/// std::thread::scope(|scope| {
///     let (sender, receiver) = std::sync::mpsc::channel();
///     let (there, here) = (pool.cache(), pool.cache());
///     scope.spawn(move || (0..1000).for_each(|n| sender.send(there.alloc(n).unwrap()).unwrap()));
///     scope.spawn(move || receiver.into_iter().for_each(|object| here.free(object)));
/// });
/// ```
///
/// When a cache is dropped its free objects go back to the pool. What was allocated from it is not
/// affected: objects outlive their cache.
///
/// A cache is 5 words on 64-bit machines, and may be moved. (A recording with the mode `trace` counts one that was
/// moved between two calls as a further child.)
pub struct Cache<'pool, T> {
    child: UnsafeCell<ChildPool>,
    pool: &'pool Pool<T>,
}

// SAFETY: it has free memory, which belongs to no thread; values that come out of it bring their own
// conditions.
unsafe impl<T> Send for Cache<'_, T> {}

impl<T> Pool<T> {
    /// Makes a cache of the pool's. Costs next to nothing: a cache gets memory with its first
    /// allocation.
    pub fn cache(&self) -> Cache<'_, T> {
        Cache { child: UnsafeCell::new(child_of(self.parent())), pool: self }
    }
}

impl<'pool, T> Cache<'pool, T> {
    /// Allocates an object and moves a value into it.
    ///
    /// # Errors
    /// If there is no memory, the value comes back.
    #[inline]
    pub fn alloc(&self, value: T) -> Result<Object<'pool, T>, OutOfMemory<T>> {
        match self.take_slot() {
            Some(slot) => Ok(Object::new(slot, value)),
            None => Err(OutOfMemory(value)),
        }
    }

    /// Allocates an object and makes a value in it, which large values need not be moved to.
    ///
    /// # Errors
    /// If there is no memory, `make` is not called, and comes back.
    #[inline]
    pub fn alloc_with<F>(&self, make: F) -> Result<Object<'pool, T>, OutOfMemory<F>>
    where
        F: FnOnce() -> T,
    {
        match self.take_slot() {
            Some(slot) => {
                // The memory is freed if `make` panics.
                let uninit: Object<'pool, MaybeUninit<T>> = Object::uninit(slot);
                Ok(Object::write(uninit, make()))
            }
            None => Err(OutOfMemory(make)),
        }
    }

    /// Allocates an object without a value.
    ///
    /// # Errors
    /// If there is no memory.
    #[inline]
    pub fn alloc_uninit(&self) -> Result<Object<'pool, MaybeUninit<T>>, OutOfMemory<()>> {
        self.take_slot().map(Object::uninit).ok_or(OutOfMemory(()))
    }

    /// Allocates an object without a value, all bytes of which are 0.
    ///
    /// ```
    /// use mesa_slab::Pool;
    ///
    /// #[repr(C)]
    /// struct Descriptor {
    ///     address: u64,
    ///     words: [u32; 6],
    /// }
    ///
    /// let pool = Pool::<Descriptor>::new();
    /// let descriptor = pool.cache().alloc_zeroed().unwrap();
    /// // SAFETY: zeroes are a value of all the fields.
    /// let descriptor = unsafe { descriptor.assume_init() };
    /// assert_eq!((descriptor.address, descriptor.words), (0, [0; 6]));
    /// ```
    ///
    /// # Errors
    /// If there is no memory.
    #[inline]
    pub fn alloc_zeroed(&self) -> Result<Object<'pool, MaybeUninit<T>>, OutOfMemory<()>> {
        // SAFETY: the child is created, and used by the caller alone.
        let slot = unsafe { ChildPool::zalloc(self.child.get()) };
        let slot = NonNull::new(slot.cast()).or_else(|| {
            // SAFETY: an object has the bytes of a `T`.
            self.take_again().inspect(|slot| unsafe { slot.write_bytes(0, 1) })
        });
        slot.map(Object::uninit).ok_or(OutOfMemory(()))
    }

    /// Drops a value and frees its object.
    ///
    /// The object may come from any cache of the pool, at the same cost; or from another pool,
    /// which then takes its lock.
    ///
    /// ```compile_fail,E0382
    /// use mesa_slab::Pool;
    ///
    /// let pool = Pool::new();
    /// let cache = pool.cache();
    /// let object = cache.alloc(7).unwrap();
    /// cache.free(object);
    /// assert_eq!(*object, 7);
    /// ```
    ///
    /// ```compile_fail,E0382
    /// use mesa_slab::Pool;
    ///
    /// let pool = Pool::new();
    /// let cache = pool.cache();
    /// let object = cache.alloc(7).unwrap();
    /// cache.free(object);
    /// cache.free(object);
    /// ```
    #[inline]
    pub fn free(&self, object: Object<'_, T>) {
        /// Frees the memory, also if the value's drop panics.
        struct Slot<'a, 'pool, T>(&'a Cache<'pool, T>, NonNull<T>);
        impl<T> Drop for Slot<'_, '_, T> {
            #[inline]
            fn drop(&mut self) {
                // SAFETY: the value of the object is gone.
                unsafe { self.0.give_slot(self.1) }
            }
        }
        let slot = Slot(self, Object::into_raw(object));
        // SAFETY: the object was given up, and has a value.
        unsafe { ptr::drop_in_place(slot.1.as_ptr()) }
    }

    /// Frees an object and returns its value.
    #[inline]
    pub fn take(&self, object: Object<'_, T>) -> T {
        let slot = Object::into_raw(object);
        // SAFETY: the object was given up, and has a value, which is moved out of it.
        unsafe {
            let value = slot.read();
            self.give_slot(slot);
            value
        }
    }

    /// Gives the pool all free objects that are cached. Returns how many bytes that were.
    pub fn trim(&self) -> usize {
        // SAFETY: the child is created, and used by the caller alone.
        unsafe { ChildPool::trim(self.child.get()) }
    }

    /// Memory of an object. None if there is none.
    #[inline]
    fn take_slot(&self) -> Option<NonNull<T>> {
        // SAFETY: the child is created, and used by the caller alone; no other function of this
        // cache is called meanwhile.
        let slot = unsafe { ChildPool::alloc(self.child.get()) };
        NonNull::new(slot.cast()).or_else(|| self.take_again())
    }

    /// The same after there was none. Perhaps there was no memory for the pool's parent when the
    /// cache was made.
    #[cold]
    fn take_again(&self) -> Option<NonNull<T>> {
        // SAFETY: as above; a child without a parent has nothing.
        unsafe {
            if !(*self.child.get()).parent.is_null() {
                return None;
            }
            self.child.get().write(child_of(self.pool.parent()));
            NonNull::new(ChildPool::alloc(self.child.get()).cast())
        }
    }

    /// Takes memory of an object back.
    ///
    /// # Safety
    /// It is an object of a pool of such objects, and without a value.
    #[inline]
    unsafe fn give_slot(&self, slot: NonNull<T>) {
        // SAFETY: as above; the object's pool is there, as the object borrowed it.
        unsafe { ChildPool::free(self.child.get(), slot.as_ptr().cast()) }
    }
}

/// A child of a parent, if there is one. Nobody is told of it before it is used, as it will be moved.
fn child_of(parent: Option<&ParentPool>) -> ChildPool {
    let item_size = parent.map_or(0, |parent| parent.item_size.max(1));
    ChildPool {
        parent: parent.map_or(ptr::null(), ptr::from_ref),
        cache: cache::Cache::of(item_size),
    }
}

impl<T> Drop for Cache<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the child is created, and used by the caller alone; its parent is there, as the
        // pool is borrowed.
        unsafe { ChildPool::destroy(self.child.get()) }
    }
}

impl<T> fmt::Debug for Cache<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("pool", self.pool).finish_non_exhaustive()
    }
}
