// SPDX-License-Identifier: MIT
//! Objects of any size: a parent for each class of sizes, and for each user a child for each class
//! that it uses.
//!
//! Parents and children are ordinary ones, made when a class is first used, and lie in blocks of the
//! library's ([`crate::pool::blocks`]). Nothing is kept of an object: the owner word of its page is
//! the address of a parent, and parents lie side by side in the order of their classes, so that the
//! class is a difference of addresses. So any child frees what any other one has allocated.
//!
//! | block | bytes, on 64-bit machines | one for each |
//! |---|---|---|
//! | [`Sizes`] and [`Low`] | 2048 and 2048 | set of sizes |
//! | [`SizesChild`] | 128 | user |
//! | [`Group`] | 256 | eight classes in a row that a user uses |
//!
//! | field | written | read |
//! |---|---|---|
//! | a parent | under the lock of [`super::making`], before the first child of it is made | by who has an object of it, or a child |
//! | a group, and the places of groups | by the child's user, one thread at a time | the same |
//! | all others | when they are made | by all |
//!
//! A group that is not there yet is [`NO_GROUP`], whose children have nothing and take nothing. So
//! fast paths do not ask whether there is one.

use core::ffi::c_void;
use core::ptr;

use super::classes::{self, CLASSES, SMALL};
use super::making::Making;
use super::options::{Name, Options};
use crate::base::address::at;
use crate::base::alignment::Alignment;
use crate::base::zero::zero;
use crate::heap::Home;
use crate::heap::chunk::{GUARDED, LIMBO, owner_if_any, slab_of};
use crate::hooks;
use crate::pool::blocks;
use crate::pool::cache::Cache;
use crate::pool::child::{self, ChildPool};
use crate::pool::parent::ParentPool;
use crate::sys::sync::reads;

/// Bytes from one parent to the next.
const ROOM: usize = if size_of::<ParentPool>() <= 32 { 32 } else { 64 };

/// The place of a parent.
#[repr(C, align(32))]
struct Room(ParentPool);
const _: () = assert!(size_of::<Room>() == ROOM);

/// So many parents are found without a look at the set of sizes: of objects of up to 14 KiB.
const LOW: usize = 64;

/// The first parents. One whose class is not used is zeroed.
#[repr(C)]
struct Low([Room; LOW]);

/// A set of sizes: the other parents, and what all have in common.
#[repr(C)]
pub(crate) struct Sizes {
    high: [Room; CLASSES - LOW],
    low: *mut Low,
    name: Name,
}

/// Children in a group.
const IN_GROUP: usize = 8;
const GROUPS: usize = CLASSES / IN_GROUP;
const _: () = assert!(CLASSES % IN_GROUP == 0);

/// The children of a user for some classes in a row. One whose class is not used is a destroyed one.
#[repr(C)]
struct Group([ChildPool; IN_GROUP]);
// SAFETY: one that threads share is `NO_GROUP`, which nobody writes.
unsafe impl Sync for Group {}

/// A group that is not there: of destroyed children.
static NO_GROUP: Group =
    Group([const { ChildPool { parent: ptr::null(), cache: Cache::of(0) } }; IN_GROUP]);

/// One user's cache of objects of all sizes.
#[repr(C)]
pub(crate) struct SizesChild {
    groups: [*mut Group; GROUPS],
    low: *mut Low,
    sizes: *mut Sizes,
}

/// The class whose parent is at this address, if it is one of a block of so many.
#[inline(always)]
fn class_in<T>(parents: *const T, count: usize, owner: usize) -> Option<usize> {
    let class = owner.wrapping_sub(parents.addr()) / ROOM;
    (class < count).then_some(class)
}

impl Sizes {
    /// Makes a set of sizes. Null if there is no memory.
    pub(crate) fn create(options: &Options<'_>) -> *mut Sizes {
        let home = options.home;
        let (sizes, low) = (blocks::take_in::<Sizes>(home), blocks::take_in::<Low>(home));
        // SAFETY: the blocks are new; zeroes are parents that are destroyed.
        unsafe {
            if sizes.is_null() || low.is_null() {
                if !sizes.is_null() {
                    blocks::give_back(sizes);
                }
                if !low.is_null() {
                    blocks::give_back(low);
                }
                return ptr::null_mut();
            }
            ptr::write_bytes(low, 0, 1);
            ptr::write_bytes(&raw mut (*sizes).high, 0, 1);
            (&raw mut (*sizes).low).write(low);
            (&raw mut (*sizes).name).write(Name::of(options.name));
        }
        sizes
    }

    /// Destroys all parents of a set, and the set. Objects that are out stay valid.
    ///
    /// # Safety
    /// `this` is one, and no other call uses it, its children or its objects.
    pub(crate) unsafe fn destroy(this: *mut Sizes) {
        // SAFETY: the caller's promise.
        unsafe {
            for class in 0..CLASSES {
                ParentPool::destroy(Sizes::parent(this, class));
            }
            blocks::give_back((*this).low);
            blocks::give_back(this);
        }
    }

