//! What the calling thread has used of its core: other programs on the machine are left out.

use std::time::Duration;

pub fn thread_time(run: impl FnOnce()) -> Duration {
    let start = now();
    run();
    now() - start
}

fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the argument is a timespec to write to.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0, "every Linux has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
