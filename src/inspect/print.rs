// SPDX-License-Identifier: MIT
//! Printing statistics: as a table in the manner of `/proc/slabinfo`, or as JSON.
//!
//! Pools are found by walking the chunks, never through a list of pools: the memory of one that was
//! not destroyed may be gone. The heap's lock is taken once for each line and never held while it
//! is written. Pools that are gone follow, if they are counted ([`super::gone`]).

use core::ffi::{c_char, c_int, c_void};

use super::gone::{self, Gone};
use super::stats::{Found, next_pool};
use crate::base::line::Text;
use crate::heap::{HEAP, HeapNumbers};
use crate::sys::os;

/// How to print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// What is called with some text.
pub(crate) type Write = unsafe extern "C" fn(data: *mut c_void, text: *const c_char, length: usize);

/// Writes text to the file descriptor that `data` points to, which becomes -1 if that fails.
unsafe extern "C" fn write_to(data: *mut c_void, text: *const c_char, length: usize) {
    // SAFETY: `print_to` passes a descriptor, and `print` text of this length.
    unsafe {
        let fd = data.cast::<c_int>();
        if *fd >= 0 && !os::write(*fd, core::slice::from_raw_parts(text.cast(), length)) {
            *fd = -1;
        }
    }
}

/// Prints to a file descriptor, behind `head`, and returns whether all of it could be written.
pub(crate) fn print_to(mut fd: c_int, head: &[u8], format: Format) -> bool {
    // SAFETY: `write_to` takes the address of a descriptor.
    unsafe { print_behind(head, format, write_to, (&raw mut fd).cast()) }
    fd >= 0
}

/// How a file begins that the library writes by itself: with a mark of the process, as text.
pub(crate) fn file_head(line: &mut Text, format: Format, mark: [u8; 8]) {
    line.text(if format == Format::Table { "# mesa-slab: process " } else { "{\"process\": \"" });
    for byte in mark {
        line.text(if byte < 16 { "0" } else { "" }).hexadecimal(byte.into());
    }
    line.text(if format == Format::Table { "\n" } else { "\"" });
}

/// Prints the numbers of all pools and of the heap. `write` is called once or more for each line.
///
/// # Safety
/// `write` may be called with `data`.
pub(crate) unsafe fn print(format: Format, write: Write, data: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { print_behind(&[], format, write, data) }
}

/// The same behind what [`file_head`] makes.
///
/// # Safety
/// As for [`print`].
unsafe fn print_behind(head: &[u8], format: Format, write: Write, data: *mut c_void) {
    // SAFETY: the caller's promise.
    let write = |text: &[u8]| unsafe { write(data, text.as_ptr().cast(), text.len()) };
    let mut line = Text::empty();
    line.bytes(head);
    match format {
        Format::Table => table_head(&mut line),
        Format::Json => {
            line.text(if head.is_empty() { "{" } else { ", " });
            line.text("\"version\": 1, \"pools\": [");
        }
    }
    write(line.as_bytes());
    let mut last = None;
    while let Some(found) = next_pool(last) {
        line.clear();
        match format {
            Format::Table => table_row(&mut line, &found),
            Format::Json => json_pool(&mut line, &found, last.is_none()),
        }
        write(line.as_bytes());
        last = Some(found.pool);
    }
    line.clear();
    let heap = HEAP.numbers();
    match format {
        Format::Table => table_heap(&mut line, &heap),
        Format::Json => json_heap(&mut line, &heap),
    }
    write(line.as_bytes());
    let mut number = 0;
    while let Some(gone) = gone::row(number) {
        line.clear();
        match format {
            Format::Table => table_gone(&mut line, &gone, number == 0),
            Format::Json => json_gone(&mut line, &gone, number == 0),
        }
        write(line.as_bytes());
        number += 1;
    }
    if format == Format::Json {
        write(if number == 0 { b"}\n" } else { b"\n]}\n" });
    }
}

fn table_head(line: &mut Text) {
    line.text("# mesa-slab: pools\n# name");
    line.column(53)
        .text("objects   capacity  objsize objs/slab KiB/slab     full  partial  empty guarded\n");
}

