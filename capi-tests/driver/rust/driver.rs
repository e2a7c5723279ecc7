// SPDX-License-Identifier: MIT
//! The share group of `share_group.c` as a driver in Rust has it: a pool in the screen, a cache in
//! each context, and transfers that any context of the screen unmaps.
//!
//! What the C driver sees to by itself the compiler does here: a screen does not go while there is a
//! context or a transfer of it, a context is not current in two threads, and a transfer is unmapped
//! once. Its staging memory goes with it.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

use mesa_slab::{Cache, Object, OutOfMemory, Pool};

const BUFFERS: usize = 200;
const BUFFER_SIZE: usize = 64;
const CONTEXTS: usize = 2000;
const MAPPED_PER_CONTEXT: usize = 3;

/// How many transfers the pool gets from the system at a time.
const TRANSFERS_PER_SLAB: u32 = 16;

/// A buffer that contexts share.
struct Buffer {
    storage: Mutex<[u8; BUFFER_SIZE]>,
}

/// A mapped range of a buffer, from [`Context::map`] to [`Context::unmap`].
struct Transfer<'buffers> {
    buffer: &'buffers Buffer,
    range: Range<usize>,
    /// Where the application reads and writes the range.
    staging: Vec<u8>,
}

/// What all contexts of a share group have in common.
struct Screen<'buffers> {
    transfers: Pool<Transfer<'buffers>>,
}

/// One client of a screen, of one thread at a time.
struct Context<'screen, 'buffers> {
    transfers: Cache<'screen, Transfer<'buffers>>,
}

type Mapped<'screen, 'buffers> = Object<'screen, Transfer<'buffers>>;

impl<'buffers> Screen<'buffers> {
    fn new() -> Screen<'buffers> {
        Screen { transfers: Pool::new().of_slabs_with(TRANSFERS_PER_SLAB) }
    }

    fn context(&self) -> Context<'_, 'buffers> {
        Context { transfers: self.transfers.cache() }
    }
}

impl<'screen, 'buffers> Context<'screen, 'buffers> {
    /// Maps a range. The transfer does not depend on this context.
    fn map(
        &self,
        buffer: &'buffers Buffer,
        range: Range<usize>,
    ) -> Result<Mapped<'screen, 'buffers>, OutOfMemory<Transfer<'buffers>>> {
        let staging = buffer.storage.lock().unwrap()[range.clone()].to_vec();
        self.transfers.alloc(Transfer { buffer, range, staging })
    }

    /// Writes the range back. The context need not be the one that mapped.
    fn unmap(&self, transfer: Mapped<'screen, 'buffers>) {
        let storage = &mut transfer.buffer.storage.lock().unwrap()[transfer.range.clone()];
        storage.copy_from_slice(&transfer.staging);
        self.transfers.free(transfer);
    }
}

/// Contexts in two threads, each of which unmaps what the other one maps.
fn unmap_in_the_other_thread<'buffers>(screen: &Screen<'buffers>, buffers: &'buffers [Buffer]) {
    thread::scope(|scope| {
        let ((to_b, of_a), (to_a, of_b)) = (channel(), channel());
        let (a, b) = buffers.split_at(buffers.len() / 2);
        for (buffers, others, own, first) in [(a, to_b, of_b, 1), (b, to_a, of_a, 101)] {
            let context = screen.context();
            scope.spawn(move || {
                for (number, buffer) in (first..).zip(buffers) {
                    let mut transfer = context.map(buffer, 0..BUFFER_SIZE).expect("memory");
                    transfer.staging.fill(number);
                    others.send(transfer).expect("a context that unmaps");
                }
                drop(others);
                own.into_iter().for_each(|transfer| context.unmap(transfer));
            });
        }
    });
    for (number, buffer) in buffers.iter().enumerate() {
        assert_eq!(*buffer.storage.lock().unwrap(), [number as u8 + 1; BUFFER_SIZE]);
    }
    println!(
        "  two contexts map {BUFFERS} buffers, each unmaps what the other one mapped: every byte arrived"
    );
}

/// Each context unmaps what its predecessor, gone by then, has left mapped.
fn unmap_for_the_predecessor<'buffers>(screen: &Screen<'buffers>, buffers: &'buffers [Buffer]) {
    let buffers = &buffers[..MAPPED_PER_CONTEXT];
    let mut left: Vec<Mapped<'_, 'buffers>> = Vec::new();
    for number in 0..CONTEXTS {
        let context = screen.context();
        for transfer in left.drain(..) {
            context.unmap(transfer);
        }
        for buffer in buffers {
            let mut transfer = context.map(buffer, 0..BUFFER_SIZE).expect("memory");
            transfer.staging.fill((number % 251) as u8);
            left.push(transfer);
        }
    }
    // Nobody unmaps the last ones: they go without a context, and nothing is written.
    drop(left);
    for buffer in buffers {
        assert_eq!(*buffer.storage.lock().unwrap(), [((CONTEXTS - 2) % 251) as u8; BUFFER_SIZE]);
    }
    println!(
        "  {CONTEXTS} contexts in a row, each unmapping what the destroyed one before it mapped"
    );
}

/// Runs the share group, and says what it did. Ends the process if a byte is not where it should be.
#[unsafe(no_mangle)]
pub extern "C" fn rust_share_group_run() {
    let buffers: Vec<_> =
        (0..BUFFERS).map(|_| Buffer { storage: Mutex::new([0; BUFFER_SIZE]) }).collect();
    let screen = Screen::new();
    println!("Share group, in Rust: contexts that unmap each other's buffers");
    unmap_in_the_other_thread(&screen, &buffers);
    unmap_for_the_predecessor(&screen, &buffers);
}
