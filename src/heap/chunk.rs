// SPDX-License-Identifier: MIT
//! Chunks: aligned reservations of address space, with all metadata in their first pages.
//!
//! From the address of any object, masking finds the chunk, and the page number finds in it
//! - the *owner word*: the address of the parent pool, or one of the constants below;
//! - the slot: which slab descriptor describes the page.
//!
//! Both are written for the pages that are looked up. If the objects are of several pages, those
//! are the one that an object starts on and the one behind it; all others are as if they were in no
//! slab.
//!
//! A large object has a reservation of its own, whose header has the same form; the object starts
//! right behind the header, in the first [`CHUNK`] bytes, so that masking its address works as
//! well.
//!
//! Ownership:
//!
//! | field | written under | read |
//! |---|---|---|
//! | `owners` | heap's lock, when a slab is made, freed, or goes to limbo; by who has a kit, when it is left or claimed | by all, relaxed |
//! | `slots` | heap's lock, when a slab is made | by who has an object of the slab, or its owner's lock |
//! | `next`, `previous`, `list`, `slots_used`, `slots_written`, `absent`, `purging`, `steps`, `idle`, `has_stale`, `buddy` | heap's lock | the same |
//! | `bytes`, `large`, `home`, `terms` | before the chunk is shared | by all |
//! | `slabs`, `fresh` | the lock of each slab's owner | the same |
//!
//! So there is never a reference to a whole chunk, only to its parts.
//!
//! The header is written sparsely: a descriptor is used only if all lower ones are taken, so that
//! the header takes up memory in proportion to what the chunk holds; and what of it has none in use
//! any more is given back ([`super::descriptors`]).
//!
//! **Fresh objects.** Of a slab of objects that no child caches it is noted from which object on none
//! was handed out since the system gave the pages, or purged them: these read as zeroes, and nobody
//! need zero them again. So a slab begins if no page of its run is dirty, the memory is the system's,
//! and each purge in the chunk is known to have left zeroes.

use core::mem::{offset_of, size_of};
use core::ptr;

use crate::base::address::{chunk_of, page_of};
use crate::base::config::HARDENED;
use crate::base::geometry::{
    CHUNK, Geometry, HEADER_PAGES, LARGE, MAX_ORDER, MOST_CACHED, PAGE, PAGE_SHIFT, PAGES,
};
use crate::base::layout::{Field, layout, numbers};
use crate::heap::buddy::Buddy;
#[cfg(feature = "ext")]
use crate::heap::descriptors::{Descriptors, Pages, pages};
use crate::heap::locked::HeapLocked;
use crate::heap::registry;
use crate::heap::slab::Slab;
use crate::hooks;
use crate::sys::expect::expect;
use crate::sys::os;
use crate::sys::probe;
use crate::sys::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use crate::sys::sync::{reads, renew, writes};

/// The owner word of a page that is in no slab.
pub(crate) const FREE: usize = 0;
/// The owner word of a slab whose parent is gone.
pub(crate) const LIMBO: usize = 1;
/// The owner word of a slab of magazine blocks.
pub(crate) const MAGAZINES: usize = 2;
/// The owner word of the slab of a kit that the heap keeps for the next child of a pool of such
/// objects.
pub(crate) const PARKED: usize = 3;
/// The owner word of the pages of guarded objects, whose chunks are not the heap's
/// ([`crate::watch::guard`]).
pub(crate) const GUARDED: usize = 4;

/// The least distance of objects at which not every page of their slab is looked up.
const SPARSE: usize = 4 * PAGE;

/// As many slabs as there are pages behind the header.
const SLOTS: usize = PAGES - HEADER_PAGES;

/// Where the descriptors of slabs lie.
#[cfg(feature = "ext")]
const DESCRIPTORS: Descriptors =
    Descriptors { offset: offset_of!(Chunk, slabs), bytes: size_of::<Slab>() };

/// In place of the first object that is fresh: there is none.
const NONE_FRESH: u8 = u8::MAX;
const _: () = assert!((PAGE << MAX_ORDER) / MOST_CACHED < NONE_FRESH as usize);

