// SPDX-License-Identifier: MIT
//! Text in a buffer of fixed size on the stack, for whoever may neither allocate nor lock.

use core::mem::MaybeUninit;

/// Some text; what does not fit is cut. The first `length` bytes are written.
pub(crate) struct Line<const BYTES: usize> {
    text: [MaybeUninit<u8>; BYTES],
    length: usize,
}

/// As long as any that the library writes.
pub(crate) type Text = Line<1024>;

impl<const BYTES: usize> Line<BYTES> {
    /// No text.
    pub(crate) fn empty() -> Self {
        Line { text: [const { MaybeUninit::uninit() }; BYTES], length: 0 }
    }

    /// The text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        // SAFETY: so many bytes are written, see the struct.
        unsafe { core::slice::from_raw_parts(self.text.as_ptr().cast(), self.length) }
    }

    /// Forgets the text.
    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    /// Forgets what is behind the first bytes.
    pub(crate) fn cut(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// The text with a 0 behind it, in place of its last byte if it fills the buffer.
    pub(crate) fn as_c_string(&mut self) -> &[u8] {
        self.length = self.length.min(BYTES - 1);
        self.bytes(&[0]).as_bytes()
    }

    /// Adds text.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds bytes.
    #[inline(never)]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let room = self.text.get_mut(self.length..).unwrap_or_default();
        let count = bytes.len().min(room.len());
        for (place, byte) in room.iter_mut().zip(bytes) {
            place.write(*byte);
        }
        self.length += count;
        self
    }

    /// Adds text in which each `%` is replaced by the next of the numbers, in decimal, and each `@`
    /// by one as an address.
    #[inline(never)]
    pub(crate) fn format(&mut self, text: &str, numbers: &[usize]) -> &mut Self {
        let mut numbers = numbers.iter();
        let mut rest = text.as_bytes();
        while let Some(mark) = rest.iter().position(|byte| matches!(byte, b'%' | b'@')) {
            let (before, behind) = rest.split_at(mark);
            let number = numbers.next().copied().unwrap_or(0);
            if !before.is_empty() {
                self.bytes(before);
            }
            match behind[0] {
                b'%' => self.number(number, 10, 0),
                _ => self.address(number),
            };
            rest = &behind[1..];
        }
        self.bytes(rest)
    }

    /// Adds a decimal number.
    pub(crate) fn decimal(&mut self, number: usize) -> &mut Self {
        self.right(number, 0)
    }

    /// Adds a decimal number, with spaces before it if it has fewer digits than `width`.
    pub(crate) fn right(&mut self, number: usize, width: usize) -> &mut Self {
        self.number(number, 10, width)
    }

    /// Adds an address.
    pub(crate) fn address(&mut self, address: usize) -> &mut Self {
        self.text("0x").hexadecimal(address)
    }

    /// Adds a hexadecimal number.
    pub(crate) fn hexadecimal(&mut self, number: usize) -> &mut Self {
        self.number(number, 16, 0)
    }

    #[inline(never)]
    fn number(&mut self, mut number: usize, base: usize, width: usize) -> &mut Self {
        let mut digits = [b' '; 24];
        let mut first = digits.len();
        for digit in digits.iter_mut().rev() {
            first -= 1;
            *digit = b"0123456789abcdef"[number % base % 16];
            number /= base;
            if number == 0 {
                break;
            }
        }
        first = first.min(digits.len().saturating_sub(width));
        self.bytes(&digits[first..])
    }

    /// Adds spaces up to a column.
    pub(crate) fn column(&mut self, column: usize) -> &mut Self {
        while self.length < column.min(BYTES) {
            self.bytes(b" ");
        }
        self
    }

    /// Adds a path with the number of the process for each `%p` in it. Returns false if it is
    /// empty, or too long for a 0 behind it.
    pub(crate) fn path(&mut self, pattern: &[u8], process: usize) -> bool {
        let mut rest = pattern;
        while let Some((&byte, behind)) = rest.split_first() {
            if rest.starts_with(b"%p") {
                self.decimal(process);
                rest = &behind[1..];
            } else {
                self.bytes(&[byte]);
                rest = behind;
            }
        }
        !pattern.is_empty() && self.length < BYTES
    }

    /// Adds a JSON string.
    pub(crate) fn json(&mut self, text: &[u8]) -> &mut Self {
        self.text("\"");
        for &byte in text {
            match byte {
                b'"' | b'\\' => self.bytes(&[b'\\', byte]),
                0..=31 => {
                    let digits = if byte < 16 { "\\u000" } else { "\\u00" };
                    self.text(digits).hexadecimal(byte.into())
                }
                _ => self.bytes(&[byte]),
            };
        }
        self.text("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_text_numbers_and_addresses() {
        let mut line = Line::<100>::empty();
        line.text("pool ").decimal(0).text("x").decimal(4294967295).text(" at ").address(0xdead0);
        assert_eq!(line.as_bytes(), b"pool 0x4294967295 at 0xdead0");
        line.clear();
        line.text("a").column(3).right(42, 5).right(123456, 5);
        assert_eq!(line.as_bytes(), b"a     42123456");
    }

    #[test]
    fn numbers_take_their_places_in_a_text() {
        let mut line = Line::<100>::empty();
        line.format("% of %x% at @, %%", &[1, 96, 64, 0xdead0, 4, 2]);
        assert_eq!(line.as_bytes(), b"1 of 96x64 at 0xdead0, 42");
    }

    #[test]
    fn a_line_that_is_too_long_is_cut() {
        let mut line = Line::<7>::empty();
        line.text("01234").decimal(56789).column(100);
        assert_eq!(line.as_bytes(), b"0123456");
        assert_eq!(line.as_c_string(), b"012345\0");
    }

    #[test]
    fn the_number_of_the_process_takes_the_place_of_each_percent_p() {
        let expanded = |pattern: &str| {
            let mut path = Line::<20>::empty();
            let fits = path.path(pattern.as_bytes(), 42);
            fits.then(|| path.as_bytes().to_vec())
        };
        assert_eq!(expanded("a.%p-%p").unwrap(), b"a.42-42");
        assert_eq!(expanded("100%").unwrap(), b"100%");
        assert_eq!(expanded(""), None);
        assert_eq!(expanded("1234567890123456789").unwrap().len(), 19);
        assert_eq!(expanded("12345678901234567890"), None, "no room for a 0");
    }

    #[test]
    fn json_strings_are_escaped() {
        let mut line = Line::<100>::empty();
        line.json(b"a\"b\\c\nd");
        assert_eq!(line.as_bytes(), br#""a\"b\\c\u000ad""#);
    }
}
