// SPDX-License-Identifier: MIT
//! Objects that are still out when their pool is destroyed, or when the program ends, by where they
//! were allocated.

use super::explain::frames;
use super::ledger::{Ledger, Pages};
use super::object::Kept;
use super::stacks::Stack;
use super::table::State;
use crate::base::geometry::PAGE;
use crate::base::line::Text;
use crate::base::modes::Modes;
use crate::base::pool_id::PoolId;
use crate::heap::HEAP;
use crate::hooks;
use crate::sys::os;
#[cfg(unix)]
use crate::watch::guard;
use crate::watch::report::{self, Report};

/// So many places are listed, those of the most objects.
const PLACES: usize = 10;

/// Adds to a report where the objects of a pool that are out were allocated.
pub(crate) fn places(report: &Report, pool: &PoolId, kept: Kept) {
    let pages = kept.map(Ledger::lock);
    say_places(report, pool, pages.as_deref());
}

/// Reports what is out of pools that are not destroyed. Called when the program ends or the library
/// is unloaded, with other threads perhaps inside: a pool that is in use just then is left out.
pub(crate) fn at_end() {
    Ledger::for_each(|ledger, parent| {
        let Some(pages) = ledger.try_lock() else { return };
        let out = out(&pages) + hooks::guarded(parent).0;
        if pages.modes.has(Modes::LEAKS) && out != 0 {
            let mut pool = PoolId::new(parent, pages.item_size, pages.num_items);
            HEAP.with_state(|state| pool.set_name(state.name(parent)));
            let mut line = Text::empty();
            report::begin(&mut line, "exit", Some(&pool));
            report::objects_out(&mut line, out);
            let report = Report::say(&mut line);
            say_places(&report, &pool, Some(&pages));
            report.end();
        }
    });
}

fn out(pages: &Pages) -> usize {
    let mut out = 0;
    pages.table.for_each(|record| out += usize::from(record.state == State::Out));
    out
}

/// Of guarded objects the stack is always known, of others with `users`. Nothing is said if none
/// is.
fn say_places(report: &Report, pool: &PoolId, pages: Option<&Pages>) {
    let (parent, item_size) = (pool.address, pool.item_size);
    let guarded = hooks::guarded(parent).0;
    let users = pages.is_some_and(|pages| pages.modes.has(Modes::USERS));
    if !users && guarded == 0 {
        return;
    }
    // A count for each word of the stacks' arena; of most of them, no page is ever touched.
    let numbers = Stack::numbers();
    let bytes = (numbers * size_of::<u32>()).next_multiple_of(PAGE);
    let counts: *mut u32 = os::reserve(bytes, PAGE).cast();
    if counts.is_null() {
        return;
    }
    // SAFETY: so many words were reserved, and are zeroed.
    let counts = unsafe { core::slice::from_raw_parts_mut(counts, numbers) };
    let mut count = |stack: usize| {
        if let Some(count) = counts.get_mut(stack) {
            *count += 1;
        }
    };
    #[cfg(unix)]
    guard::live_objects()
        .filter(|object| object.pool.address == parent)
        .for_each(|one| count(one.stack));
    let mut left = guarded;
    if let Some(pages) = pages {
        pages.table.for_each(|record| {
            if users && record.state == State::Out {
                count(record.allocated.stack.number());
            }
        });
        left += out(pages);
    }
    for _ in 0..PLACES {
        let (mut most, mut place) = (0, 0);
        for (number, count) in counts.iter().enumerate() {
            if *count > most {
                (most, place) = (*count, number);
            }
        }
        if most == 0 {
            break;
        }
        counts[place] = 0;
        // Other threads may just now allocate and free.
        left = left.saturating_sub(most as usize);
        say_count(report, most as usize, item_size, " allocated by:");
        frames(Stack::numbered(place), Some(report));
    }
    if left != 0 {
        say_count(report, left, item_size, " allocated elsewhere");
    }
    // SAFETY: the reservation is used no more.
    unsafe { os::release(counts.as_mut_ptr().cast(), bytes) };
}

fn say_count(report: &Report, count: usize, item_size: u32, words: &str) {
    let mut line = Text::empty();
    line.format("  % objects, % bytes,", &[count, count * item_size as usize]).text(words);
    report.line(&mut line);
}
