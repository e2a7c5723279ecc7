// SPDX-License-Identifier: MIT
//! What is said on misuse, and when a walk over the structures finds one that is broken.
//!
//! One line, made in a buffer on the stack and written to stderr at once, or given to the program's
//! own handler: no allocation, no lock and no stdio, so that it can be said from anywhere.
//! **Nothing is locked where a report is made**: the handler may call the library, fork, or never
//! return, and a reader of stderr that is slow stops the thread that reports, and no other one.
//! What is found with a lock is noted (`notes`), and said behind it. The program goes on, and the
//! object in question is left alone; with `abort` in SLAB_DEBUG the process ends. After the first
//! [`MOST`] reports, further ones are only counted.

use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use crate::base::geometry::rounds;
use crate::base::line::Text;
use crate::base::modes::Modes;
use crate::base::pool_id::PoolId;
use crate::pool::policy::Policy;
use crate::sys::os;
use crate::sys::probe;
use crate::watch::handler;
use crate::watch::options::{Options, WORDS};

/// So many reports are said.
pub(crate) const MOST: u32 = 100;

// Relaxed in all of this file: the count orders nothing.
static COUNT: AtomicU32 = AtomicU32::new(0);
static UNKNOWN_NAMED: AtomicBool = AtomicBool::new(false);
static MOST_SAID: AtomicBool = AtomicBool::new(false);
/// Whether SLAB_DEBUG may be set. Relaxed: whoever does not know looks.
static MAY_BE_SET: AtomicBool = AtomicBool::new(true);

/// The words that are not under a lock: addresses and bytes.
#[cfg(feature = "debug")]
pub(crate) fn atomics() -> [(usize, usize); 4] {
    [
        ((&raw const COUNT).addr(), size_of_val(&COUNT)),
        ((&raw const UNKNOWN_NAMED).addr(), size_of_val(&UNKNOWN_NAMED)),
        ((&raw const MOST_SAID).addr(), size_of_val(&MOST_SAID)),
        ((&raw const MAY_BE_SET).addr(), size_of_val(&MAY_BE_SET)),
    ]
}

/// Says that `function` found something wrong at an address; of a pool, if it is known of which.
#[cold]
#[inline(never)]
pub(crate) fn problem(function: &str, pool: Option<&PoolId>, address: usize, words: &str) {
    let mut line = Text::empty();
    begin(&mut line, function, pool);
    line.format("@: ", &[address]).text(words);
    Report::say(&mut line).end();
}

/// Counts further problems that a call has found, and says how many they are: one report, whose
/// line tells of all.
#[cold]
pub(crate) fn count_more(function: &str, pool: Option<&PoolId>, problems: u32) {
    if cfg!(feature = "ext") {
        COUNT.fetch_add(problems - 1, Relaxed);
        let mut line = Text::empty();
        begin(&mut line, function, pool);
        line.format("% more problems in this call", &[problems as usize]);
        Report::say(&mut line).end();
    }
}

/// Says that a pool with these modes is destroyed while objects of it are out, or children of it
/// are not destroyed, if SLAB_DEBUG asks for it. Some of the objects may be in the magazines of
/// these children, if the pool has no modes. `more` adds to the report.
#[cold]
#[inline(never)]
pub(crate) fn leak(
    pool: &PoolId,
    modes: Modes,
    objects: usize,
    children: u32,
    more: impl FnOnce(&Report),
) {
    if !cfg!(feature = "ext") {
        return;
    }
    if !options(Some(pool)).modes.with(modes).has(Modes::LEAKS) {
        return;
    }
    let mut line = Text::empty();
    begin(&mut line, "slab_destroy_parent", Some(pool));
    let (out, left) = (objects != 0, children != 0);
    let cached = out && left && modes.is_empty();
    if out {
        objects_out(&mut line, objects);
        line.text(if cached { ", some of them cached by " } else { "" });
    }
    if cached || !out {
        children_left(&mut line, children as usize, cached);
    }
    let report = Report::say(&mut line);
    more(&report);
    if left && !modes.is_empty() {
        would_keep(&report, pool, out.then_some(children as usize));
    }
    report.end();
}

/// Adds how many children are not destroyed, or "that are" if a sentence is about what they do.
pub(crate) fn children_left(line: &mut Text, children: usize, that: bool) {
    let words = match (children, that) {
        (1, true) => "% child that is not destroyed",
        (1, false) => "% child is not destroyed",
        (_, true) => "% children that are not destroyed",
        (_, false) => "% children are not destroyed",
    };
    line.format(words, &[children]);
}

