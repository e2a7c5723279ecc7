// SPDX-License-Identifier: MIT
//! Gives the shared library its SONAME, which cargo does not set by itself, and with musl the name of the
//! C library that it needs, which the libc crate leaves to std there.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let os = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let elf = !matches!(os.as_str(), "windows" | "macos" | "ios");
    if elf {
        let soname = concat!("libmesa_slab.so.", env!("CARGO_PKG_VERSION_MAJOR"));
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{soname}");
        link_soname(soname);
    }
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "musl") {
        println!("cargo::rustc-cdylib-link-arg=-lc");
    }
}

/// Gives the library a second name where cargo leaves it: the loader looks for the SONAME, so that a program
/// which is linked with the library of a build directory would not run without.
#[cfg(unix)]
fn link_soname(soname: &str) {
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    // The directory of the profile, which has the libraries, is above build/PACKAGE/out.
    let Some(profile) = Path::new(&out).ancestors().nth(3) else { return };
    let link = profile.join(soname);
    if link.symlink_metadata().is_err() {
        std::os::unix::fs::symlink("libmesa_slab.so", &link)
            .unwrap_or_else(|error| panic!("{}: {error}", link.display()));
    }
}

#[cfg(not(unix))]
fn link_soname(_: &str) {}