/// The header of a chunk. All zeroes is a chunk without slabs and without free runs.
#[repr(C)]
pub(crate) struct Chunk {
    owners: [AtomicUsize; PAGES],
    slots: [u16; PAGES],
    /// The next chunk of the heap's list.
    pub(crate) next: *mut Chunk,
    /// The previous chunk of the heap's list.
    pub(crate) previous: *mut Chunk,
    /// Which of the heap's lists the chunk is on.
    pub(crate) list: u8,
    /// Whether it was reserved for one large object.
    pub(crate) large: bool,
    /// Pages that are taken out to be purged.
    pub(crate) purging: u16,
    /// How many threads are just committing pages of it.
    pub(crate) steps: u16,
    /// How many slab descriptors have been in use at some time.
    slots_written: u16,
    /// Bytes of the reservation.
    pub(crate) bytes: usize,
    /// Which pages of the header have no memory, though descriptors lie on them that were in use.
    #[cfg(feature = "ext")]
    absent: Pages,
    /// What of it is free, if it was reserved for a large object.
    pub(super) idle: Idle,
    /// Whether pages that count as clean may not read as zeroes.
    pub(super) has_stale: bool,
    /// The heap that it belongs to ([`super::home`]).
    #[cfg(feature = "ext")]
    pub(super) home: *const (),
    /// What that may do with it.
    #[cfg(feature = "ext")]
    pub(super) terms: Terms,
    /// Bit `n` is set if slab descriptor `n` is in use.
    slots_used: [u64; SLOTS.div_ceil(64)],
    /// From which object on the slabs' are fresh; of meaning if they are uncached.
    fresh: [u8; SLOTS],
    /// The free page runs.
    pub(crate) buddy: Buddy,
    slabs: [Slab; SLOTS],
}

/// What of a large object's chunk is free: nothing while it has one, else all behind the header
/// (`super::large`).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Idle {
    /// Free pages.
    pub(super) pages: u32,
    /// How many of them are dirty: the last ones.
    pub(super) dirty: u32,
    /// Since when they are.
    pub(super) since: u32,
}

/// What a heap may do with a chunk. All zeroes is a chunk of the system's memory.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Terms {
    /// It stays with the heap until that is destroyed.
    pub(super) is_fixed: bool,
    /// What is free of it is as good as without memory: nobody is told of it.
    pub(super) is_resident: bool,
}

/// For a walker outside of the process.
#[cfg(feature = "ext")]
pub(crate) const LAYOUT: &[Field] = layout!(
    "chunk", Chunk: owners, slots, next, list, large, purging, slots_written, bytes, idle.pages,
    idle.dirty, absent, home, slots_used, buddy, slabs
);
/// The same; nobody reads it in a build without it.
#[cfg(not(feature = "ext"))]
pub(crate) const LAYOUT: &[Field] = &[];
/// The same: constant owner words.
pub(crate) const NUMBERS: &[Field] = numbers!("owner": FREE, LIMBO, MAGAZINES, PARKED, GUARDED);

/// Where in every kind of chunk the owner words are.
#[allow(dead_code, reason = "rustc 1.85 does not count what only assertions use")]
pub(crate) const OWNERS_AT: usize = offset_of!(Chunk, owners);

const HEADER: usize = HEADER_PAGES * PAGE;
const _: () = assert!(size_of::<Chunk>() <= HEADER - if HARDENED { HEADER / 2 } else { 0 });

/// The owner word of the page that an address lies in.
///
/// # Safety
/// The address is in a chunk.
#[inline(always)]
pub(crate) unsafe fn owner_of(object: *mut u8) -> usize {
    // SAFETY: the caller's promise. Relaxed: while its holder has an object, the word changes only
    // when the parent is destroyed, which the caller orders with the use of its objects.
    unsafe { (&(*chunk_of::<Chunk>(object)).owners)[page_of(object)].load(Relaxed) }
}

/// The same for any address: [`FREE`] if it is in no chunk.
///
/// # Safety
/// If it is in a chunk, that is not released meanwhile, as while an object of it is out.
#[inline(never)]
pub(crate) unsafe fn owner_if_any(address: *mut u8) -> usize {
    // SAFETY: the caller's promise.
    if registry::has(address.addr()) { unsafe { owner_of(address) } } else { FREE }
}

/// The descriptor of the slab that an address lies in.
///
/// # Safety
/// The address is in a page whose owner word is not [`FREE`].
#[inline(never)]
pub(crate) unsafe fn slab_of(object: *mut u8) -> *mut Slab {
    let chunk = chunk_of::<Chunk>(object);
    // SAFETY: the caller's promise: the slot was written when the slab was made.
    unsafe {
        let slot = &raw const (*chunk).slots[page_of(object)];
        reads(slot);
        let slot = *slot as usize;
        (&raw mut (*chunk).slabs).cast::<Slab>().add(slot)
    }
}

