// SPDX-License-Identifier: MIT
//! Where in the library's types lies what a walker outside of the process reads.
//!
//! Each type that is read so names its fields beside its definition, with [`layout`]; and
//! `inspect::root` puts all of them into the library as a table. Names are for the tests alone.

/// An entry of the table: a number that a walker needs.
pub(crate) struct Field {
    /// What it is of, and its name.
    #[cfg_attr(any(not(test), loom), expect(dead_code, reason = "names are for tests alone"))]
    pub(crate) name: &'static str,
    /// For a field, where it begins in its type, times 256, and how many bytes it has, 0 if these
    /// are more than 255; else a number.
    pub(crate) value: usize,
}

impl Field {
    /// A field of so many bytes.
    pub(crate) const fn at(name: &'static str, offset: usize, bytes: usize) -> Field {
        Field { name, value: offset << 8 | if bytes > 0xff { 0 } else { bytes } }
    }

    /// A number.
    pub(crate) const fn number(name: &'static str, value: usize) -> Field {
        Field { name, value }
    }
}

/// Bytes of a field, by a function that is never called.
pub(crate) const fn bytes_of<T, F>(_field: fn(T) -> F) -> usize {
    size_of::<F>()
}

/// Fields of a type, under a name for the type, and how many bytes it has.
macro_rules! layout {
    ($name:literal, $type:ty: $($field:ident $(. $inner:ident)*),* $(,)?) => {
        &[
            $($crate::base::layout::Field::at(
                concat!($name, ".", stringify!($field) $(, ".", stringify!($inner))*),
                core::mem::offset_of!($type, $field $(. $inner)*),
                $crate::base::layout::bytes_of(|this: $type| this.$field $(. $inner)*),
            ),)*
            $crate::base::layout::Field::number(concat!($name, " bytes"), size_of::<$type>()),
        ]
    };
}

/// Constants, under their own names.
macro_rules! numbers {
    ($name:literal: $($number:ident),* $(,)?) => {
        &[$($crate::base::layout::Field::number(
            concat!($name, " ", stringify!($number)),
            $number as usize,
        )),*]
    };
}

pub(crate) use {layout, numbers};