    /// The place of the parent of a class.
    ///
    /// # Safety
    /// `this` is a set of sizes, and there is such a class.
    unsafe fn parent(this: *mut Sizes, class: usize) -> *mut ParentPool {
        // SAFETY: the caller's promise.
        unsafe {
            if class < LOW {
                (*this).low.cast::<Room>().add(class).cast()
            } else {
                (&raw mut (*this).high).cast::<Room>().add(class - LOW).cast()
            }
        }
    }

    /// The heap that a set is in, as its block is.
    ///
    /// # Safety
    /// `this` is a set of sizes.
    unsafe fn home(this: *mut Sizes) -> Home {
        // SAFETY: the caller's promise.
        unsafe { Home::of(this) }
    }

    /// The parent of a class, made if there is none. Null if there is no memory.
    ///
    /// # Safety
    /// As for [`Sizes::parent`].
    unsafe fn parent_or_new(this: *mut Sizes, class: usize) -> *mut ParentPool {
        // SAFETY: the caller's promise; parents are made under the lock, and hooks called without.
        unsafe {
            let (parent, home) = (Sizes::parent(this, class), Sizes::home(this));
            while !Sizes::make_parent(this, class, parent, home) {
                if !home.more() {
                    return ptr::null_mut();
                }
            }
            parent
        }
    }

    /// Makes the parent of a class, if there is none, with the memory that the heap has. Returns
    /// false if there is none.
    ///
    /// # Safety
    /// As for [`Sizes::parent`]; `parent` is the one of the class, and `home` the heap of the set.
    unsafe fn make_parent(
        this: *mut Sizes,
        class: usize,
        parent: *mut ParentPool,
        home: Home,
    ) -> bool {
        let _making = Making::begin();
        // SAFETY: the caller's promise; the lock is held.
        unsafe {
            if !(*parent).exists() {
                let (item_size, num_items) = (classes::bytes(class), classes::num_items(class));
                if !ParentPool::create_in(parent, home, item_size, num_items, Alignment::NATURAL) {
                    return false;
                }
                let name = (*this).name.text();
                if !name.is_empty() {
                    // Without memory it has no name.
                    (*parent).set_name_once(name);
                }
            }
        }
        true
    }

    /// The class of a parent of this set.
    ///
    /// # Safety
    /// As for [`Sizes::parent`].
    unsafe fn class(this: *mut Sizes, owner: usize) -> Option<usize> {
        // SAFETY: the caller's promise.
        unsafe {
            class_in((*this).low, LOW, owner).or_else(|| {
                class_in(&raw const (*this).high, CLASSES - LOW, owner).map(|class| LOW + class)
            })
        }
    }
}

impl SizesChild {
    /// Makes a child of a set of sizes. Null if there is no memory.
    ///
    /// # Safety
    /// `sizes` is one.
    pub(crate) unsafe fn create(sizes: *mut Sizes) -> *mut SizesChild {
        // SAFETY: the caller's promise.
        let this = blocks::take_in::<SizesChild>(unsafe { Sizes::home(sizes) });
        if !this.is_null() {
            let none = (&raw const NO_GROUP).cast_mut().cast();
            // SAFETY: the block is new; the caller's promise.
            unsafe {
                this.write(SizesChild { groups: [none; GROUPS], low: (*sizes).low, sizes });
            }
        }
        this
    }

    /// Destroys a child: what it caches goes back to the parents.
    ///
    /// # Safety
    /// `this` is one, its set exists, and no other call uses it.
    pub(crate) unsafe fn destroy(this: *mut SizesChild) {
        // SAFETY: the caller's promise; the groups are the child's own.
        unsafe {
            for group in (*this).groups {
                if is_there(group) {
                    for child in 0..IN_GROUP {
                        ChildPool::destroy(group.cast::<ChildPool>().add(child));
                    }
                    blocks::give_back(group);
                }
            }
            blocks::give_back(this);
        }
    }

    /// The child of a class, which may be that of [`NO_GROUP`].
    ///
    /// # Safety
    /// `this` is a child, and there is such a class.
    #[inline(always)]
    unsafe fn child(this: *const SizesChild, class: usize) -> *mut ChildPool {
        // SAFETY: the caller's promise.
        unsafe {
            let group = *(&raw const (*this).groups).cast::<*mut ChildPool>().add(class / IN_GROUP);
            group.add(class % IN_GROUP)
        }
    }

    /// The child of a class, with a parent. Null if there is no memory.
    ///
    /// # Safety
    /// `this` is a child that no other call uses, and there is such a class.
    #[inline(never)]
    unsafe fn child_or_new(this: *mut SizesChild, class: usize) -> *mut ChildPool {
        // SAFETY: the caller's promise.
        unsafe {
            let place = (&raw mut (*this).groups).cast::<*mut Group>().add(class / IN_GROUP);
            if !is_there(*place) {
                let group = blocks::take_in::<Group>(Home::of(this));
                if group.is_null() {
                    return ptr::null_mut();
                }
                group.write(Group(
                    [const { ChildPool { parent: ptr::null(), cache: Cache::of(0) } }; IN_GROUP],
                ));
                *place = group;
            }
            let child = SizesChild::child(this, class);
            if (*child).parent.is_null() {
                let parent = Sizes::parent_or_new((*this).sizes, class);
                if parent.is_null() {
                    return ptr::null_mut();
                }
                ChildPool::create(child, parent);
            }
            child
        }
    }

