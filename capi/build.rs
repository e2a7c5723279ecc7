//! Gives the shared library its SONAME, which cargo does not set by itself, and with musl the name of the
//! C library that it needs, which the libc crate leaves to std there.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let elf = !matches!(os.as_str(), "windows" | "macos" | "ios");
    if elf {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libmesa_slab.so.0");
    }
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "musl") {
        println!("cargo::rustc-cdylib-link-arg=-lc");
    }
}
