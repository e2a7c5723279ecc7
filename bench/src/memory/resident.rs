//! How much memory the process has of its own.

use std::fs::File;
use std::io::Read;

/// Resident bytes that are not a file's: `Anonymous` of `/proc/self/smaps_rollup`.
///
/// Nothing is allocated here, as the C library's malloc may be what is measured.
pub fn anonymous() -> u64 {
    let mut text = [0; 4096];
    let mut length = 0;
    let mut file = File::open("/proc/self/smaps_rollup").expect("Linux 4.14 and newer have it");
    loop {
        match file.read(&mut text[length..]).expect("it can be read") {
            0 => break,
            more => length += more,
        }
    }
    kibibytes(&text[..length]).expect("it says how much is anonymous") << 10
}

fn kibibytes(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found() {
        let text = b"Rss:    12 kB\nAnonymous:       3456 kB\nLazyFree:  0 kB\n";
        assert_eq!(kibibytes(text), Some(3456));
        assert_eq!(kibibytes(b"Rss: 1 kB\n"), None);
    }

    #[test]
    fn memory_that_is_written_counts() {
        let before = anonymous();
        let written = vec![1u8; 8 << 20];
        let after = anonymous();
        assert!(std::hint::black_box(&written).iter().all(|byte| *byte == 1));
        assert!(after - before > 7 << 20, "{before} {after}");
    }
}