/// Has what [`owner_if_any`] and [`slab_of`] will read for an address fetched, which may be any.
#[inline(always)]
pub(crate) fn expect_owner(address: *mut u8) {
    let (chunk, page) = (chunk_of::<Chunk>(address), page_of(address));
    expect(chunk.wrapping_byte_add(offset_of!(Chunk, owners) + page * size_of::<AtomicUsize>()));
    expect(chunk.wrapping_byte_add(offset_of!(Chunk, slots) + page * size_of::<u16>()));
}

/// Has the descriptor of the slab fetched that an address lies in, if that is this owner's.
///
/// # Safety
/// As for [`owner_if_any`], for any address.
#[inline(always)]
pub(crate) unsafe fn expect_slab(address: *mut u8, owner: usize) {
    // SAFETY: the caller's promise; a page with an owner's address has a slab.
    unsafe {
        if owner_if_any(address) == owner {
            let slab = slab_of(address);
            expect(slab);
            expect(slab.wrapping_byte_add(size_of::<Slab>() - 1));
        }
    }
}

impl Chunk {
    /// Reserves a chunk whose pages behind the header are all free, and commits those below page
    /// `end`. Null if there is no memory.
    pub(crate) fn reserve(end: usize, huge_pages: bool) -> *mut Chunk {
        let chunk = Chunk::map(CHUNK, end * PAGE, false, huge_pages);
        if !chunk.is_null() {
            // SAFETY: a new reservation is zeroed, and nobody else knows it.
            unsafe {
                (*chunk).buddy.seed();
                (*chunk).buddy.commit(end);
            }
        }
        chunk
    }

    /// Bytes of a chunk with room for one large object from a page on; none if there are no so many.
    pub(super) fn large_bytes(page: usize, object_bytes: usize) -> Option<usize> {
        // The system's pages may be larger than the header.
        let rest = os::page_size().max(PAGE) - 1;
        Some(object_bytes.checked_add(page * PAGE)?.checked_add(rest)? & !rest)
    }

    /// Reserves a chunk of so many bytes for one large object. Null if there is no memory.
    pub(super) fn reserve_large(bytes: usize, huge_pages: bool) -> *mut Chunk {
        Chunk::map(bytes, bytes, true, huge_pages)
    }

    /// Free pages of a chunk, and how many of them are dirty.
    ///
    /// # Safety
    /// The chunk exists, and the heap's lock is held.
    pub(super) unsafe fn free_and_dirty(chunk: *mut Chunk) -> (usize, usize) {
        // SAFETY: the caller's promise.
        unsafe {
            if (*chunk).large {
                ((*chunk).idle.pages as usize, (*chunk).idle.dirty as usize)
            } else {
                ((*chunk).buddy.free_pages(), (*chunk).buddy.dirty_pages())
            }
        }
    }

    fn map(bytes: usize, committed: usize, large: bool, huge_pages: bool) -> *mut Chunk {
        let chunk: *mut Chunk = reserve_guarded(bytes, committed).cast();
        probe::chunk_reserve(chunk.addr(), bytes, committed);
        if !chunk.is_null() {
            renew(chunk, bytes);
            // Here and once: see `base::address`.
            chunk.expose_provenance();
            // SAFETY: a new reservation is writable, and nobody else knows it.
            unsafe {
                if !registry::add(chunk.addr()) {
                    probe::chunk_release(chunk.addr(), bytes);
                    release_guarded(chunk.cast(), bytes);
                    return ptr::null_mut();
                }
                if !huge_pages {
                    os::without_huge_pages(chunk.cast(), bytes);
                }
                (*chunk).bytes = bytes;
                (*chunk).large = large;
                hooks::chunk_reserved(chunk.cast(), bytes);
            }
        }
        chunk
    }

