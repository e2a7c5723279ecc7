// SPDX-License-Identifier: MIT
//! Numbers as text: the table of `slab_print_stats`.

use std::fmt::Write;

use crate::numbers::{CopyNumbers, GoneNumbers, HeapNumbers, PoolNumbers};

/// The table of a copy. Pools whose numbers are not to be trusted are marked with `~`.
pub fn table(copy: &CopyNumbers) -> String {
    let mut out = String::from("# mesa-slab: pools\n");
    let _ = writeln!(
        out,
        "{:<53}objects   capacity  objsize objs/slab KiB/slab     full  partial  empty guarded",
        "# name"
    );
    for pool in &copy.pools {
        row(&mut out, pool);
    }
    heap(&mut out, &copy.heap);
    gone(&mut out, &copy.gone);
    out
}

fn row(out: &mut String, pool: &PoolNumbers) {
    let mut title = pool.title();
    if let Some(address) = &pool.address {
        let _ = write!(title, " {address}");
    }
    let mark = if pool.unsure.is_empty() { ' ' } else { '~' };
    let _ = writeln!(
        out,
        "{title:<49}{mark}{:>10}{:>11}{:>9}{:>10}{:>9}{:>9}{:>9}{:>7}{:>8}",
        pool.objects_out,
        pool.capacity(),
        pool.element_size,
        pool.objects_per_slab,
        pool.slab_bytes / 1024,
        pool.slabs_full,
        pool.slabs_partial,
        pool.slabs_empty,
        pool.objects_guarded
    );
}

/// The lines of the heap.
pub fn heap(out: &mut String, heap: &HeapNumbers) {
    let [held, slabs, magazines, metadata, dirty, clean, mapped] = [
        heap.held,
        heap.object_slabs,
        heap.magazine_slabs,
        heap.metadata,
        heap.dirty,
        heap.clean,
        heap.mapped,
    ]
    .map(|bytes| bytes / 1024);
    let _ = write!(
        out,
        "# heap: {held} KiB held: {slabs} in slabs, {magazines} in magazines, {metadata} in metadata, {dirty} dirty; \
         {clean} KiB purged; {mapped} KiB mapped in {} chunks, {} of them large objects\n# free runs by order:",
        heap.chunks, heap.large
    );
    for runs in &heap.free_runs {
        let _ = write!(out, " {runs}");
    }
    out.push('\n');
}

fn gone(out: &mut String, gone: &[GoneNumbers]) {
    if !gone.is_empty() {
        out.push_str(
            "# pools that are gone: how many, the most objects out of one, exchanges, foreign frees, objects left\n",
        );
    }
    for kind in gone {
        let size = format!("{}x{}", kind.item_size, kind.num_items);
        let title = match (kind.item_size, kind.name.as_str()) {
            (0, _) if kind.num_items == 0 => "others".into(),
            (_, "") => size,
            (_, name) => format!("{name} {size}"),
        };
        let _ = writeln!(
            out,
            "{:<30} {:>10}{:>11}{:>10}{:>10}{:>10}",
            format!("# {title}"),
            kind.pools,
            kind.peak_objects_out,
            kind.exchanges,
            kind.foreign_frees,
            kind.objects_left
        );
    }
}
