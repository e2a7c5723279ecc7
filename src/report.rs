//! What is said on misuse, and when a walk over the structures finds one that is broken.
//!
//! One line on stderr, made in a buffer on the stack and written at once: no allocation, no lock and
//! no stdio, so that it can be said from anywhere. The program goes on, and the object in question is
//! left alone.

use crate::line::Line;
use crate::os;
use crate::parent::ParentPool;

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
    let mut line = Line::<400>::EMPTY;
    line.text("mesa-slab: ").text(function).text(": ");
    if let Some(parent) = parent {
        line.text("pool ").bytes(parent.name());
        if !parent.name().is_empty() {
            line.text(" ");
        }
        line.decimal(parent.item_size as usize).text("x").decimal(parent.num_elements as usize);
        line.text(" at ").address((&raw const *parent).addr()).text(": ");
    }
    line.address(address).text(": ").text(words).text("\n");
    os::say(line.as_bytes());
}

/// Ends the process because an invariant of the library does not hold.
pub fn abort() -> ! {
    os::say(b"mesa-slab: broken invariant, aborting\n");
    os::abort()
}