    /// Makes a chunk of memory that the program gives, from an address that is aligned to a chunk's
    /// size on, of any content. All of it behind the header is free.
    ///
    /// # Safety
    /// So many bytes there are writable, and nobody else uses them. They are whole steps, more than
    /// the header, or the chunk is for a large object. The registry has room for the address.
    #[cfg(feature = "ext")]
    pub(super) unsafe fn lend(
        chunk: *mut Chunk,
        bytes: usize,
        large: bool,
        home: *const (),
        terms: Terms,
        _lock: HeapLocked<'_>,
    ) {
        renew(chunk, bytes);
        // SAFETY: the caller's promise. Descriptors of slabs are written when they are used.
        unsafe {
            ptr::write_bytes(chunk.cast::<u8>(), 0, offset_of!(Chunk, slabs));
            (*chunk).bytes = bytes;
            (*chunk).large = large;
            (*chunk).home = home;
            (*chunk).terms = terms;
            if !large {
                (*chunk).buddy.seed_part(bytes / PAGE);
            }
            registry::add(chunk.addr());
        }
    }

    /// What the heap of a chunk may do with it.
    ///
    /// # Safety
    /// The chunk exists.
    #[inline(always)]
    pub(super) unsafe fn terms(_chunk: *mut Chunk) -> Terms {
        #[cfg(feature = "ext")]
        // SAFETY: the caller's promise.
        return unsafe { (*_chunk).terms };
        #[cfg(not(feature = "ext"))]
        Terms { is_fixed: false, is_resident: false }
    }

    /// Has the registry forget a chunk that is to be released, so that who looks an address up
    /// under the heap's lock does not find it any more.
    pub(super) fn forget(chunk: *mut Chunk, _lock: HeapLocked<'_>) {
        registry::remove(chunk.addr());
    }

    /// Gives a chunk back to the system.
    ///
    /// # Safety
    /// It has no slabs, is on no list, and is forgotten.
    pub(crate) unsafe fn release(chunk: *mut Chunk) {
        // SAFETY: the caller's promise.
        unsafe {
            let bytes = (*chunk).bytes;
            probe::chunk_release(chunk.addr(), bytes);
            hooks::chunk_released(chunk.cast(), bytes);
            renew(chunk, bytes);
            release_guarded(chunk.cast(), bytes);
        }
    }

    /// Makes a slab of the run that starts at `page`, whose pages read as zeroes if `is_fresh`.
    ///
    /// # Safety
    /// The run is one of the chunk's, handed out and not in use (or, if the geometry is large, the
    /// chunk was reserved for it and `page` is the first behind the header).
    pub(crate) unsafe fn open(
        chunk: *mut Chunk,
        page: usize,
        geometry: &Geometry,
        owner: usize,
        is_fresh: bool,
        _lock: HeapLocked<'_>,
    ) -> *mut Slab {
        // SAFETY: the caller's promise; a free descriptor exists because there are as many as
        // pages.
        unsafe {
            writes(chunk);
            let slots = &mut (*chunk).slots_used;
            let word = slots.iter().position(|word| *word != !0).unwrap_or(0);
            let slot = word * 64 + slots[word].trailing_ones() as usize;
            slots[word] |= 1 << (slot % 64);
            (*chunk).slots_written = (*chunk).slots_written.max(slot as u16 + 1);
            #[cfg(feature = "ext")]
            {
                (*chunk).absent &= !DESCRIPTORS.pages_of(slot);
            }

            let slab = (&raw mut (*chunk).slabs).cast::<Slab>().add(slot);
            Slab::init(slab, page, geometry);
            if geometry.is_uncached() {
                (*chunk).fresh[slot] = if is_fresh { 0 } else { NONE_FRESH };
            }
            Chunk::for_each_page(slab, |page| {
                // No reference to the table: others read their slabs' entries meanwhile.
                let place = &raw mut (*chunk).slots[page];
                writes(place);
                *place = slot as u16;
                // Relaxed: as in `set_owner`.
                (&(*chunk).owners)[page].store(owner, Relaxed);
            });
            probe::slab_create(owner, (*slab).base().addr(), (*slab).bytes());
            slab
        }
    }

    /// Notes that an object is handed out, and returns whether it reads as zeroes.
    ///
    /// # Safety
    /// It lies in a slab of uncached objects, whose owner's lock is held.
    pub(crate) unsafe fn hand_out(object: *mut u8) -> bool {
        // SAFETY: the caller's promise; who has the lock may write the slab's place.
        unsafe {
            let chunk = chunk_of::<Chunk>(object);
            let slot = (&raw const (*chunk).slots[page_of(object)]).read() as usize;
            let slab = &*(&raw const (*chunk).slabs).cast::<Slab>().add(slot);
            let index = (object.addr() - slab.base().addr()) as u32 / slab.stride();
            let first = (&raw mut (*chunk).fresh).cast::<u8>().add(slot);
            writes(first);
            let is_fresh = index >= u32::from(*first);
            if is_fresh {
                *first = index as u8 + 1;
            }
            is_fresh
        }
    }

