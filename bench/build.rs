//! Compiles what measures the harness, the baseline, and what has the static library in it, into
//! shared objects of their own, which the program loads like any other; and the loops of the
//! workloads into the program itself.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn compiler(shared: bool) -> Command {
    let mut build = cc::Build::new();
    build.opt_level(2).std("c11").define("_GNU_SOURCE", None).debug(true).pic(true).warnings(true);
    // As drivers are built: with the option, gcc saves registers on the fast paths.
    build.force_frame_pointer(false);
    if shared {
        // The last two let it call its own functions directly, as where it is linked into a driver.
        build.flag("-shared").flag("-Wl,-Bsymbolic").flag("-fno-semantic-interposition");
    }
    build.get_compiler().to_command()
}

/// Makes a shared object, whose path the program gets as an environment variable when it is
/// compiled.
fn shared_object(variable: &str, name: &str, arguments: &[&str]) {
    let path = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join(name);
    let status = compiler(true).args(arguments).arg("-o").arg(&path).status();
    assert!(status.expect("the C compiler runs").success(), "{name} does not compile");
    println!("cargo::rustc-env={variable}={}", path.display());
}

fn main() {
    let archive = "../target/release/libmesa_slab.a";
    assert!(Path::new(archive).exists(), "there is no {archive}; run: make build");
    for file in ["build.rs", "null", "classic", "loops", "../include", archive] {
        println!("cargo::rerun-if-changed={file}");
    }
    shared_object("NULL_LIBRARY", "libnull_slab.so", &["-I../include", "null/null.c"]);
    shared_object("CLASSIC_LIBRARY", "libclassic_slab.so", &["classic/classic.c"]);

    // A driver is a shared object with the archive in it, and so are these.
    let whole = ["-Wl,--whole-archive", archive, "-Wl,--no-whole-archive"];
    shared_object("STATIC_LIBRARY", "libstatic_slab.so", &whole);
    let inlined = ["-DSLAB_INLINE", "-I../include", "loops/loops.c"];
    shared_object("INLINED_LIBRARY", "libinlined_slab.so", &[&inlined[..], &whole].concat());

    let mut loops = cc::Build::new();
    loops.force_frame_pointer(false);
    loops.opt_level(2).std("c11").warnings(true).file("loops/loops.c").compile("bench_loops");
}
