// SPDX-License-Identifier: MIT
//! What has the object that carries the library stay loaded until the process ends, and whether it
//! was loaded together with the program.
//!
//! A handler that the library gives to the process may be kept by others: who installs one of the
//! same signal later, and calls the one that it found. That cannot be undone when the library is
//! unloaded, and at that time it is too late to stay.
//!
//! What is loaded with the program stays anyway, and its constructors run before anything of the
//! program does. The linker's list has it before the linker itself, which glibc puts behind all that
//! came with the program; what is loaded later is at the end. Where the list has another order the
//! answer is no.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod family {
    use core::ffi::{c_char, c_int, c_void};
    use core::mem::MaybeUninit;
    use core::ptr;

    // Weak, so that nothing more has to be linked: words that are 0 in a program without a dynamic
    // linker, which unloads nothing.
    macro_rules! table {
        ($word:literal, $align:literal) => {
            core::arch::global_asm!(
                ".weak dladdr",
                ".weak dlopen",
                ".weak dl_iterate_phdr",
                ".pushsection .data.rel.ro.mesa_slab_linker, \"aw\"",
                concat!(".balign ", $align),
                ".weak mesa_slab_linker",
                ".hidden mesa_slab_linker",
                "mesa_slab_linker:",
                concat!($word, " dladdr"),
                concat!($word, " dlopen"),
                concat!($word, " dl_iterate_phdr"),
                ".popsection",
            );
        };
    }

    #[cfg(target_pointer_width = "64")]
    table!(".quad", "8");
    #[cfg(target_pointer_width = "32")]
    table!(".long", "4");

    /// What `dladdr` says of an address.
    #[repr(C)]
    struct Found {
        path: *const c_char,
        base: *const c_void,
        _symbol: [*const c_void; 2],
    }

    /// The beginning of what `dl_iterate_phdr` says of an object.
    #[repr(C)]
    struct Listed {
        base: usize,
    }

    type Visit =
        unsafe extern "C" fn(object: *const Listed, bytes: usize, data: *mut c_void) -> c_int;

    #[repr(C)]
    struct Linker {
        dladdr: Option<unsafe extern "C" fn(address: *const c_void, found: *mut Found) -> c_int>,
        dlopen: Option<unsafe extern "C" fn(path: *const c_char, flags: c_int) -> *mut c_void>,
        dl_iterate_phdr: Option<unsafe extern "C" fn(visit: Visit, data: *mut c_void) -> c_int>,
    }

    unsafe extern "C" {
        static mesa_slab_linker: Linker;
    }

    pub(crate) fn stay_loaded() {
        let (Some(own), Some(dlopen)) = (find(stay_loaded as *const c_void), linker().dlopen)
        else {
            return;
        };
        // SAFETY: the path is a string, and the object of that name is loaded, or nothing happens.
        unsafe {
            dlopen(own.path, libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
        }
    }

    /// Whether the object that carries the library is the program, or was loaded with it.
    pub(crate) fn came_with_program() -> bool {
        // SAFETY: the kernel has written the numbers where the C library finds them.
        let (headers, linkers) =
            unsafe { (libc::getauxval(libc::AT_PHDR), libc::getauxval(libc::AT_BASE)) };
        let Some(own) = find(stay_loaded as *const c_void) else { return false };
        let program = find(ptr::with_exposed_provenance(headers as usize));
        if program.is_some_and(|program| program.base == own.base) {
            return true;
        }
        let Some(dl_iterate_phdr) = linker().dl_iterate_phdr.filter(|_| linkers != 0) else {
            return false;
        };
        let mut first = First { own: own.base.addr(), linkers: linkers as usize, is_own: false };
        // SAFETY: `visit` is called with each object and with `first`.
        unsafe { dl_iterate_phdr(visit, (&raw mut first).cast()) };
        first.is_own
    }

    /// Which of two objects comes first.
    struct First {
        own: usize,
        linkers: usize,
        is_own: bool,
    }

    unsafe extern "C" fn visit(object: *const Listed, _bytes: usize, data: *mut c_void) -> c_int {
        // SAFETY: see `came_with_program`.
        let (base, first) = unsafe { ((*object).base, &mut *data.cast::<First>()) };
        first.is_own = base == first.own;
        c_int::from(first.is_own || base == first.linkers)
    }

    fn linker() -> &'static Linker {
        // SAFETY: the words are written by the linker or the loader, before any code runs.
        unsafe { &mesa_slab_linker }
    }

    /// The object that an address lies in.
    fn find(address: *const c_void) -> Option<Found> {
        let dladdr = linker().dladdr?;
        let mut found = MaybeUninit::<Found>::uninit();
        // SAFETY: nothing at the address is read, and `found` is written if the answer is not 0.
        unsafe { (dladdr(address, found.as_mut_ptr()) != 0).then(|| found.assume_init()) }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod family {
    /// There the program sees to it.
    pub(crate) fn stay_loaded() {}

    /// It is not known.
    pub(crate) fn came_with_program() -> bool {
        false
    }
}

pub(crate) use family::{came_with_program, stay_loaded};