    /// Forgets a slab. Its run is to be freed, or its chunk released.
    ///
    /// # Safety
    /// The slab is in use, and on no list.
    pub(crate) unsafe fn close(slab: *mut Slab, lock: HeapLocked<'_>) {
        // SAFETY: the caller's promise.
        unsafe {
            let base = (*slab).base();
            probe::slab_destroy(owner_of(base), base.addr(), (*slab).bytes());
            Chunk::set_owner(slab, FREE, lock);
            hooks::slab_gone(base, (*slab).bytes());
            let chunk = chunk_of::<Chunk>(slab.cast());
            writes(chunk);
            let slot = Chunk::slot_of(chunk, slab);
            (&mut (*chunk).slots_used)[slot / 64] &= !(1 << (slot % 64));
        }
    }

    /// Gives back pages of the header with descriptors on them of which none is in use, in so many calls
    /// of the system at most. Returns how many it took. The lock is held meanwhile, so that nobody begins to
    /// use a descriptor on them.
    ///
    /// # Safety
    /// The chunk exists, and its memory is the system's.
    #[cfg(feature = "ext")]
    pub(super) unsafe fn give_back_descriptors(
        chunk: *mut Chunk,
        most: usize,
        _lock: HeapLocked<'_>,
    ) -> usize {
        let step = os::page_size().max(PAGE) / PAGE;
        let (mut calls, mut from) = (0, 0);
        // SAFETY: the caller's promise. On the pages are descriptors that are not in use.
        unsafe {
            let written = (*chunk).slots_written as usize;
            while calls < most {
                let (used, absent) = (&(*chunk).slots_used, (*chunk).absent);
                let Some(idle) = DESCRIPTORS.idle(used, written, absent, step, from) else { break };
                from = idle.end;
                let start = chunk.cast::<u8>().add(idle.start * PAGE);
                writes(chunk);
                os::purge(start, idle.len() * PAGE);
                (*chunk).absent |= pages(idle);
                calls += 1;
            }
        }
        calls
    }

    /// Changes the owner word of the pages of a slab.
    ///
    /// # Safety
    /// The slab is in use, or about to be.
    pub(crate) unsafe fn set_owner(slab: *mut Slab, owner: usize, _lock: HeapLocked<'_>) {
        // SAFETY: the slab's pages are in its chunk. Relaxed: whoever reads the word has an object
        // of the slab, and got it through a lock or from someone who did.
        unsafe {
            writes(chunk_of::<Chunk>(slab.cast()));
            Chunk::write_owner(slab, owner);
        }
    }

    /// The same of the slab of a kit, which one thread has ([`crate::heap::kit`]), without the heap's
    /// lock. Who has that may find the old word and the new one in the pages of the slab.
    ///
    /// # Safety
    /// This thread has it.
    pub(super) unsafe fn set_owner_of_kit(slab: *mut Slab, owner: usize) {
        // SAFETY: the caller's promise; a slab that somebody has is in use.
        unsafe { Chunk::write_owner(slab, owner) }
    }

    /// # Safety
    /// As for [`Chunk::set_owner`].
    #[inline(never)]
    unsafe fn write_owner(slab: *mut Slab, owner: usize) {
        // SAFETY: the caller's promise. Relaxed: see `set_owner`.
        unsafe {
            let chunk = chunk_of::<Chunk>(slab.cast());
            Chunk::for_each_page(slab, |page| (&(*chunk).owners)[page].store(owner, Relaxed));
        }
    }

    /// Calls `each` with the pages of a slab that are looked up; see the head of this file.
    ///
    /// # Safety
    /// The slab is in use, or about to be.
    unsafe fn for_each_page(slab: *mut Slab, mut each: impl FnMut(usize)) {
        // SAFETY: the caller's promise; only what is constant is read.
        let (first, stride, capacity, order) = unsafe {
            let slab = &*slab;
            (slab.first_page(), slab.stride() as usize, slab.capacity() as usize, slab.order())
        };
        // So many ranges of so many pages: two for each object if they are sparse, else all of the
        // slab's.
        let (ranges, pages) = if order == LARGE {
            (1, 2)
        } else if stride < SPARSE {
            (1, 1 << order)
        } else {
            (capacity, 2)
        };
        for range in 0..ranges {
            let start = first + ((range * stride) >> PAGE_SHIFT);
            for page in start..start + pages {
                each(page);
            }
        }
    }

