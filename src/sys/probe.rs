// SPDX-License-Identifier: MIT
//! Static tracepoints on the slow paths, for perf, bpftrace, gdb and SystemTap.
//!
//! Each is one `nop` and a note of where it is, what it is called, and in which registers its
//! arguments are (SystemTap's format, version 3). A tool that is to see it puts a breakpoint in the
//! place of the `nop`; the program pays for nothing else. Notes are not loaded. What a probe tells
//! and in which units is in docs/probes.md, and `scripts/check-probes` compares the two.
//!
//! - The registers are those that the values are in at that place, or are put into.
//! - Each place that the compiler makes of a probe has a note of its own. All have the same name.
//! - A note is linked to the section that its probe is in (`o`), so that a linker which drops a
//!   function drops its notes with it, and no note keeps a function. For that it needs a name that
//!   no other place has: a number which each probe of an object file adds 1 to.
//! - gold does not know such notes, and refuses one whose function it has dropped. It keeps all that
//!   a section refers to whose name begins with `.note`, so there is one. To other linkers that
//!   section is nothing: they drop it, or keep its four bytes if they drop no section.
//! - `_.stapsdt.base` is a byte that is loaded: by its address a tool knows how far the library was
//!   moved after it was linked. The first note of an object file defines it, and the linker keeps
//!   one for each program or library, as the code refers to it (`.reloc`; nothing is written there).
//!   It lies with the code, as perf takes the distance of both in memory to be that in the file.
//! - Memory is as the program has written it when a probe is met, so that a tool may follow what an
//!   argument points to.
//!
//! Without the feature `probes`, on other processors, and on other systems than Linux and Android
//! these functions are empty.
#![cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    allow(unused_macros, reason = "empty functions need none of them")
)]

/// A value that is passed: what a note says of it.
#[cfg(all(feature = "probes", target_pointer_width = "64"))]
macro_rules! bytes_of {
    (usize) => {
        "8"
    };
    (u32) => {
        "4"
    };
}
#[cfg(all(feature = "probes", target_pointer_width = "32"))]
macro_rules! bytes_of {
    ($type:tt) => {
        "4"
    };
}

/// The register that a value is in.
#[cfg(all(feature = "probes", target_arch = "x86_64"))]
macro_rules! register_of {
    (usize) => {
        "%{}"
    };
    (u32) => {
        "%{:e}"
    };
}
#[cfg(all(feature = "probes", target_arch = "x86"))]
macro_rules! register_of {
    ($type:tt) => {
        "%{}"
    };
}
// Tools know registers of this processor by the name of all their bits.
#[cfg(all(feature = "probes", target_arch = "aarch64"))]
macro_rules! register_of {
    ($type:tt) => {
        "{:x}"
    };
}

#[cfg(all(feature = "probes", target_pointer_width = "64"))]
macro_rules! word {
    () => {
        ".8byte "
    };
}
#[cfg(all(feature = "probes", target_pointer_width = "32"))]
macro_rules! word {
    () => {
        ".4byte "
    };
}

/// Defines the probes, each as a function.
macro_rules! probes {
    ($($(#[$about:meta])* $name:ident($first:ident: $kind:tt $(, $more:ident: $kinds:tt)*);)+) => {
        $(
            $(#[$about])*
            #[inline(always)]
            #[allow(unused_variables, reason = "a build without probes looks at nothing")]
            #[allow(named_asm_labels, reason = "it is defined once in a file")]
            pub(crate) fn $name($first: $kind $(, $more: $kinds)*) {
                #[cfg(all(
                    feature = "probes",
                    any(target_os = "linux", target_os = "android"),
                    any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64"),
                    not(any(loom, miri)),
                ))]
                // SAFETY: the only instruction does nothing.
                unsafe {
                    core::arch::asm!(
                        "990: nop",
                        ".ifndef .Lmesa_slab_probes",
                        ".set .Lmesa_slab_probes, 0",
                        ".endif",
                        ".set .Lmesa_slab_probes, .Lmesa_slab_probes + 1",
                        ".altmacro",
                        ".macro mesa_slab_probe number",
                        ".Lmesa_slab_probe_\\number:",
                        ".pushsection .note.stapsdt, \"o\", %note, .Lmesa_slab_probe_\\number",
                        ".endm",
                        "mesa_slab_probe %.Lmesa_slab_probes",
                        ".purgem mesa_slab_probe",
                        ".noaltmacro",
                        ".balign 4",
                        ".4byte 992f-991f, 994f-993f, 3",
                        "991: .asciz \"stapsdt\"",
                        "992: .balign 4",
                        concat!("993: ", word!(), "990b"),
                        concat!(word!(), "_.stapsdt.base"),
                        // No word that counts who looks.
                        concat!(word!(), "0"),
                        ".asciz \"mesa_slab\"",
                        concat!(".asciz \"", stringify!($name), "\""),
                        concat!(
                            ".asciz \"", bytes_of!($kind), "@", register_of!($kind),
                            $(" ", bytes_of!($kinds), "@", register_of!($kinds),)*
                            "\"",
                        ),
                        "994: .balign 4",
                        ".popsection",
                        ".pushsection .note.mesa_slab, \"a\", %progbits",
                        ".4byte 990b - .",
                        ".popsection",
                        ".reloc ., BFD_RELOC_NONE, _.stapsdt.base",
                        ".ifndef _.stapsdt.base",
                        ".pushsection .stapsdt.base, \"axG\", %progbits, .stapsdt.base, comdat",
                        ".weak _.stapsdt.base",
                        ".hidden _.stapsdt.base",
                        "_.stapsdt.base: .space 1",
                        ".size _.stapsdt.base, 1",
                        ".popsection",
                        ".endif",
                        in(reg) $first,
                        $(in(reg) $more,)*
                        options(readonly, nostack, preserves_flags),
                    );
                }
            }
        )+
    };
}

probes! {
    /// A pool is created.
    pool_create(parent: usize, item_size: u32, num_items: u32);
    /// A pool is destroyed. The objects may be in magazines of the children that are left.
    pool_destroy(parent: usize, objects_out: usize, children: u32);
    /// A child is created.
    child_create(child: usize, parent: usize);
    /// A child is about to be destroyed.
    child_destroy(child: usize, parent: usize);
    /// A child gets a magazine of so many objects from its pool's depot, or (`to_child` is 0) leaves
    /// one there.
    magazine_exchange(parent: usize, objects: usize, to_child: u32);
    /// A child's magazine was filled from slabs; with less than it wanted if memory ran out.
    magazine_fill(parent: usize, objects: usize, wanted: usize);
    /// A magazine is about to be drained into slabs.
    magazine_drain(parent: usize, objects: usize);
    /// A slab is made.
    slab_create(owner: usize, start: usize, bytes: usize);
    /// A slab is given up.
    slab_destroy(owner: usize, start: usize, bytes: usize);
    /// Memory was asked of the system: a chunk, or 0 if it was refused.
    chunk_reserve(start: usize, bytes: usize, committed: usize);
    /// A chunk is about to go back to the system.
    chunk_release(start: usize, bytes: usize);
    /// The memory behind free pages of a chunk is about to go back to the system.
    run_purge(start: usize, bytes: usize);
    /// A thread finds a lock held, and begins to wait.
    lock_wait(lock: usize);
    /// It has the lock.
    lock_got(lock: usize);
    /// A report is made: so many bytes of text, and how many reports there were before.
    misuse(text: usize, bytes: usize, before: u32);
}
