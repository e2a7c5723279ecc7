// SPDX-License-Identifier: MIT
//! What pools held that are destroyed: the table at the end of the program tells of them too.
//!
//! They are counted by size, hint and name, in a table of [`MOST`] rows, so that a program that
//! creates pools for ever takes no memory for it; further kinds of pools share the last row.
//! Nothing is counted unless SLAB_STATS is set when the library is loaded: other programs pay a
//! test when a pool is destroyed.

use core::cell::UnsafeCell;

use crate::base::layout::{Field, layout, numbers};
use crate::base::pool_id::PoolId;
use crate::pool::numbers::PoolNumbers;
use crate::sys::sync::Locked;
use crate::sys::sync::atomic::{AtomicBool, Ordering::Relaxed};
use crate::sys::sync::masked::MaskedMutex;

/// Rows of the table.
const MOST: usize = 64;

/// What pools of one kind had.
#[derive(Clone, Copy)]
pub(crate) struct Gone {
    /// Size, hint and name; at address 0. All are 0 in a row of several kinds.
    pub(crate) kind: PoolId,
    /// How many there were; 0 in a row without any.
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
    mutex: MaskedMutex,
    rows: UnsafeCell<Rows>,
}

// SAFETY: the rows are only reached with the mutex locked.
unsafe impl Sync for Table {}

struct Rows {
    rows: [Gone; MOST],
}

impl Gone {
    /// A row without any.
    const NONE: Gone = Gone {
        kind: PoolId::new(0, 0, 0),
        pools: 0,
        peak: 0,
        exchanges: 0,
        foreign_frees: 0,
        objects_left: 0,
    };
}

static TABLE: Table = Table {
    mutex: MaskedMutex::unlocked(),
    rows: UnsafeCell::new(Rows { rows: [Gone::NONE; MOST] }),
};

/// For a walker outside of the process.
pub(super) const NUMBERS: &[Field] = numbers!("gone": MOST);
/// The same.
pub(super) const LAYOUT: &[Field] = layout!(
    "gone", Gone: kind.item_size, kind.num_items, kind.name, kind.name_length, pools, peak,
    exchanges, foreign_frees, objects_left
);
/// The same.
pub(super) const TABLE_LAYOUT: &[Field] = layout!("table", Table: rows);
/// Where the table is.
pub(super) const PLACE: *const () = (&raw const TABLE).cast();

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

fn add(rows: &mut [Gone], gone: Gone) {
    let is_place =
        |row: &Gone| row.pools == 0 || row.kind == gone.kind && row.kind.name() == gone.kind.name();
    let place = rows.iter().position(is_place).unwrap_or(rows.len() - 1);
    let before = rows[place];
    rows[place] = match before.pools {
        0 => gone,
        pools => Gone {
            kind: if is_place(&before) { before.kind } else { PoolId::new(0, 0, 0) },
            pools: pools + 1,
            peak: before.peak.max(gone.peak),
            exchanges: before.exchanges + gone.exchanges,
            foreign_frees: before.foreign_frees + gone.foreign_frees,
            objects_left: before.objects_left + gone.objects_left,
        },
    };
}

/// A row of the table; none behind the last one, or while a thread, which may be this one, is just
/// at it.
pub(crate) fn row(number: usize) -> Option<Gone> {
    // SAFETY: the rows are reached through this lock only.
    let table = unsafe { Locked::try_lock(&TABLE.mutex, TABLE.rows.get()) }?;
    table.rows.get(number).copied().filter(|row| row.pools != 0)
}

/// Locks before fork().
///
/// # Safety
/// As for [`MaskedMutex::before_fork`].
#[cfg(unix)]
pub(crate) unsafe fn before_fork() {
    // SAFETY: the caller's promise.
    unsafe { TABLE.mutex.before_fork(|| false) };
}

/// Unlocks behind fork().
///
/// # Safety
/// `before_fork` was called.
#[cfg(unix)]
pub(crate) unsafe fn after_fork(in_new_process: bool) {
    // SAFETY: the caller's promise.
    unsafe { TABLE.mutex.after_fork(in_new_process, |_| ()) };
}

/// Takes the lock from a fork that does not come back.
///
/// # Safety
/// As for [`MaskedMutex::take_from_fork`].
#[cfg(unix)]
pub(crate) unsafe fn take_from_fork() {
    // SAFETY: the caller's promise.
    unsafe { TABLE.mutex.take_from_fork() };
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
        let mut rows = [Gone::NONE; 3];
        add(&mut rows, gone(96, b"a", 10));
        add(&mut rows, gone(96, b"b", 20));
        add(&mut rows, gone(96, b"a", 5));
        let [a, b, none] = rows;
        assert_eq!(none.pools, 0);
        assert_eq!(
            (a.pools, a.peak, a.exchanges, a.foreign_frees, a.objects_left),
            (2, 10, 4, 6, 2)
        );
        assert_eq!((b.pools, b.peak), (1, 20));
        add(&mut rows, gone(32, b"", 7));
        assert_eq!(rows[2].kind.item_size, 32);
        add(&mut rows, gone(64, b"", 9));
        add(&mut rows, gone(32, b"", 1));
        let last = rows[2];
        assert_eq!((last.kind.item_size, last.pools, last.peak), (0, 3, 9));
    }
}