    /// The slab behind another one of the chunk, or the first one behind null; null behind the last
    /// one.
    ///
    /// # Safety
    /// The chunk exists, and the slab is one of its.
    pub(crate) unsafe fn slab_behind(
        chunk: *mut Chunk,
        slab: *mut Slab,
        lock: HeapLocked<'_>,
    ) -> *mut Slab {
        // SAFETY: the caller's promise.
        unsafe {
            let slot = if slab.is_null() { 0 } else { Chunk::slot_of(chunk, slab) + 1 };
            Chunk::slab_from(chunk, slot, lock)
        }
    }

    /// Which descriptor of the chunk that of a slab is.
    ///
    /// # Safety
    /// The slab is one of the chunk's.
    pub(super) unsafe fn slot_of(chunk: *mut Chunk, slab: *mut Slab) -> usize {
        // SAFETY: the caller's promise.
        unsafe { slab.offset_from((&raw mut (*chunk).slabs).cast::<Slab>()) as usize }
    }

    /// Whether a chunk is one of guarded objects, which has nothing of this but owner words.
    ///
    /// # Safety
    /// The chunk exists.
    pub(super) unsafe fn is_guarded(chunk: *mut Chunk) -> bool {
        // SAFETY: the caller's promise. Relaxed: it says so before the registry knows the chunk.
        unsafe { (&(*chunk).owners)[PAGES - 1].load(Relaxed) == GUARDED }
    }

    /// The first slab whose descriptor is this one or behind it; null if there is none.
    ///
    /// # Safety
    /// The chunk exists.
    #[cfg_attr(feature = "ext", inline(never))]
    pub(super) unsafe fn slab_from(
        chunk: *mut Chunk,
        mut slot: usize,
        _lock: HeapLocked<'_>,
    ) -> *mut Slab {
        // SAFETY: the caller's promise; a descriptor in use is one of the chunk's.
        unsafe {
            let slabs = (&raw mut (*chunk).slabs).cast::<Slab>();
            let words = &(*chunk).slots_used;
            while let Some(word) = words.get(slot / 64) {
                let used = word >> (slot % 64);
                if used != 0 {
                    return slabs.add(slot + used.trailing_zeros() as usize);
                }
                slot = (slot / 64 + 1) * 64;
            }
        }
        ptr::null_mut()
    }
}

/// A chunk that is on a list of the heap's, and stays there, as the heap's lock is held for `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Listed<'a> {
    chunk: *mut Chunk,
    lock: HeapLocked<'a>,
}

impl<'a> Listed<'a> {
    /// # Safety
    /// It is on one of the lists that belong to the lock, which stay as they are for `'a`.
    pub(crate) unsafe fn new(chunk: *mut Chunk, lock: HeapLocked<'a>) -> Listed<'a> {
        Listed { chunk, lock }
    }

    /// Bytes of the reservation.
    pub(crate) fn bytes(self) -> usize {
        // SAFETY: the chunk is there.
        unsafe { (*self.chunk).bytes }
    }

    /// Whether the chunk was reserved for one large object.
    pub(crate) fn is_large(self) -> bool {
        // SAFETY: the chunk is there.
        unsafe { (*self.chunk).large }
    }

    /// Free pages, and how many of them are dirty.
    pub(super) fn free_and_dirty(self) -> (usize, usize) {
        // SAFETY: the chunk is there.
        unsafe { Chunk::free_and_dirty(self.chunk) }
    }

    /// Whether it is kept for the next large object.
    pub(super) fn is_idle(self) -> bool {
        // SAFETY: the chunk is there.
        unsafe { (*self.chunk).idle.pages != 0 }
    }

    /// Whether it stays with its heap.
    pub(super) fn is_fixed(self) -> bool {
        // SAFETY: the chunk is there.
        unsafe { Chunk::terms(self.chunk) }.is_fixed
    }

    /// How many pages it has, if it is for no large object: a fixed one may end before the others.
    pub(super) fn pages(self) -> usize {
        if self.is_fixed() { self.bytes() / PAGE } else { PAGES }
    }

    /// The chunk.
    #[cfg(feature = "ext")]
    pub(super) fn place(self) -> *mut Chunk {
        self.chunk
    }

    /// The free page runs.
    pub(crate) fn buddy(self) -> &'a Buddy {
        // SAFETY: the chunk is there, and nobody changes the runs meanwhile.
        unsafe { &(*self.chunk).buddy }
    }

