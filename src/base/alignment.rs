// SPDX-License-Identifier: MIT
//! What objects are aligned to: by their size, or more if that was asked for.

/// An alignment that was asked for, if it is more than every object has: log2 of a sixteenth of it,
/// plus 1. It fits into four bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Alignment(u8);

/// log2 of the least alignment that is noted: that of the smallest objects but one size.
const LEAST_SHIFT: u32 = 4;
/// The most that objects are aligned to by their size alone: a page.
pub(crate) const MOST_NATURAL: u32 = 4096;
/// The most that may be asked for.
#[cfg(feature = "ext")]
const MOST: u32 = 1 << 16;

impl Alignment {
    /// None was asked for.
    pub(crate) const NATURAL: Alignment = Alignment(0);
    /// How many bits a value has.
    pub(crate) const BITS: u32 = 4;

    /// So many bytes, or 0 for those that the size gives. None if it cannot be had.
    #[cfg(feature = "ext")]
    pub(crate) fn new(bytes: u32) -> Option<Alignment> {
        if bytes == 0 {
            return Some(Alignment::NATURAL);
        }
        let is_possible = bytes.is_power_of_two() && bytes <= MOST;
        let shift = bytes.trailing_zeros();
        is_possible.then(|| Alignment((shift + 1).saturating_sub(LEAST_SHIFT) as u8))
    }

    /// Its bits.
    pub(crate) const fn to_bits(self) -> u8 {
        self.0
    }

    /// From these.
    pub(crate) const fn from_bits(bits: u8) -> Alignment {
        Alignment(bits)
    }

    /// What objects of so many bytes are aligned to.
    pub(crate) fn of(self, item_size: u32) -> u32 {
        let asked = if self.0 == 0 { 1 } else { 1 << (u32::from(self.0) + LEAST_SHIFT - 1) };
        natural(item_size).max(asked)
    }
}

/// What objects of so many bytes are aligned to if nothing else was asked for.
fn natural(item_size: u32) -> u32 {
    match item_size {
        0..=8 => 8,
        _ if item_size.is_power_of_two() => item_size.clamp(16, MOST_NATURAL),
        _ => 16,
    }
}

#[cfg(all(test, feature = "ext"))]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_up_to_the_most_can_be_asked_for() {
        for shift in 0..=16 {
            let alignment = Alignment::new(1 << shift).unwrap();
            assert!(u32::from(alignment.to_bits()) < 1 << Alignment::BITS);
            assert_eq!(Alignment::from_bits(alignment.to_bits()), alignment);
            assert_eq!(alignment.of(1), (1 << shift).max(8));
            assert_eq!(alignment.of(96), (1 << shift).max(16));
            assert_eq!(alignment.of(256), (1 << shift).max(256));
            assert_eq!(alignment.of(1 << 20), (1 << shift).max(MOST_NATURAL));
        }
        for wrong in [3, 5, 96, 1 << 17, u32::MAX, 65_537] {
            assert_eq!(Alignment::new(wrong), None, "{wrong}");
        }
        assert_eq!(Alignment::new(0), Some(Alignment::NATURAL));
        assert_eq!(Alignment::NATURAL.of(96), 16);
    }
}
