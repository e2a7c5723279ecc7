//! Who did something to an object: thread and call stack.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::debug::stack;
use crate::os;
use crate::report::Text;

/// Return addresses that are kept.
pub const FRAMES: usize = 16;

/// A thread and its stack at some moment; nothing if the thread is 0. The handler of faults may read it while it
/// is written.
#[repr(C)]
pub struct Record {
    thread: AtomicUsize,
    frames: [AtomicUsize; FRAMES],
}

/// A record as it was read.
pub struct Copy {
    thread: usize,
    frames: [usize; FRAMES],
}

// Relaxed in all of this file: records are written under the lock of the guards; whoever reads them without takes
// what there is.
impl Record {
    /// Notes what was captured.
    #[inline(never)]
    pub fn note(&self, from: &Copy) {
        for (word, frame) in self.frames.iter().zip(from.frames) {
            word.store(frame, Relaxed);
        }
        self.thread.store(from.thread, Relaxed);
    }

    /// Forgets what was noted.
    pub fn clear(&self) {
        self.thread.store(0, Relaxed);
    }

    /// What was noted.
    #[inline(never)]
    pub fn copy(&self) -> Copy {
        let mut frames = [0; FRAMES];
        for (word, frame) in self.frames.iter().zip(&mut frames) {
            *frame = word.load(Relaxed);
        }
        Copy { thread: self.thread.load(Relaxed), frames }
    }
}

impl Copy {
    /// This thread and its stack. No lock is held.
    #[inline(never)]
    pub fn capture() -> Copy {
        let mut frames = [0; FRAMES];
        stack::capture(&mut frames);
        Copy { thread: os::thread_id(), frames }
    }

    /// Says it, one line after the other; nothing if nothing was noted.
    pub fn say(&self, what: &str, say: &mut dyn FnMut(&mut Text)) {
        if self.thread == 0 {
            return;
        }
        let mut line = Text::EMPTY;
        line.text("mesa-slab:   ").text(what).text(" by thread ").address(self.thread).text(":");
        say(&mut line);
        for frame in self.frames.iter().take_while(|frame| **frame != 0) {
            line.clear();
            say(line.text("mesa-slab:     ").address(*frame));
        }
    }
}