    /// Bytes of the header that have memory, in whole pages.
    pub(crate) fn metadata_bytes(self) -> usize {
        // SAFETY: the chunk is there.
        let written = unsafe { (*self.chunk).slots_written } as usize;
        let end = (offset_of!(Chunk, slabs) + written * size_of::<Slab>()).div_ceil(PAGE);
        #[cfg(feature = "ext")]
        // SAFETY: the same.
        let end = end - unsafe { (*self.chunk).absent & pages(0..end) }.count_ones() as usize;
        end * PAGE
    }

    /// Checks the metadata, and calls `problem` with an address and what does not hold there: each
    /// page is in one slab, whose owner word and slot it has, or free. Returns how many are in slabs
    /// of uncached objects.
    pub(crate) fn validate(self, problem: &mut dyn FnMut(usize, &'static str)) -> usize {
        let (chunk, lock) = (self.chunk, self.lock);
        // SAFETY: the chunk is there; of slabs, only that is read which their owners do not write.
        unsafe {
            let (mut slabs, mut slab_pages, mut looked_up, mut uncached) = (0, 0, 0, 0);
            let mut slab = Chunk::slab_behind(chunk, ptr::null_mut(), lock);
            while !slab.is_null() {
                slabs += 1;
                let first = (*slab).first_page();
                let owner = (&(*chunk).owners)[first].load(Relaxed);
                let pages = (*slab).bytes() / PAGE;
                slab_pages += pages;
                uncached += if (*slab).is_uncached() { pages } else { 0 };
                Chunk::for_each_page(slab, |page| {
                    looked_up += 1;
                    let address = chunk.cast::<u8>().wrapping_add(page * PAGE);
                    let here = owner_of(address);
                    // A kit may be left or claimed meanwhile.
                    let differs = here != owner && here != PARKED && owner != PARKED;
                    if owner == FREE || here == FREE || differs || slab_of(address) != slab {
                        problem(address.addr(), "a page does not lead to its slab");
                    }
                });
                if first < HEADER_PAGES || (*slab).first_page() != first {
                    problem(slab.addr(), "a slab is out of place");
                }
                slab = Chunk::slab_behind(chunk, slab, lock);
            }
            let owned = (*chunk).owners.iter().filter(|owner| owner.load(Relaxed) != FREE).count();
            if owned != looked_up {
                problem(chunk.addr(), "a page has an owner and is in no slab");
            }
            if (*chunk).large {
                let (free, dirty) = self.free_and_dirty();
                if slabs != usize::from(!self.is_idle()) {
                    problem(chunk.addr(), "a large object's chunk has not one slab");
                }
                if dirty > free || self.is_idle() && free != (*chunk).bytes / PAGE - HEADER_PAGES {
                    problem(chunk.addr(), "a kept chunk's pages are miscounted");
                }
                return uncached;
            }
            self.buddy().validate(chunk.addr(), self.is_fixed(), problem);
            let free_pages = self.buddy().free_pages() + (*chunk).purging as usize;
            if slab_pages + free_pages != self.pages() - HEADER_PAGES {
                problem(chunk.addr(), "a page is neither in a slab nor free");
            }
            uncached
        }
    }
}

/// Bytes of a page that cannot be accessed.
fn guard_bytes() -> usize {
    os::page_size()
}

/// Reserves a chunk of which so many bytes can be accessed. In the hardened build, a page behind
/// its header and one behind the chunk cannot be.
fn reserve_guarded(bytes: usize, committed: usize) -> *mut u8 {
    let Some(whole) = guarded_bytes(bytes) else { return ptr::null_mut() };
    let in_steps = committed < bytes;
    let start = if in_steps { os::reserve_space(whole, CHUNK) } else { os::reserve(whole, CHUNK) };
    if start.is_null() {
        return start;
    }
    // SAFETY: what is committed or protected are whole pages of the new reservation.
    let ready = unsafe {
        if !in_steps {
            protect_guards(start, whole)
        } else if HARDENED {
            // The header is in the first half of its pages.
            os::commit(start, HEADER / 2) && os::commit(start.add(HEADER), committed - HEADER)
        } else {
            os::commit(start, committed)
        }
    };
    if ready {
        return start;
    }
    // SAFETY: nothing refers to the new reservation.
    unsafe { os::release(start, whole) };
    ptr::null_mut()
}

/// Bytes of the reservation of a chunk of so many, with the page behind it.
fn guarded_bytes(bytes: usize) -> Option<usize> {
    if !HARDENED {
        return Some(bytes);
    }
    let guard = guard_bytes();
    bytes.checked_next_multiple_of(guard)?.checked_add(guard)
}

/// Protects the pages that cannot be accessed, and returns whether it could.
///
/// # Safety
/// It is the reservation of a chunk.
unsafe fn protect_guards(_start: *mut u8, _whole: usize) -> bool {
    #[cfg(not(feature = "hardened"))]
    return true;
    #[cfg(feature = "hardened")]
    // SAFETY: both are pages of the reservation.
    unsafe {
        let guard = guard_bytes();
        let protect = |at| os::protect(_start.add(at), guard, os::Access::None);
        protect(HEADER - guard) && protect(_whole - guard)
    }
}

/// Gives back what [`reserve_guarded`] reserved.
///
/// # Safety
/// It did, and nothing refers to it.
unsafe fn release_guarded(start: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if HARDENED {
            let guard = guard_bytes();
            os::release(start, bytes.next_multiple_of(guard) + guard);
        } else {
            os::release(start, bytes);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use core::ops::Deref;
    use std::alloc::{Layout, alloc_zeroed, dealloc};

    use super::*;
    use crate::heap::{HEAP, State};

    /// The memory of a chunk, from Rust's own allocator and not from the system, so that whoever
    /// has Miri can run tests that use it. Nothing in it is free.
    pub(crate) struct Memory(*mut Chunk);

    impl Memory {
        const LAYOUT: Layout = match Layout::from_size_align(CHUNK, CHUNK) {
            Ok(layout) => layout,
            Err(_) => panic!("no layout"),
        };

        pub(crate) fn new() -> Memory {
            // SAFETY: the layout has bytes.
            let chunk: *mut Chunk = unsafe { alloc_zeroed(Memory::LAYOUT) }.cast();
            assert!(!chunk.is_null() && registry::add(chunk.addr()));
            chunk.expose_provenance();
            Memory(chunk)
        }
    }

    impl Deref for Memory {
        type Target = *mut Chunk;
        fn deref(&self) -> &*mut Chunk {
            &self.0
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            HEAP.with_state(|state| Chunk::forget(self.0, state.locked()));
            // SAFETY: it was allocated so, and nobody uses it any more.
            unsafe { dealloc(self.0.cast(), Memory::LAYOUT) }
        }
    }

    #[test]
    fn a_slab_is_used_under_its_owners_lock_while_others_look_at_what_is_constant() {
        const PARENT: usize = 0x1000;
        let chunk = Memory::new();
        let state = State::EMPTY;
        let geometry = Geometry::new(96, 64);
        // SAFETY: the chunk is the test's alone, and the run in no use.
        unsafe {
            (**chunk).buddy.seed();
            (**chunk).buddy.commit(PAGES);
            let page = (**chunk).buddy.alloc(geometry.order).unwrap();
            let slab = Chunk::open(*chunk, page, &geometry, PARENT, false, state.locked());
            // Whoever has the heap's lock has one, and the pool's another, meanwhile.
            let (heaps, pools) = (&*slab, &*slab_of((*slab).base()));
            assert!(core::ptr::eq(heaps, pools));
            let mut rounds = [ptr::null_mut(); 85];
            assert_eq!(pools.take(&mut rounds), 85);
            for &object in &rounds {
                // The caller knows of its object no more than this.
                let object = &mut *object.cast::<[u8; 96]>();
                object.fill(0xab);
                assert_eq!(owner_of(object.as_mut_ptr()), PARENT);
                assert!(core::ptr::eq(slab_of(object.as_mut_ptr()), slab));
                assert_eq!((heaps.item(), heaps.stride(), heaps.used()), ((96, 64), 96, 85));
            }
            assert_eq!(pools.put(&rounds), (0, Ok(())));
            let listed = Listed::new(*chunk, state.locked());
            let mut problems = 0;
            listed.validate(&mut |_, _| problems += 1);
            assert_eq!((problems, heaps.used()), (0, 0));
            Chunk::close(slab, state.locked());
            (**chunk).buddy.free(page, geometry.order, 0);
            assert!((**chunk).buddy.is_whole());
        }
    }
}
