// SPDX-License-Identifier: MIT
//! Valgrind's client requests: a sequence of instructions that changes nothing, which valgrind
//! replaces by a call. They are its public interface, as are the numbers of the requests.

/// Whether the program runs under valgrind.
pub(crate) const RUNNING: usize = 0x1001;
/// The range is a stack, which threads may be on.
#[cfg(unix)]
pub(crate) const STACK_REGISTER: usize = 0x1501;
/// It is none any more: the number that the request above was answered with.
#[cfg(unix)]
pub(crate) const STACK_DEREGISTER: usize = 0x1502;
/// A request of memcheck's: any access to the range is an error.
pub(crate) const MAKE_NOACCESS: usize = tool(b'M', b'C');
/// The range may be written, and is uninitialised.
pub(crate) const MAKE_UNDEFINED: usize = tool(b'M', b'C') + 1;
/// The range may be read and written.
pub(crate) const MAKE_DEFINED: usize = tool(b'M', b'C') + 2;
/// Helgrind is not to look at accesses to the range.
pub(crate) const HELGRIND_UNTRACKED: usize = tool(b'H', b'G') + 256 + 39;
/// The same for drd.
pub(crate) const DRD_SUPPRESS: usize = tool(b'D', b'R') + 2;
/// A pool of objects begins: its name, bytes of redzone, whether objects are zeroed.
pub(crate) const CREATE_MEMPOOL: usize = 0x1303;
/// Whether there is a pool of this name.
pub(crate) const MEMPOOL_EXISTS: usize = 0x130a;
/// An object is allocated: the pool, its address and its bytes.
pub(crate) const MEMPOOL_ALLOC: usize = 0x1305;
/// An object is freed: the pool and its address.
pub(crate) const MEMPOOL_FREE: usize = 0x1306;

const fn tool(a: u8, b: u8) -> usize {
    (a as usize) << 24 | (b as usize) << 16
}

/// Tells helgrind and drd that accesses to these words are atomic, which they take for any other.
/// Called before other threads know of them.
pub(crate) fn atomic(start: usize, bytes: usize) {
    request(HELGRIND_UNTRACKED, start, bytes, 0);
    request(DRD_SUPPRESS, start, bytes, 0);
}

/// Makes a request, and returns what valgrind answers; 0 if the program does not run under it.
#[inline(never)]
pub(crate) fn request(number: usize, a: usize, b: usize, c: usize) -> usize {
    let words = [number, a, b, c, 0, 0];
    // SAFETY: on a processor, the sequence rotates a register all the way round and exchanges one
    // with itself. The words are read by valgrind only.
    unsafe { ask(&words) }
}

#[cfg(all(target_arch = "x86_64", not(windows)))]
unsafe fn ask(words: &[usize; 6]) -> usize {
    let mut answer = 0;
    // SAFETY: see `request`.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") words.as_ptr(),
            inout("rdx") answer,
            options(nostack),
        );
    }
    answer
}

#[cfg(all(target_arch = "x86", not(windows)))]
unsafe fn ask(words: &[usize; 6]) -> usize {
    let mut answer = 0;
    // SAFETY: see `request`.
    unsafe {
        core::arch::asm!(
            "rol edi, 3",
            "rol edi, 13",
            "rol edi, 29",
            "rol edi, 19",
            "xchg ebx, ebx",
            in("eax") words.as_ptr(),
            inout("edx") answer,
            options(nostack),
        );
    }
    answer
}

#[cfg(all(target_arch = "aarch64", not(windows)))]
unsafe fn ask(words: &[usize; 6]) -> usize {
    let mut answer = 0;
    // SAFETY: see `request`.
    unsafe {
        core::arch::asm!(
            "ror x12, x12, #3",
            "ror x12, x12, #13",
            "ror x12, x12, #51",
            "ror x12, x12, #61",
            "orr x10, x10, x10",
            in("x4") words.as_ptr(),
            inout("x3") answer,
            options(nostack),
        );
    }
    answer
}

#[cfg(not(all(
    any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64"),
    not(windows)
)))]
unsafe fn ask(_: &[usize; 6]) -> usize {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_numbers_that_valgrind_documents() {
        assert_eq!(MAKE_NOACCESS, 0x4d43_0000);
        assert_eq!(HELGRIND_UNTRACKED, 0x4847_0127);
        assert_eq!(DRD_SUPPRESS, 0x4452_0002);
    }

    #[test]
    fn without_valgrind_nothing_answers() {
        let word = 0usize;
        let answer = request(MAKE_DEFINED, (&raw const word).addr(), size_of::<usize>(), 0);
        assert!(
            answer == 0 || std::env::var_os("LD_PRELOAD").is_some(),
            "or this runs under valgrind"
        );
        assert_eq!(word, 0);
    }
}