    /// Allocates an object of at least so many bytes, or returns null.
    ///
    /// # Safety
    /// `this` is a child that no other call uses.
    #[inline(always)]
    pub(crate) unsafe fn alloc(this: *mut SizesChild, bytes: usize) -> *mut c_void {
        if bytes > SMALL {
            // SAFETY: the caller's promise.
            return unsafe { alloc_slow(this, bytes) };
        }
        // SAFETY: the caller's promise; a magazine that is not empty is the child's own.
        unsafe {
            let child = SizesChild::child(this, classes::of_small(bytes));
            if (*child).cache.is_empty() {
                return alloc_slow(this, bytes);
            }
            (*child).cache.pop().cast()
        }
    }

    /// The same, with so many bytes zeroed.
    ///
    /// # Safety
    /// As for [`SizesChild::alloc`].
    #[inline(always)]
    pub(crate) unsafe fn zalloc(this: *mut SizesChild, bytes: usize) -> *mut c_void {
        // SAFETY: the caller's promise; the object has so many bytes.
        unsafe {
            let object = SizesChild::alloc(this, bytes);
            if !object.is_null() {
                zero(object.cast(), bytes);
            }
            object
        }
    }

    /// Frees an object, of this set of sizes or of any other pool.
    ///
    /// # Safety
    /// `this` is a child that no other call uses, and `object` null or an object.
    #[inline(always)]
    pub(crate) unsafe fn free(this: *mut SizesChild, object: *mut c_void) {
        let object = object.cast::<u8>();
        // SAFETY: the caller's promise; an object lies in a chunk. What is pushed is an object of
        // the child's parent, as a child that has room has that one.
        unsafe {
            if !object.is_null() {
                let owner = child::owner_on_free(object);
                if let Some(class) = class_in((*this).low, LOW, owner) {
                    let child = SizesChild::child(this, class);
                    let next = (*child).cache.loaded.next();
                    if !next.is_beyond((*child).cache.mask) {
                        (*child).cache.loaded.push_at(next, object);
                        return;
                    }
                }
            }
            free_slow(this, object);
        }
    }
}

/// Whether there is this group.
fn is_there(group: *mut Group) -> bool {
    group.cast_const().cast() != &raw const NO_GROUP
}

/// Allocates what no magazine of a small class has.
///
/// # Safety
/// As for [`SizesChild::alloc`].
#[cold]
#[inline(never)]
unsafe extern "C" fn alloc_slow(this: *mut SizesChild, bytes: usize) -> *mut c_void {
    let Some(class) = classes::of(bytes) else { return ptr::null_mut() };
    // SAFETY: the caller's promise.
    unsafe {
        let mut child = SizesChild::child(this, class);
        if (*child).parent.is_null() {
            child = SizesChild::child_or_new(this, class);
            if child.is_null() {
                return ptr::null_mut();
            }
        }
        ChildPool::alloc(child)
    }
}

/// Frees what is not pushed onto a magazine of a low class.
///
/// # Safety
/// As for [`SizesChild::free`].
#[cold]
#[inline(never)]
unsafe extern "C" fn free_slow(this: *mut SizesChild, object: *mut u8) {
    if object.is_null() {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe {
        // What is no object of this set comes back through some child of it.
        let class = Sizes::class((*this).sizes, pool_of(object)).unwrap_or(0);
        let mut child = SizesChild::child(this, class);
        if (*child).parent.is_null() {
            child = SizesChild::child_or_new(this, class);
        }
        if child.is_null() {
            child::free_through_none(object);
        } else {
            ChildPool::free(child, object.cast());
        }
    }
}

/// The address of the parent whose object is at an address, or some number that is no parent's.
///
/// # Safety
/// It is an object, or in no chunk.
unsafe fn pool_of(object: *mut u8) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        match owner_if_any(object) {
            GUARDED => hooks::guarded_pool(object),
            owner => owner,
        }
    }
}

/// How many bytes an object has: those of its class. 0 if it is null, or of no pool.
///
/// # Safety
/// It is null, an object, or in no chunk.
pub(crate) unsafe fn size(object: *mut u8) -> usize {
    if object.is_null() {
        return 0;
    }
    // SAFETY: the caller's promise: the object's parent exists, or it is in limbo.
    unsafe {
        let item_size = match pool_of(object) {
            LIMBO => {
                let slab = slab_of(object);
                reads(slab);
                (*slab).item().0
            }
            owner if owner <= GUARDED => return 0,
            owner => (*at::<ParentPool>(owner)).item_size,
        };
        item_size.max(1) as usize
    }
}
