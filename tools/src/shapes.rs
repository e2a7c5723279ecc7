// SPDX-License-Identifier: MIT
//! The library's types, as far as they are read: where in each of them what lies, by the root.

use crate::memory::{Memory, Unreadable};
use crate::root::{At, Fault, Root};

/// Types with their fields; each has its size in `bytes`.
macro_rules! shapes {
    ($($(#[$meta:meta])* $shape:ident ($size:literal) { $($field:ident: $name:literal),* $(,)? })*) => {
        $($(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $shape {
            pub bytes: usize,
            $(pub $field: At,)*
        }

        impl $shape {
            pub fn of(root: &Root) -> Result<$shape, Fault> {
                let bytes = root.bytes($size)?;
                Ok($shape { bytes, $($field: root.at($name, bytes)?,)* })
            }
        })*
    };
}

shapes! {
    ChunkShape ("chunk bytes") {
        owners: "chunk.owners",
        slots: "chunk.slots",
        large: "chunk.large",
        slots_written: "chunk.slots_written",
        reserved: "chunk.bytes",
        idle_pages: "chunk.idle.pages",
        idle_dirty: "chunk.idle.dirty",
        absent: "chunk.absent",
        home: "chunk.home",
        slots_used: "chunk.slots_used",
        buddy: "chunk.buddy",
        slabs: "chunk.slabs",
    }
    BuddyShape ("buddy bytes") {
        free_pages: "buddy.free_pages",
        dirty_pages: "buddy.dirty_pages",
        dirty: "buddy.dirty",
        nodes: "buddy.nodes",
    }
    NodeShape ("node bytes") {
        order_plus_1: "node.order_plus_1",
    }
    SlabShape ("slab bytes") {
        bitmap: "slab.bitmap",
        item_size: "slab.item_size",
        num_items: "slab.num_items",
        stride: "slab.stride",
        capacity: "slab.capacity",
        used: "slab.used",
        page: "slab.page",
        list: "slab.list",
        order: "slab.order",
    }
    MagazinesShape ("magazines bytes") {
        first: "magazines.first",
        count: "magazines.count",
    }
    HeapShape ("heap bytes") {
        mutex: "heap.mutex",
        state: "heap.state",
        pools: "heap.pools",
        parking: "heap.parking",
    }
    StateShape ("state bytes") {
        generation: "state.generation",
        mapped: "state.mapped",
        free_pages: "state.free_pages",
        dirty_pages: "state.dirty_pages",
    }
    PlaceShape ("place bytes") {
        word: "place.word",
        kit: "place.kit",
    }
    KitShape ("kit bytes") {
        magazine: "kit.magazine",
        mask: "kit.mask",
    }
    EntryShape ("entry bytes") {
        mutex: "entry.mutex",
        owner: "entry.owner",
        next: "entry.next",
        name: "entry.name",
    }
    NameShape ("name bytes") {
        length: "name.length",
        text: "name.text",
    }
    PoolShape ("pool bytes") {
        body: "pool.body",
    }
    BodyShape ("body bytes") {
        item_size: "body.geometry.item_size",
        num_items: "body.geometry.num_items",
        stride: "body.geometry.stride",
        order: "body.geometry.order",
        modes: "body.modes",
        masks: "body.policy.masks",
        shelves: "body.depot.shelves",
        half: "body.depot.half",
        spare: "body.slabs.spare",
        slabs: "body.slabs.slabs",
        holders: "body.slabs.holders",
        out: "body.slabs.out",
        peak: "body.slabs.peak",
        foreign_frees: "body.foreign_frees",
        exchanges: "body.exchanges",
        generation: "body.generation",
    }
    ShelfShape ("shelf bytes") {
        full: "shelf.full",
    }
    ParentShape ("parent bytes") {}
    ChildShape ("child bytes") {
        parent: "child.parent",
        loaded: "child.cache.loaded",
        previous: "child.cache.previous",
        mask: "child.cache.mask",
        item_size: "child.cache.item_size",
    }
    GoneShape ("gone bytes") {
        item_size: "gone.kind.item_size",
        num_items: "gone.kind.num_items",
        name: "gone.kind.name",
        name_length: "gone.kind.name_length",
        pools: "gone.pools",
        peak: "gone.peak",
        exchanges: "gone.exchanges",
        foreign_frees: "gone.foreign_frees",
        objects_left: "gone.objects_left",
    }
    TableShape ("table bytes") {
        rows: "table.rows",
    }
    LedgerShape ("ledger bytes") {
        next: "ledger.next",
        parent: "ledger.parent",
        pages: "ledger.pages",
    }
    PagesShape ("pages bytes") {
        table: "pages.table",
    }
    RecordsShape ("records bytes") {
        records: "records.records",
        capacity: "records.capacity",
    }
    RecordShape ("record bytes") {
        slot: "record.slot",
        allocated_thread: "record.allocated.thread",
        allocated_stack: "record.allocated.stack",
        freed_thread: "record.freed.thread",
        freed_stack: "record.freed.stack",
        state: "record.state",
    }
    GuardsShape ("guards bytes") {
        next: "guards.next",
        reserved: "guards.bytes",
        class: "guards.class",
        slots_total: "guards.slots_total",
        slots_used: "guards.slots_used",
        slots: "guards.slots",
    }
    GuardedShape ("guarded bytes") {
        state: "guarded.state",
        item_size: "guarded.item_size",
        num_items: "guarded.num_items",
        room: "guarded.room",
        parent: "guarded.parent",
        allocated: "guarded.allocated",
        freed: "guarded.freed",
    }
    GuardUserShape ("guard user bytes") {
        thread: "guard user.thread",
        stack: "guard user.stack",
    }
}

/// The constants of a build.
#[derive(Clone, Debug)]
pub struct Numbers {
    pub page: u64,
    pub chunk: u64,
    /// Pages of a chunk, and how many of them are its header.
    pub pages: usize,
    pub header_pages: usize,
    /// The order of a slab with one large object.
    pub large: u64,
    pub max_objects: usize,
    pub name_bytes: usize,
    pub chunk_shift: u32,
    pub leaf_shift: u32,
    pub leaves: usize,
    pub buckets: usize,
    /// How many sizes of magazines a pool has.
    pub magazine_sizes: usize,
    pub limbo: u64,
    pub magazines: u64,
    pub parked: u64,
    /// How many places for kits there are, and the word of one that has a kit.
    pub kits: usize,
    pub kit_is_there: u64,
    pub leaving: u64,
    pub gone_rows: usize,
}

/// What is only in builds with modes.
#[derive(Clone, Debug)]
pub struct DebugShapes {
    pub ledger: LedgerShape,
    pub pages: PagesShape,
    pub records: RecordsShape,
    pub record: RecordShape,
    pub guards: GuardsShape,
    pub guarded: GuardedShape,
    pub guard_user: GuardUserShape,
    pub stack_words: usize,
    pub stack_chains: usize,
    pub stack_frames: usize,
    pub guards_header: usize,
    pub live: u64,
    pub freed: u64,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Shapes {
    pub word: usize,
    pub numbers: Numbers,
    pub chunk: ChunkShape,
    pub buddy: BuddyShape,
    pub node: NodeShape,
    pub slab: SlabShape,
    pub magazines: MagazinesShape,
    pub heap: HeapShape,
    pub state: StateShape,
    pub place: PlaceShape,
    pub kit: KitShape,
    pub entry: EntryShape,
    pub name: NameShape,
    pub pool: PoolShape,
    pub body: BodyShape,
    pub shelf: ShelfShape,
    pub parent: ParentShape,
    pub child: ChildShape,
    pub gone: GoneShape,
    pub table: TableShape,
    pub debug: Option<DebugShapes>,
}

impl Shapes {
    pub fn of(root: &Root) -> Result<Shapes, Fault> {
        let shift = |name| match root.number(name)? {
            value @ 10..32 => Ok(value as u32),
            _ => Err(Fault::Broken("pages or chunks have no size that can be")),
        };
        let (page_shift, chunk_shift) =
            (shift("geometry PAGE_SHIFT")?, shift("geometry CHUNK_SHIFT")?);
        let header_pages = root.number("geometry HEADER_PAGES")?;
        let pages = 1usize << chunk_shift.saturating_sub(page_shift);
        let numbers = Numbers {
            page: 1 << page_shift,
            chunk: 1 << chunk_shift,
            pages,
            header_pages,
            large: root.number("geometry LARGE")? as u64,
            max_objects: root.number("geometry MAX_OBJECTS")?,
            name_bytes: root.number("geometry NAME_BYTES")?,
            chunk_shift,
            leaf_shift: root.number("registry LEAF_SHIFT")? as u32,
            leaves: root.number("registry LEAVES")?,
            buckets: root.number("pools BUCKETS")?,
            magazine_sizes: root.number("policy SIZES")?,
            limbo: root.number("owner LIMBO")? as u64,
            magazines: root.number("owner MAGAZINES")? as u64,
            parked: root.number("owner PARKED")? as u64,
            kits: root.number("parking PLACES")?,
            kit_is_there: root.number("parking FULL")? as u64,
            leaving: root.number("slab LEAVING")? as u64,
            gone_rows: root.number("gone MOST")?,
        };
        let fit = header_pages < pages
            && pages <= 1 << 16
            && numbers.large < 32
            && (1..=4096).contains(&numbers.max_objects)
            && numbers.name_bytes <= 4096
            && (3..30).contains(&numbers.leaf_shift)
            && numbers.leaves <= 1 << 24
            && numbers.buckets <= 1 << 20
            && (1..=64).contains(&numbers.magazine_sizes)
            && numbers.gone_rows <= 1 << 16;
        if !fit {
            return Err(Fault::Broken("its constants do not agree"));
        }
        let debug = if root.has_debug { Some(DebugShapes::of(root)?) } else { None };
        let shapes = Shapes {
            word: root.word,
            numbers,
            chunk: ChunkShape::of(root)?,
            buddy: BuddyShape::of(root)?,
            node: NodeShape::of(root)?,
            slab: SlabShape::of(root)?,
            magazines: MagazinesShape::of(root)?,
            heap: HeapShape::of(root)?,
            state: StateShape::of(root)?,
            place: PlaceShape::of(root)?,
            kit: KitShape::of(root)?,
            entry: EntryShape::of(root)?,
            name: NameShape::of(root)?,
            pool: PoolShape::of(root)?,
            body: BodyShape::of(root)?,
            shelf: ShelfShape::of(root)?,
            parent: ParentShape::of(root)?,
            child: ChildShape::of(root)?,
            gone: GoneShape::of(root)?,
            table: TableShape::of(root)?,
            debug,
        };
        shapes.check()?;
        Ok(shapes)
    }

    /// That the types which are in others fit there.
    fn check(&self) -> Result<(), Fault> {
        let numbers = &self.numbers;
        let inside = |at: At, count: usize, each: usize, bytes: usize| {
            count
                .checked_mul(each)
                .and_then(|all| all.checked_add(at.offset))
                .is_some_and(|end| end <= bytes)
        };
        let fit = inside(self.chunk.owners, numbers.pages, self.word, self.chunk.bytes)
            && inside(self.chunk.slots, numbers.pages, 2, self.chunk.bytes)
            && inside(self.chunk.slabs, 1, self.slab.bytes, self.chunk.bytes)
            && inside(self.chunk.buddy, 1, self.buddy.bytes, self.chunk.slabs.offset)
            && inside(self.buddy.nodes, numbers.pages, self.node.bytes, self.buddy.bytes)
            && inside(self.slab.bitmap, numbers.max_objects / 8, 1, self.slab.bytes)
            && inside(self.heap.state, 1, self.state.bytes, self.heap.bytes)
            && inside(self.heap.pools, numbers.buckets, self.word, self.heap.bytes)
            && inside(self.name.text, numbers.name_bytes, 1, self.name.bytes)
            && inside(self.pool.body, 1, self.body.bytes, self.pool.bytes)
            && self.entry.bytes <= self.pool.bytes
            && inside(self.body.shelves, numbers.magazine_sizes, self.shelf.bytes, self.body.bytes)
            && inside(self.body.masks, numbers.magazine_sizes, 2, self.body.bytes)
            && inside(self.shelf.full, 1, self.magazines.bytes, self.shelf.bytes)
            && inside(self.gone.name, numbers.name_bytes, 1, self.gone.bytes)
            && inside(self.table.rows, numbers.gone_rows, self.gone.bytes, self.table.bytes)
            && self.debug.as_ref().is_none_or(|debug| {
                inside(debug.ledger.pages, 1, debug.pages.bytes, debug.ledger.bytes)
                    && inside(debug.pages.table, 1, debug.records.bytes, debug.pages.bytes)
                    && inside(debug.guards.slots, 1, debug.guarded.bytes, debug.guards.bytes)
                    && inside(
                        debug.guarded.allocated,
                        1,
                        debug.guard_user.bytes,
                        debug.guarded.bytes,
                    )
                    && inside(debug.guarded.freed, 1, debug.guard_user.bytes, debug.guarded.bytes)
            });
        if fit { Ok(()) } else { Err(Fault::Broken("its types do not fit into each other")) }
    }
}

impl DebugShapes {
    fn of(root: &Root) -> Result<DebugShapes, Fault> {
        let shapes = DebugShapes {
            ledger: LedgerShape::of(root)?,
            pages: PagesShape::of(root)?,
            records: RecordsShape::of(root)?,
            record: RecordShape::of(root)?,
            guards: GuardsShape::of(root)?,
            guarded: GuardedShape::of(root)?,
            guard_user: GuardUserShape::of(root)?,
            stack_words: root.number("stacks WORDS")?,
            stack_chains: root.number("stacks CHAINS")?,
            stack_frames: root.number("stacks FRAMES")?,
            guards_header: root.number("guards HEADER")?,
            live: root.number("guards LIVE")? as u64,
            freed: root.number("guards FREED")? as u64,
        };
        let fit = shapes.stack_frames <= 4096 && shapes.guards_header <= 1 << 24;
        if fit { Ok(shapes) } else { Err(Fault::Broken("its constants do not agree")) }
    }
}

/// The bytes of a structure.
#[derive(Clone, Copy)]
pub struct View<'a> {
    bytes: &'a [u8],
}

impl<'a> View<'a> {
    pub fn new(bytes: &'a [u8]) -> View<'a> {
        View { bytes }
    }

    /// A field that is a number or an address; 0 if it lies outside.
    pub fn get(self, at: At) -> u64 {
        self.number(at.offset, at.width)
    }

    /// A number of so many bytes, at most 8.
    pub fn number(self, offset: usize, width: usize) -> u64 {
        let mut word = [0; 8];
        let found = self.bytes.get(offset..).and_then(|rest| rest.get(..width.min(8)));
        if let Some(found) = found {
            word[..found.len()].copy_from_slice(found);
        }
        u64::from_le_bytes(word)
    }

    /// So many bytes from a field's beginning on.
    pub fn part(self, at: At, bytes: usize) -> View<'a> {
        self.slice(at.offset, bytes)
    }

    pub fn slice(self, offset: usize, bytes: usize) -> View<'a> {
        let rest = self.bytes.get(offset..).unwrap_or(&[]);
        View { bytes: &rest[..rest.len().min(bytes)] }
    }

    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }
}

/// A word of the process's.
pub fn read_word(memory: &dyn Memory, word: usize, address: u64) -> Result<u64, Unreadable> {
    let mut bytes = [0; 8];
    memory.read(address, bytes.get_mut(..word).ok_or(Unreadable)?)?;
    Ok(u64::from_le_bytes(bytes))
}
