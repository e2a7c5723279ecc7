//! Printing statistics: as a table in the manner of `/proc/slabinfo`, or as JSON.
//!
//! Pools are found by walking the chunks, never through a list of pools: the memory of one that was not
//! destroyed may be gone. The heap's lock is taken once for each line and never held while it is written.

use crate::heap::HEAP;
use crate::line::Line;
use crate::stats::{HeapNumbers, PoolNumbers};

type Text = Line<1024>;

/// How to print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Prints the numbers of all pools and of the heap. `write` is called once or more for each line.
pub fn print(format: Format, write: &mut dyn FnMut(&[u8])) {
    let mut line = Text::EMPTY;
    match format {
        Format::Table => table_head(&mut line),
        Format::Json => {
            line.text("{\"version\": 1, \"pools\": [");
        }
    }
    write(line.as_bytes());
    let mut last = None;
    while let Some(pool) = HEAP.next_pool(last) {
        line.clear();
        match format {
            Format::Table => table_row(&mut line, &pool),
            Format::Json => json_pool(&mut line, &pool, last.is_none()),
        }
        write(line.as_bytes());
        last = Some(pool.key);
    }
    line.clear();
    let heap = HEAP.numbers();
    match format {
        Format::Table => table_heap(&mut line, &heap),
        Format::Json => json_heap(&mut line, &heap),
    }
    write(line.as_bytes());
}

fn table_head(line: &mut Text) {
    line.text("# mesa-slab: pools\n# name");
    line.column(53)
        .text("objects   capacity  objsize objs/slab KiB/slab     full  partial  empty\n");
}

fn table_row(line: &mut Text, pool: &PoolNumbers) {
    let (address, item_size, num_items) = pool.key;
    if pool.is_limbo() {
        line.text("(limbo) ");
    } else if !pool.name().is_empty() {
        line.bytes(pool.name()).text(" ");
    }
    line.decimal(item_size as usize).text("x").decimal(num_items as usize);
    if !pool.is_limbo() {
        line.text(" ").address(address);
    }
    line.column(30).text(" ").right(pool.out, 10);
    line.right(pool.all_slabs() * pool.capacity as usize, 11);
    line.right(pool.stride as usize, 9);
    line.right(pool.capacity as usize, 10);
    line.right(pool.slab_bytes / 1024, 9);
    line.right(pool.slabs[0], 9).right(pool.slabs[1], 9).right(pool.slabs[2], 7).text("\n");
}

fn table_heap(line: &mut Text, heap: &HeapNumbers) {
    line.text("# heap: ").decimal(heap.held() / 1024).text(" KiB held: ");
    line.decimal(heap.object_slabs / 1024).text(" in slabs, ");
    line.decimal(heap.magazine_slabs / 1024).text(" in magazines, ");
    line.decimal(heap.metadata / 1024).text(" in metadata, ");
    line.decimal(heap.dirty / 1024).text(" dirty; ");
    line.decimal(heap.clean / 1024).text(" KiB purged; ");
    line.decimal(heap.mapped / 1024).text(" KiB mapped in ");
    line.decimal(heap.chunks).text(" chunks, ");
    line.decimal(heap.large).text(" of them large objects\n# free runs by order:");
    for runs in heap.free_runs {
        line.text(" ").decimal(runs as usize);
    }
    line.text("\n");
}

fn field(line: &mut Text, name: &str, value: usize) {
    line.text("\"").text(name).text("\": ").decimal(value);
}

fn json_pool(line: &mut Text, pool: &PoolNumbers, first: bool) {
    let (address, item_size, num_items) = pool.key;
    line.text(if first { "\n" } else { ",\n" }).text("  {\"name\": ").json(pool.name());
    line.text(", \"address\": ");
    if pool.is_limbo() {
        line.text("null");
    } else {
        line.text("\"").address(address).text("\"");
    }
    for (name, value) in [
        ("item_size", item_size as usize),
        ("num_items", num_items as usize),
        ("element_size", pool.stride as usize),
        ("objects_per_slab", pool.capacity as usize),
        ("slab_bytes", pool.slab_bytes),
        ("slabs_full", pool.slabs[0]),
        ("slabs_partial", pool.slabs[1]),
        ("slabs_empty", pool.slabs[2]),
        ("objects_out", pool.out),
        ("bytes", pool.all_slabs() * pool.slab_bytes),
    ] {
        line.text(", ");
        field(line, name, value);
    }
    line.text("}");
}

fn json_heap(line: &mut Text, heap: &HeapNumbers) {
    line.text("\n],\n\"heap\": {");
    for (name, value) in [
        ("held", heap.held()),
        ("object_slabs", heap.object_slabs),
        ("magazine_slabs", heap.magazine_slabs),
        ("metadata", heap.metadata),
        ("dirty", heap.dirty),
        ("clean", heap.clean),
        ("mapped", heap.mapped),
        ("chunks", heap.chunks),
        ("large", heap.large),
    ] {
        field(line, name, value);
        line.text(", ");
    }
    line.text("\"free_runs\": [");
    for (order, runs) in heap.free_runs.iter().enumerate() {
        line.text(if order == 0 { "" } else { ", " }).decimal(*runs as usize);
    }
    line.text("]}}\n");
}