fn table_row(line: &mut Text, found: &Found) {
    let Found { pool, numbers } = found;
    if pool.address == 0 {
        line.text("(limbo) ");
    } else if !pool.name().is_empty() {
        line.bytes(pool.name()).text(" ");
    }
    line.format("%x%", &[pool.item_size as usize, pool.num_items as usize]);
    if pool.address != 0 {
        line.format(" @", &[pool.address]);
    }
    line.column(30).text(" ");
    for (number, width) in [
        (numbers.objects_out, 10),
        (numbers.slabs() * numbers.objects_per_slab, 11),
        (numbers.element_size, 9),
        (numbers.objects_per_slab, 10),
        (numbers.slab_bytes / 1024, 9),
        (numbers.slabs_full, 9),
        (numbers.slabs_partial, 9),
        (numbers.slabs_empty, 7),
        (numbers.objects_guarded, 8),
    ] {
        line.right(number, width);
    }
    line.text("\n");
}

fn table_gone(line: &mut Text, gone: &Gone, first: bool) {
    if first {
        line.text("# pools that are gone: how many, the most objects out of one, exchanges, ");
        line.text("foreign frees, objects left\n");
    }
    line.text("# ");
    let kind = &gone.kind;
    if kind.item_size == 0 && kind.num_items == 0 {
        line.text("others");
    } else {
        line.bytes(kind.name()).text(if kind.name().is_empty() { "" } else { " " });
        line.format("%x%", &[kind.item_size as usize, kind.num_items as usize]);
    }
    line.column(30).text(" ");
    line.right(gone.pools, 10).right(gone.peak, 11).right(gone.exchanges, 10);
    line.right(gone.foreign_frees, 10).right(gone.objects_left, 10).text("\n");
}

fn json_gone(line: &mut Text, gone: &Gone, first: bool) {
    line.text(if first { ",\n\"gone\": [\n" } else { ",\n" });
    line.text("  {\"name\": ").json(gone.kind.name()).format(
        ", \"item_size\": %, \"num_items\": %, \"pools\": %, \"peak_objects_out\": %, \
         \"exchanges\": %, \"foreign_frees\": %, \"objects_left\": %}",
        &[
            gone.kind.item_size as usize,
            gone.kind.num_items as usize,
            gone.pools,
            gone.peak,
            gone.exchanges,
            gone.foreign_frees,
            gone.objects_left,
        ],
    );
}

fn table_heap(line: &mut Text, heap: &HeapNumbers) {
    let mut numbers = heap.in_order();
    let (bytes, _) = numbers.split_at_mut(HeapNumbers::BYTES);
    bytes.iter_mut().for_each(|bytes| *bytes /= 1024);
    line.format(
        "# heap: % KiB held: % in slabs, % in magazines, % in metadata, % dirty; % KiB purged; \
         % KiB mapped in % chunks, % of them large objects\n# free runs by order:",
        &numbers,
    );
    for runs in heap.free_runs {
        line.text(" ").decimal(runs as usize);
    }
    line.text("\n");
}

fn json_pool(line: &mut Text, found: &Found, first: bool) {
    let Found { pool, numbers } = found;
    line.text(if first { "\n" } else { ",\n" }).text("  {\"name\": ").json(pool.name());
    line.text(", \"address\": ");
    if pool.address == 0 {
        line.text("null");
    } else {
        line.format("\"@\"", &[pool.address]);
    }
    line.format(
        ", \"item_size\": %, \"num_items\": %, \"element_size\": %, \"objects_per_slab\": %, \
         \"slab_bytes\": %, \"slabs_full\": %, \"slabs_partial\": %, \"slabs_empty\": %, \
         \"objects_out\": %, \"objects_guarded\": %, \"bytes\": %}",
        &[
            numbers.item_size,
            pool.num_items as usize,
            numbers.element_size,
            numbers.objects_per_slab,
            numbers.slab_bytes,
            numbers.slabs_full,
            numbers.slabs_partial,
            numbers.slabs_empty,
            numbers.objects_out,
            numbers.objects_guarded,
            numbers.bytes_held,
        ],
    );
}

fn json_heap(line: &mut Text, heap: &HeapNumbers) {
    line.format(
        "\n],\n\"heap\": {\"held\": %, \"object_slabs\": %, \"magazine_slabs\": %, \"metadata\": %, \
         \"dirty\": %, \"clean\": %, \"mapped\": %, \"chunks\": %, \"large\": %, \"free_runs\": [",
        &heap.in_order(),
    );
    for (order, runs) in heap.free_runs.iter().enumerate() {
        line.text(if order == 0 { "" } else { ", " }).decimal(*runs as usize);
    }
    line.text("]}");
}
