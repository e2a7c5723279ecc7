// SPDX-License-Identifier: MIT
//! Objects of a type, and their values.

use core::borrow::{Borrow, BorrowMut};
use core::fmt;
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ops::{Deref, DerefMut};
use core::pin::Pin;
use core::ptr::{self, NonNull};

use crate::pool::child;

/// An object of a [`Pool`](super::Pool), with a value.
///
/// It is a pointer, and derefs to the value. When it is dropped, in whatever thread, the value is
/// dropped and the object goes back to its pool, under the pool's lock.
/// [`Cache::free`](super::Cache::free) does the same without the lock.
///
/// Its functions are associated ones, `Object::into_inner(object)`, so that they are not in the way
/// of the value's.
///
/// ```compile_fail,E0597
/// use mesa_slab::Pool;
///
/// let object;
/// {
///     let pool = Pool::new();
///     object = pool.cache().alloc(7).unwrap();
/// }
/// assert_eq!(*object, 7);
/// ```
pub struct Object<'pool, T> {
    value: NonNull<T>,
    of: PhantomData<(T, &'pool ())>,
}

// SAFETY: it owns its value as a box does, and the pool is all threads'.
unsafe impl<T: Send> Send for Object<'_, T> {}
// SAFETY: it gives what a reference to its value gives.
unsafe impl<T: Sync> Sync for Object<'_, T> {}
// The value does not move with it.
impl<T> Unpin for Object<'_, T> {}

impl<'pool, T> Object<'pool, T> {
    /// An object of memory that has none.
    #[inline]
    pub(super) fn new(slot: NonNull<T>, value: T) -> Object<'pool, T> {
        // SAFETY: it is memory of an object of such a pool, which nobody else has.
        unsafe {
            slot.write(value);
            Object::from_raw(slot)
        }
    }

    /// Frees the object through its pool and returns the value.
    /// [`Cache::take`](super::Cache::take) does the same without the pool's lock.
    pub fn into_inner(object: Object<'pool, T>) -> T {
        let slot = Object::into_raw(object);
        // SAFETY: the object was given up, and has a value, which is moved out of it.
        unsafe {
            let value = slot.read();
            child::free_through_none(slot.as_ptr().cast());
            value
        }
    }

    /// The value's address, for C. Neither the value is dropped nor the object freed, unless
    /// [`Object::from_raw`] makes an object of it again.
    ///
    /// C may free it by `slab_free()`, through any child, if the value needs no drop, or was dropped.
    #[inline]
    pub fn into_raw(object: Object<'pool, T>) -> NonNull<T> {
        ManuallyDrop::new(object).value
    }

    /// The object of an address.
    ///
    /// # Safety
    /// The address is of [`Object::into_raw`], or of `slab_alloc()` from a pool of objects with room
    /// for a `T` and its alignment, that has a value by now. Nothing else uses the value or frees
    /// the object, and the pool is not destroyed within `'pool`.
    #[inline]
    pub unsafe fn from_raw(value: NonNull<T>) -> Object<'pool, T> {
        Object { value, of: PhantomData }
    }

    /// Gives up the object for a reference to its value, which is never dropped.
    #[inline]
    pub fn leak(object: Object<'pool, T>) -> &'pool mut T
    where
        T: 'pool,
    {
        // SAFETY: the value is nobody else's from now on, and its memory stays for at least as long
        // as the pool.
        unsafe { Object::into_raw(object).as_mut() }
    }

    /// Pins the value.
    #[inline]
    pub fn into_pin(object: Object<'pool, T>) -> Pin<Object<'pool, T>> {
        // SAFETY: the value does not move while it is in the object, and its memory is used again
        // only after it was dropped.
        unsafe { Pin::new_unchecked(object) }
    }
}

impl<'pool, T> Object<'pool, MaybeUninit<T>> {
    /// An object without a value, of memory that has none.
    #[inline]
    pub(super) fn uninit(slot: NonNull<T>) -> Object<'pool, MaybeUninit<T>> {
        // SAFETY: it is memory of an object of a pool with room for a `T`, which nobody else has.
        unsafe { Object::from_raw(slot.cast()) }
    }

    /// Moves a value into the object.
    #[inline]
    pub fn write(mut object: Object<'pool, MaybeUninit<T>>, value: T) -> Object<'pool, T> {
        (*object).write(value);
        // SAFETY: it was written just now.
        unsafe { object.assume_init() }
    }

    /// Takes the object's bytes for a value.
    ///
    /// # Safety
    /// They are one.
    #[inline]
    pub unsafe fn assume_init(self) -> Object<'pool, T> {
        // SAFETY: the caller's promise; the object was given up.
        unsafe { Object::from_raw(Object::into_raw(self).cast()) }
    }
}

impl<T> Drop for Object<'_, T> {
    #[inline]
    fn drop(&mut self) {
        /// Frees the memory, also if the value's drop panics.
        struct Slot<T>(NonNull<T>);
        impl<T> Drop for Slot<T> {
            #[inline]
            fn drop(&mut self) {
                // SAFETY: the value is gone; the pool is there, as it is borrowed.
                unsafe { child::free_through_none(self.0.as_ptr().cast()) }
            }
        }
        let slot = Slot(self.value);
        // SAFETY: the object has a value, which nobody uses from now on.
        unsafe { ptr::drop_in_place(slot.0.as_ptr()) }
    }
}

impl<T> Deref for Object<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the value is the object's.
        unsafe { self.value.as_ref() }
    }
}

impl<T> DerefMut for Object<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the value is the object's.
        unsafe { self.value.as_mut() }
    }
}

impl<T> AsRef<T> for Object<'_, T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T> AsMut<T> for Object<'_, T> {
    fn as_mut(&mut self) -> &mut T {
        self
    }
}

impl<T> Borrow<T> for Object<'_, T> {
    fn borrow(&self) -> &T {
        self
    }
}

impl<T> BorrowMut<T> for Object<'_, T> {
    fn borrow_mut(&mut self) -> &mut T {
        self
    }
}

impl<T: fmt::Debug> fmt::Debug for Object<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Object<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> fmt::Pointer for Object<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Pointer::fmt(&self.value, f)
    }
}

impl<T: PartialEq> PartialEq for Object<'_, T> {
    fn eq(&self, other: &Object<'_, T>) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Object<'_, T> {}
