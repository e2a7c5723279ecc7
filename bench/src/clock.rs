//! The two clocks that workloads are timed with.

use std::time::{Duration, Instant};

#[derive(Clone, Copy)]
pub enum Clock {
    /// What the calling thread has used of its core: other programs on the machine are left out.
    Thread,
    /// Time as it passes, for workloads with several threads, whose waiting counts.
    Wall,
}

impl Clock {
    pub fn time(self, run: impl FnOnce()) -> Duration {
        match self {
            Self::Thread => {
                let start = thread_time();
                run();
                thread_time() - start
            }
            Self::Wall => {
                let start = Instant::now();
                run();
                start.elapsed()
            }
        }
    }
}

fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the argument is a timespec to write to.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0, "every Linux has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
