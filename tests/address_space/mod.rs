// SPDX-License-Identifier: MIT
//! A limit of the process's own, for tests of what happens without memory.

/// How much address space the process may still map.
pub fn allow(more: usize) {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().next().unwrap().parse().unwrap();
    // SAFETY: a limit, and a number that the system has.
    unsafe {
        let bytes = pages * libc::sysconf(libc::_SC_PAGESIZE) as usize + more;
        let limit = libc::rlimit { rlim_cur: bytes as _, rlim_max: libc::RLIM_INFINITY };
        assert_eq!(libc::setrlimit(libc::RLIMIT_AS, &limit), 0);
    }
}
