//! Gives the shared library its SONAME, which cargo does not set by itself.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let elf = !matches!(os.as_str(), "windows" | "macos" | "ios");
    if elf {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libmesa_slab.so.0");
    }
}
