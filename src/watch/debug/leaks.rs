// SPDX-License-Identifier: MIT
//! Objects that are still out when their pool is destroyed, or when the program ends, by where they
//! were allocated; and children that are not destroyed then.

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
    let found = Found::of(pool.address, kept.map(Ledger::lock).as_deref());
    found.say(report, pool.item_size);
}

/// Reports what is out of pools that are not destroyed. Called when the program ends or the library
/// is unloaded, with other threads perhaps inside: a pool that is in use just then is left out.
pub(crate) fn at_end() {
    Ledger::for_each(|ledger, parent| {
        let Some(pages) = ledger.try_lock() else { return };
        let mut pool = PoolId::new(parent, pages.item_size, pages.num_items);
        let is_asked = pages.modes.has(Modes::LEAKS);
        let found = Found::of(parent, Some(&pages));
        drop(pages);
        let children = HEAP.children(parent);
        if is_asked && (found.out != 0 || children != 0) {
            HEAP.with_name(parent, |name| pool.set_name(name));
            let mut line = Text::empty();
            report::begin(&mut line, "exit", Some(&pool));
            if found.out != 0 {
                report::objects_out(&mut line, found.out);
            } else {
                report::children_left(&mut line, children, false);
            }
            let report = Report::say(&mut line);
            found.say(&report, pool.item_size);
            if children != 0 {
                report::would_keep(&report, &pool, (found.out != 0).then_some(children));
            }
            report.end();
        }
    });
}

/// What is out of a pool: counted with its ledger locked, and said without.
struct Found {
    /// Objects in all.
    out: usize,
    /// The places of the most objects: the numbers of their stacks, and how many objects.
    places: [(usize, u32); PLACES],
    /// Whether any place can be known. Of guarded objects the stack always is, of others with
    /// `users`.
    any_known: bool,
}

impl Found {
    /// Counts. Without memory for that, all objects are from elsewhere.
    fn of(parent: usize, pages: Option<&Pages>) -> Found {
        let guarded = hooks::guarded(parent).0;
        let users = pages.is_some_and(|pages| pages.modes.has(Modes::USERS));
        let mut found = Found {
            out: guarded + pages.map_or(0, out),
            places: [(0, 0); PLACES],
            any_known: users || guarded != 0,
        };
        if found.any_known {
            found.count(parent, pages.filter(|_| users));
        }
        found
    }

    #[cfg_attr(not(unix), allow(unused_variables, reason = "there are no guarded objects"))]
    fn count(&mut self, parent: usize, pages: Option<&Pages>) {
        // A count for each word of the stacks' arena; of most of them, no page is ever touched.
        let numbers = Stack::numbers();
        let bytes = (numbers * size_of::<u32>()).next_multiple_of(PAGE);
        let counts: *mut u32 = os::reserve(bytes, PAGE).cast();
        if counts.is_null() {
            self.any_known = false;
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
        if let Some(pages) = pages {
            pages.table.for_each(|record| {
                if record.state == State::Out {
                    count(record.allocated.stack.number());
                }
            });
        }
        for place in &mut self.places {
            let (mut most, mut stack) = (0, 0);
            for (number, count) in counts.iter().enumerate() {
                if *count > most {
                    (most, stack) = (*count, number);
                }
            }
            *place = (stack, core::mem::take(&mut counts[stack]));
            if most == 0 {
                break;
            }
        }
        // SAFETY: the reservation is used no more.
        unsafe { os::release(counts.as_mut_ptr().cast(), bytes) };
    }

    /// Says it, unless nothing is known of places.
    fn say(&self, report: &Report, item_size: u32) {
        if !self.any_known {
            return;
        }
        let mut left = self.out;
        for (stack, count) in self.places.iter().take_while(|(_, count)| *count != 0) {
            // Other threads may have allocated and freed while it was counted.
            left = left.saturating_sub(*count as usize);
            say_count(report, *count as usize, item_size, " allocated by:");
            frames(Stack::numbered(*stack), Some(report));
        }
        if left != 0 {
            say_count(report, left, item_size, " allocated elsewhere");
        }
    }
}

fn out(pages: &Pages) -> usize {
    let mut out = 0;
    pages.table.for_each(|record| out += usize::from(record.state == State::Out));
    out
}

fn say_count(report: &Report, count: usize, item_size: u32, words: &str) {
    let mut line = Text::empty();
    line.format("  % objects, % bytes,", &[count, count * item_size as usize]).text(words);
    report.line(&mut line);
}
