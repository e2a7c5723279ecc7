//! What is said on misuse, and when a walk over the structures finds one that is broken.
//!
//! One line, made in a buffer on the stack and written to stderr at once, or given to the program's own
//! handler: no allocation, no lock and no stdio, so that it can be said from anywhere. The program goes on, and
//! the object in question is left alone; with `abort` in SLAB_DEBUG the process ends. After the first
//! [`MOST`] reports, further ones are only counted.

use core::ffi::{c_char, c_void};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering::Relaxed};

use crate::line::Line;
use crate::options::{Options, WORDS};
use crate::os;
use crate::parent::ParentPool;

/// So many reports are said.
pub const MOST: u32 = 100;

// Relaxed in all of this file: the count orders nothing, and a handler is set before there is something to
// report, or in an order that the program sees to.
static COUNT: AtomicU32 = AtomicU32::new(0);
static UNKNOWN_NAMED: AtomicBool = AtomicBool::new(false);

/// A function of the program's that is given reports.
pub type Handler = unsafe extern "C" fn(data: *mut c_void, report: *const c_char);

static HANDLER: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
static HANDLER_DATA: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Gives reports to `handler` from now on, or says them on stderr if there is none.
pub fn set_handler(handler: Option<Handler>, data: *mut c_void) {
    let handler = handler.map_or(ptr::null_mut(), |handler| handler as *mut c_void);
    HANDLER.store(ptr::null_mut(), Relaxed);
    HANDLER_DATA.store(data, Relaxed);
    HANDLER.store(handler, Relaxed);
}

/// What is wrong with an address that was freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// It is free already.
    DoubleFree,
    /// It is in no slab, or in a slab but not where an object starts.
    NotAnObject,
}

impl Misuse {
    fn words(self) -> &'static str {
        match self {
            Misuse::DoubleFree => "double free",
            Misuse::NotAnObject => "not an object of a pool",
        }
    }
}

/// Says that `function` met a misused address. `parent` is the pool whose object it is or would be, if
/// there is one.
#[cold]
pub fn misuse(function: &str, parent: Option<&ParentPool>, address: *const u8, misuse: Misuse) {
    problem(function, parent, address.addr(), misuse.words());
}

/// Says that `function` found something wrong at an address.
#[cold]
#[inline(never)]
pub fn problem(function: &str, parent: Option<&ParentPool>, address: usize, words: &str) {
    let mut line = begin(function, parent);
    line.address(address).text(": ").text(words);
    deliver(&mut line);
}

/// Says that a pool is destroyed while objects of it are out, if SLAB_DEBUG asks for it. Some may be in the
/// magazines of children that are not destroyed.
#[cold]
#[inline(never)]
pub fn leak(parent: &ParentPool, objects: usize, children: u32) {
    if !options().leaks {
        return;
    }
    let mut line = begin("slab_destroy_parent", Some(parent));
    line.decimal(objects).text(if objects == 1 { " object is" } else { " objects are" });
    line.text(" still out");
    if children != 0 {
        line.text(", some of them cached by ").decimal(children as usize);
        line.text(if children == 1 { " child that is" } else { " children that are" });
        line.text(" not destroyed");
    }
    deliver(&mut line);
}

fn begin(function: &str, parent: Option<&ParentPool>) -> Line<400> {
    let mut line = Line::EMPTY;
    line.text("mesa-slab: ").text(function).text(": ");
    if let Some(parent) = parent {
        line.text("pool ").bytes(parent.name());
        if !parent.name().is_empty() {
            line.text(" ");
        }
        line.decimal(parent.item_size as usize).text("x").decimal(parent.num_elements as usize);
        line.text(" at ").address((&raw const *parent).addr()).text(": ");
    }
    line
}

fn deliver(line: &mut Line<400>) {
    let before = COUNT.fetch_add(1, Relaxed);
    let handler = HANDLER.load(Relaxed);
    if before >= MOST {
        // Said already, or too much.
    } else if handler.is_null() {
        os::say(line.text("\n").as_bytes());
    } else {
        // SAFETY: `set_handler` stored a handler. The line ends with a 0, as it has room for one: a report is
        // shorter than the buffer.
        unsafe {
            let handler: Handler = core::mem::transmute(handler);
            let line = line.bytes(&[0]).as_bytes().as_ptr();
            handler(HANDLER_DATA.load(Relaxed), line.cast());
        }
    }
    if before == MOST {
        os::say(b"mesa-slab: further reports are only counted\n");
    }
    if options().abort {
        os::abort();
    }
}

/// What SLAB_DEBUG says. Read anew each time, as it is rarely asked; the first unknown word is named, once.
fn options() -> Options {
    let words = os::variable(c"SLAB_DEBUG").map_or(&[][..], |words| words.to_bytes());
    Options::parse(words, |word| {
        if !UNKNOWN_NAMED.swap(true, Relaxed) {
            let mut line = Line::<400>::EMPTY;
            line.text("mesa-slab: SLAB_DEBUG: unknown word ").bytes(word).text("; known: ");
            os::say(line.text(WORDS).text("\n").as_bytes());
        }
    })
}

/// Says how many reports there were if not all were said.
pub fn say_count() {
    let count = COUNT.load(Relaxed);
    if count > MOST {
        let mut line = Line::<400>::EMPTY;
        line.text("mesa-slab: ").decimal(count as usize).text(" reports in all\n");
        os::say(line.as_bytes());
    }
}

/// Ends the process because an invariant of the library does not hold.
pub fn abort() -> ! {
    os::say(b"mesa-slab: broken invariant, aborting\n");
    os::abort()
}