/// Adds to a report how many children are not destroyed, if it does not say so yet, and what such a
/// child would cost without modes, with which it caches nothing.
pub(crate) fn would_keep(report: &Report, pool: &PoolId, children: Option<usize>) {
    let mut line = Text::empty();
    if let Some(children) = children {
        children_left(line.text("  "), children, false);
        report.line(&mut line);
    }
    let ordinary = pool.geometry();
    let objects = 2 * rounds(Policy::new(&ordinary, true).largest_mask());
    let mut line = Text::empty();
    line.format(
        "  a child caches up to % objects, % bytes, which are lost with it",
        &[objects, objects.saturating_mul(ordinary.stride as usize)],
    );
    report.line(&mut line);
}

/// Says that a pool is created over one of which so many children are not destroyed.
#[cold]
#[inline(never)]
#[cfg(feature = "debug")]
pub(crate) fn created_over(pool: &PoolId, children: usize) {
    let mut line = Text::empty();
    begin(&mut line, "slab_create_parent", Some(pool));
    line.text("created over a pool of which ");
    children_left(&mut line, children, false);
    let report = Report::say(&mut line);
    would_keep(&report, pool, None);
    report.end();
}

/// The beginning of the first line of each report.
pub(crate) fn begin(line: &mut Text, function: &str, pool: Option<&PoolId>) {
    line.text("mesa-slab: ").text(function).text(": ");
    if let Some(pool) = pool {
        pool.write(line);
    }
}

/// Adds how many objects are out.
pub(crate) fn objects_out(line: &mut Text, objects: usize) {
    let words = if objects == 1 { "% object is still out" } else { "% objects are still out" };
    line.format(words, &[objects]);
}

/// A report whose first line is said. Further lines belong to it, and with `abort` the process ends
/// behind the last one.
#[must_use]
pub(crate) struct Report {
    before: u32,
}

impl Report {
    /// Says the first line.
    #[inline(never)]
    pub(crate) fn say(line: &mut Text) -> Report {
        let report = Report { before: COUNT.fetch_add(1, Relaxed) };
        let text = line.as_bytes();
        probe::misuse(text.as_ptr().addr(), text.len(), report.before);
        report.line(line);
        report
    }

    /// Says a further line.
    pub(crate) fn line(&self, line: &mut Text) {
        if self.before >= MOST {
            // Said already, or too much.
        } else if let Some((handler, data)) = handler::get() {
            // SAFETY: the program set them for this, and the line ends with a 0.
            unsafe { handler(data, line.as_c_string().as_ptr().cast()) }
        } else {
            os::say(line.text("\n").as_bytes());
        }
    }

    /// Ends it.
    pub(crate) fn end(self) {
        if self.before >= MOST && !MOST_SAID.swap(true, Relaxed) {
            os::say(b"mesa-slab: further reports are only counted\n");
        }
        if options(None).abort {
            os::abort();
        }
    }
}

/// What SLAB_DEBUG says of a pool, or of the program; the first unknown word is named, once. If it
/// is not set when it is first looked for, it is not looked for again, but in a forked child.
pub(crate) fn options(pool: Option<&PoolId>) -> Options<'static> {
    if !MAY_BE_SET.load(Relaxed) {
        return Options::default();
    }
    let Some(words) = os::variable(c"SLAB_DEBUG").map(CStr::to_bytes) else {
        MAY_BE_SET.store(false, Relaxed);
        return Options::default();
    };
    if !cfg!(feature = "ext") {
        return Options::parse_abort(words);
    }
    let options = Options::parse(words, pool);
    if let Some(word) = options.unknown.filter(|_| !UNKNOWN_NAMED.swap(true, Relaxed)) {
        let mut line = Text::empty();
        line.text("mesa-slab: SLAB_DEBUG: unknown word ").bytes(word).text("; known:");
        os::say(line.text(WORDS).text("\n").as_bytes());
    }
    options
}

/// Looks for SLAB_DEBUG again when it is next asked what it says.
pub(crate) fn look_again() {
    MAY_BE_SET.store(true, Relaxed);
}

/// Says that a file of the library's cannot be created.
#[cold]
#[inline(never)]
pub(crate) fn cannot_write(what: &str, path: &[u8]) {
    let mut line = Text::empty();
    line.text("mesa-slab: cannot write ").text(what).text(" to ").bytes(path).text("\n");
    os::say(line.as_bytes());
}

/// How many reports there were, said or not.
pub(crate) fn count() -> u32 {
    COUNT.load(Relaxed)
}

/// Says how many reports there were if not all were said.
pub(crate) fn say_count() {
    let count = count();
    if count > MOST {
        let mut line = Text::empty();
        line.format("mesa-slab: % reports in all\n", &[count as usize]);
        os::say(line.as_bytes());
    }
}
