// SPDX-License-Identifier: MIT
//! The version that `include/slab.h` says is that of the library.

const HEADER: &str = include_str!("../include/slab.h");

fn value(part: &str) -> u32 {
    let prefix = format!("#define SLAB_VERSION_{part} ");
    let value = HEADER.lines().find_map(|line| line.strip_prefix(&prefix)).expect(part);
    value.parse().expect(part)
}

#[test]
fn version_of_the_header_is_the_librarys() {
    let ours = [
        ("MAJOR", env!("CARGO_PKG_VERSION_MAJOR")),
        ("MINOR", env!("CARGO_PKG_VERSION_MINOR")),
        ("PATCH", env!("CARGO_PKG_VERSION_PATCH")),
    ];
    for (part, number) in ours {
        assert_eq!(value(part).to_string(), number, "{part}: cbindgen.toml has it; `make header`");
    }
}

#[test]
fn parts_of_the_version_do_not_run_into_each_other() {
    assert!(value("MINOR") < 1000 && value("PATCH") < 1000);
}
