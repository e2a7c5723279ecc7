// SPDX-License-Identifier: MIT
//! Moving objects out of sparse slabs, so that these run empty and go to the heap.
//!
//! Callers hold the addresses of their objects, so that they move them, one at a time, in a function
//! that is called with nothing locked. Meanwhile the slabs that are to run empty are *aside*: nothing
//! is allocated from them ([`super::partial`]). How many they are, and which, is for
//! [`super::policy`] to say: those that have the fewest objects, as many as the others have room for.
//!
//! An object that was moved goes straight into its slab, not into a child's magazine, where it would
//! be out still.

use core::ptr;

use super::body::Pool;
use super::parent::ParentPool;
use crate::heap::slab::{Out, Slab};
use crate::hooks;

impl Pool {
    /// Whether children of the pool cache objects, which is reported: those cannot be told from objects
    /// that callers have.
    pub(crate) fn reports_caches(&self, function: &'static str) -> bool {
        let body = self.lock();
        if body.caches() == 0 {
            return false;
        }
        let id = self.id(&body);
        drop(body);
        hooks::report(function, Some(&id), id.address, "children cache objects: trim them first");
        true
    }
}

impl ParentPool {
    /// Calls `is_moved` with each object in a sparse slab, and frees it if that returns true. Returns by
    /// how many bytes of slabs the pool has fewer then: 0 if children cache objects, which is reported.
    ///
    /// # Safety
    /// No other call uses the pool, its children or its objects meanwhile, but `is_moved`, which frees
    /// none of them.
    pub(crate) unsafe fn shrink(
        &self,
        function: &'static str,
        mut is_moved: impl FnMut(*mut u8) -> bool,
    ) -> usize {
        let Some(pool) = self.pool() else { return 0 };
        if pool.reports_caches(function) {
            return 0;
        }
        let before = pool.lock().slabs.count();
        let mut last = ptr::null_mut();
        let mut is_first = true;
        while let Some((slab, objects)) = self.next_aside(function, is_first, last) {
            for object in objects {
                if is_moved(object) {
                    // SAFETY: the caller's promise: the object is its slab's again.
                    unsafe { self.free_moved(function, object) }
                }
            }
            (last, is_first) = (slab, false);
        }
        let body = pool.lock();
        let fewer = before.saturating_sub(body.slabs.count());
        fewer as usize * body.geometry.slab_bytes()
    }

    /// The first slab that is aside, and the objects that are out of it. Slabs are put aside first, or
    /// the last one is filed again, if it did not run empty. None if there are no more; then the pool
    /// keeps no spare one either.
    fn next_aside(
        &self,
        function: &'static str,
        is_first: bool,
        last: *mut Slab,
    ) -> Option<(*mut Slab, Out)> {
        self.visit(function, |visit| {
            // SAFETY: no object is used that is not out.
            unsafe { hooks::let_all_go(visit) };
            let records = hooks::records(visit.body.kept);
            let slabs = &mut visit.body.slabs;
            if is_first {
                slabs.put_sparse_aside();
            } else if slabs.aside() == last {
                slabs.file_first_aside();
            }
            let slab = slabs.aside();
            if slab.is_null() {
                slabs.drop_spare(&mut visit.surplus);
                return None;
            }
            // SAFETY: the slab is this pool's, whose lock is held.
            let slab_of_pool = unsafe { &*slab };
            let is_waiting = |slot| hooks::is_waiting(&records, slot);
            Some((slab, slab_of_pool.out(slab_of_pool.lead()).without(is_waiting)))
        })?
    }

