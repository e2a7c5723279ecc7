// SPDX-License-Identifier: MIT
//! What pools held that are destroyed: the table at the end of the program tells of them too.
//!
//! They are counted by size, hint and name, in a table of [`MOST`] rows, so that a program that
//! creates pools for ever takes no memory for it; further kinds of pools share the last row.
//! Nothing is counted unless SLAB_STATS is set when the library is loaded: other programs pay a
//! test when a pool is destroyed.

use core::cell::UnsafeCell;

use crate::base::pool_id::PoolId;
use crate::pool::numbers::PoolNumbers;
use crate::sys::sync::Locked;
use crate::sys::sync::across_fork::ForkMutex;
use crate::sys::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Rows of the table.
const MOST: usize = 64;

/// What pools of one kind had.
#[derive(Clone, Copy)]
pub(crate) struct Gone {
    /// Size, hint and name; at address 0. All are 0 in a row of several kinds.
    pub(crate) kind: PoolId,
    /// How many there were.
    pub(crate) pools: usize,
    /// The most objects of one of them that were out at a time.
    pub(crate) peak: usize,
    /// Exchanges between their children and their depots.
    pub(crate) exchanges: usize,
    /// Objects that came back through no child of theirs.
    pub(crate) foreign_frees: usize,
    /// Objects that were out when they were destroyed.
    pub(crate) objects_left: usize,
}

struct Table {
    mutex: ForkMutex,
    rows: UnsafeCell<Rows>,
}

// SAFETY: the rows are only reached with the mutex locked.
unsafe impl Sync for Table {}

struct Rows {
    rows: [Option<Gone>; MOST],
}

static TABLE: Table =
    Table { mutex: ForkMutex::unlocked(), rows: UnsafeCell::new(Rows { rows: [None; MOST] }) };

// Relaxed: it is set when the library is loaded.
static IS_ON: AtomicBool = AtomicBool::new(false);

/// Counts pools from now on.
pub(crate) fn begin() {
    IS_ON.store(true, Relaxed);
}

/// Whether pools are counted.
#[inline]
pub(crate) fn is_on() -> bool {
    cfg!(feature = "ext") && IS_ON.load(Relaxed)
}

/// Counts a pool that is about to be destroyed. Nothing is locked.
#[cold]
#[inline(never)]
pub(crate) fn count(pool: &PoolId, numbers: &PoolNumbers, left: usize) {
    let mut kind = *pool;
    kind.address = 0;
    let gone = Gone {
        kind,
        pools: 1,
        peak: numbers.peak_objects_out,
        exchanges: numbers.exchanges,
        foreign_frees: numbers.foreign_frees,
        objects_left: left,
    };
    // SAFETY: no thread that is in here calls this, and the rows are reached through this lock
    // only.
    let mut table = unsafe { Locked::lock(&TABLE.mutex, TABLE.rows.get()) };
    add(&mut table.rows, gone);
}

fn add(rows: &mut [Option<Gone>], gone: Gone) {
    let is_place = |row: &Option<Gone>| {
        row.is_none_or(|row| row.kind == gone.kind && row.kind.name() == gone.kind.name())
    };
    let place = rows.iter().position(is_place).unwrap_or(rows.len() - 1);
    rows[place] = Some(match rows[place] {
        None => gone,
        Some(before) => Gone {
            kind: if is_place(&rows[place]) { before.kind } else { PoolId::new(0, 0, 0) },
            pools: before.pools + 1,
            peak: before.peak.max(gone.peak),
            exchanges: before.exchanges + gone.exchanges,
            foreign_frees: before.foreign_frees + gone.foreign_frees,
            objects_left: before.objects_left + gone.objects_left,
        },
    });
}

/// A row of the table; none behind the last one, or while a thread, which may be this one, is just
/// at it.
pub(crate) fn row(number: usize) -> Option<Gone> {
    // SAFETY: the rows are reached through this lock only.
    let table = unsafe { Locked::try_lock(&TABLE.mutex, TABLE.rows.get()) }?;
    table.rows.get(number).copied().flatten()
}

/// Locks before fork(), as [`ForkMutex::before_fork`].
///
/// # Safety
/// [`after_fork`] follows.
#[cfg(unix)]
pub(crate) unsafe fn before_fork() {
    // SAFETY: the caller's promise.
    unsafe { TABLE.mutex.before_fork() };
}

/// Unlocks behind fork().
///
/// # Safety
/// `before_fork` was called.
#[cfg(unix)]
pub(crate) unsafe fn after_fork(in_new_process: bool) {
    // SAFETY: the caller's promise.
    unsafe { TABLE.mutex.after_fork(in_new_process, || ()) };
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn gone(item_size: u32, name: &[u8], peak: usize) -> Gone {
        let mut kind = PoolId::new(0, item_size, 16);
        kind.set_name(name);
        Gone { kind, pools: 1, peak, exchanges: 2, foreign_frees: 3, objects_left: 1 }
    }

    #[test]
    fn pools_of_a_kind_share_a_row_and_kinds_beyond_the_last_row_share_that() {
        let mut rows = [None; 3];
        add(&mut rows, gone(96, b"a", 10));
        add(&mut rows, gone(96, b"b", 20));
        add(&mut rows, gone(96, b"a", 5));
        let [Some(a), Some(b), None] = rows else { panic!() };
        assert_eq!(
            (a.pools, a.peak, a.exchanges, a.foreign_frees, a.objects_left),
            (2, 10, 4, 6, 2)
        );
        assert_eq!((b.pools, b.peak), (1, 20));
        add(&mut rows, gone(32, b"", 7));
        assert_eq!(rows[2].unwrap().kind.item_size, 32);
        add(&mut rows, gone(64, b"", 9));
        add(&mut rows, gone(32, b"", 1));
        let last = rows[2].unwrap();
        assert_eq!((last.kind.item_size, last.pools, last.peak), (0, 3, 9));
    }
}
