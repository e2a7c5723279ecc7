//! What is said on misuse.
//!
//! One line on stderr, made in a buffer on the stack and written at once: no allocation, no lock and
//! no stdio, so that it can be said from anywhere. The program goes on, and the object in question is
//! left alone.

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
    let mut line = Line::new();
    line.text("mesa-slab: ").text(function).text(": ");
    if let Some(parent) = parent {
        line.text("pool ").decimal(parent.item_size).text("x").decimal(parent.num_elements);
        line.text(" at ").address((&raw const *parent).addr()).text(": ");
    }
    line.address(address.addr()).text(": ").text(misuse.words());
    line.say();
}

/// Ends the process because an invariant of the library does not hold.
pub fn abort() -> ! {
    os::say(b"mesa-slab: broken invariant, aborting\n");
    os::abort()
}

/// A line of text in a buffer of fixed size; what does not fit is cut.
struct Line {
    text: [u8; 240],
    length: usize,
}

impl Line {
    fn new() -> Line {
        Line { text: [0; 240], length: 0 }
    }

    fn text(&mut self, text: &str) -> &mut Line {
        self.bytes(text.as_bytes())
    }

    #[inline(never)]
    fn bytes(&mut self, bytes: &[u8]) -> &mut Line {
        // One byte is left for the end of the line.
        for &byte in bytes {
            if self.length < self.text.len() - 1 {
                self.text[self.length] = byte;
                self.length += 1;
            }
        }
        self
    }

    fn decimal(&mut self, number: u32) -> &mut Line {
        self.number(number as usize, 10)
    }

    fn address(&mut self, address: usize) -> &mut Line {
        self.text("0x").number(address, 16)
    }

    #[inline(never)]
    fn number(&mut self, mut number: usize, base: usize) -> &mut Line {
        let mut digits = [0u8; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b"0123456789abcdef"[number % base];
            number /= base;
            if number == 0 {
                break;
            }
        }
        self.bytes(&digits[first..])
    }

    fn say(&mut self) {
        self.text[self.length] = b'\n';
        os::say(&self.text[..=self.length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_text_numbers_and_addresses() {
        let mut line = Line::new();
        line.text("pool ").decimal(0).text("x").decimal(u32::MAX).text(" at ").address(0xdead0);
        assert_eq!(&line.text[..line.length], b"pool 0x4294967295 at 0xdead0");
    }

    #[test]
    fn a_line_that_is_too_long_is_cut() {
        let mut line = Line::new();
        for _ in 0..100 {
            line.text("0123456789");
        }
        assert_eq!(line.length, line.text.len() - 1);
    }
}
