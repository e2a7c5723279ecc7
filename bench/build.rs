//! Compiles the baseline into a shared object of its own, which the program loads like any other.

use std::env;
use std::path::PathBuf;

fn main() {
    for file in ["build.rs", "classic/classic.c", "classic/slab.h", "classic/lock.h"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let library = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"))
        .join("libclassic_slab.so");
    let mut build = cc::Build::new();
    // The last two let it call its own functions directly, as where it is linked into a driver.
    build.opt_level(2).std("c11").define("_GNU_SOURCE", None).debug(true);
    build.pic(true).flag("-shared").flag("-Wl,-Bsymbolic").flag("-fno-semantic-interposition");
    let status = build
        .get_compiler()
        .to_command()
        .arg("classic/classic.c")
        .arg("-o")
        .arg(&library)
        .status()
        .expect("the C compiler runs");
    assert!(status.success(), "classic/classic.c does not compile");
    println!("cargo::rustc-env=CLASSIC_LIBRARY={}", library.display());
}