    /// Frees an object that was moved.
    ///
    /// # Safety
    /// It is one of this pool's, and nobody uses it.
    unsafe fn free_moved(&self, function: &'static str, object: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe {
            if !hooks::instead_of_owner(function, self, ptr::null_mut(), object) {
                self.visit(function, |visit| visit.put(&[object]));
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::ffi::c_void;
    use core::mem::MaybeUninit;

    use super::*;
    use crate::pool::child::ChildPool;

    /// Calls `test` with a pool, a child of it that caches nothing, and the objects that are out: those of so
    /// many slabs that `stays` says by their place and how many a slab has, in the order of addresses.
    fn with_sparse(
        slabs: usize,
        stays: impl Fn(usize, usize) -> bool,
        test: impl FnOnce(&ParentPool, *mut ChildPool, &[*mut c_void]),
    ) {
        let mut parent = MaybeUninit::<ParentPool>::uninit();
        let mut child = MaybeUninit::<ChildPool>::uninit();
        // SAFETY: the pool, its child and its objects are the test's alone.
        unsafe {
            ParentPool::create(parent.as_mut_ptr(), 96, 64);
            let (parent, child) = (&*parent.as_ptr(), child.as_mut_ptr());
            ChildPool::create(child, parent);
            let per_slab = parent.numbers().objects_per_slab;
            let mut objects: Vec<*mut c_void> =
                (0..slabs * per_slab).map(|_| ChildPool::alloc(child)).collect();
            objects.sort();
            let (kept, freed): (Vec<_>, Vec<_>) =
                objects.into_iter().enumerate().partition(|(place, _)| stays(*place, per_slab));
            freed.into_iter().for_each(|(_, object)| ChildPool::free(child, object));
            ChildPool::trim(child);
            let kept: Vec<_> = kept.into_iter().map(|(_, object)| object).collect();
            test(parent, child, &kept);
            ChildPool::destroy(child);
            ParentPool::destroy(ptr::from_ref(parent).cast_mut());
        }
    }

    #[test]
    fn slabs_whose_objects_stay_are_asked_for_once_and_used_again() {
        with_sparse(
            10,
            |place, _| place % 10 == 0,
            |parent, child, kept| {
                let before = parent.numbers();
                for _ in 0..2 {
                    let mut asked = Vec::new();
                    // SAFETY: the pool, its child and its objects are the test's alone.
                    unsafe {
                        parent.shrink("test", |object| {
                            asked.push(object);
                            assert!(asked.len() <= kept.len(), "each once");
                            false
                        });
                    }
                    assert!(!asked.is_empty());
                }
                // SAFETY: as above.
                unsafe {
                    let new: Vec<_> =
                        (0..4 * kept.len()).map(|_| ChildPool::alloc(child)).collect();
                    // A magazine may take some more.
                    let slabs = parent.numbers().slabs();
                    assert!(slabs <= before.slabs() + 1, "there is room in those it has");
                    new.iter().chain(kept).for_each(|object| ChildPool::free(child, *object));
                }
            },
        );
    }

    #[test]
    fn objects_of_sparse_slabs_are_moved_each_once_and_those_of_others_stay() {
        // Five slabs stay full, the others have one in ten.
        let stays = |place, per_slab| place / per_slab % 4 == 0 || place % 10 == 0;
        // SAFETY: the pool, its child and its objects are the test's alone.
        with_sparse(20, stays, |parent, child, kept| unsafe {
            let before = parent.numbers();
            assert_eq!((before.slabs_full, before.slabs_partial), (5, 15));

            let mut moved = Vec::new();
            let mut new = Vec::new();
            let bytes = parent.shrink("test", |object| {
                moved.push(object.cast::<c_void>());
                new.push(ChildPool::alloc(child));
                true
            });
            moved.sort();
            assert!(moved.is_sorted_by(|a, b| a < b), "each once");
            assert!(moved.iter().all(|object| kept.contains(object)));
            assert!(new.iter().all(|object| !object.is_null() && !moved.contains(object)));
            ChildPool::trim(child);
            let after = parent.numbers();
            assert_eq!(after.objects_out, kept.len());
            assert_eq!(bytes % after.slab_bytes, 0);
            // Five full ones, and two for the objects of the others; a magazine may take one more.
            assert!(after.slabs() <= 8 && bytes >= 12 * after.slab_bytes, "{}", after.slabs());
            assert_eq!(parent.shrink("test", |_| unreachable!("nothing is sparse")), 0);

            let stay = kept.iter().filter(|kept| !moved.contains(kept));
            stay.chain(&new).for_each(|object| ChildPool::free(child, *object));
        });
    }
}
