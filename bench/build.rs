//! Compiles what measures the harness, the baseline, and what has the static library in it, into
//! shared objects of their own, which the program loads like any other; and the loops of the
//! workloads into the program itself.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Copy, PartialEq)]
enum Language {
    C,
    Cpp,
}

fn compiler(language: Language) -> Command {
    let mut build = cc::Build::new();
    let standard = if language == Language::C { "c11" } else { "gnu++20" };
    build.cpp(language == Language::Cpp);
    build
        .opt_level(2)
        .std(standard)
        .define("_GNU_SOURCE", None)
        .debug(true)
        .pic(true)
        .warnings(true);
    // As drivers are built: with the option, gcc saves registers on the fast paths.
    build.force_frame_pointer(false);
    // The last two let it call its own functions directly, as where it is linked into a driver.
    build.flag("-shared").flag("-Wl,-Bsymbolic").flag("-fno-semantic-interposition");
    build.get_compiler().to_command()
}

/// Makes a shared object, whose path the program gets as an environment variable when it is
/// compiled.
fn shared_object(language: Language, variable: &str, name: &str, arguments: &[&str]) {
    let path = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join(name);
    let status = compiler(language).args(arguments).arg("-o").arg(&path).status();
    assert!(
        status.expect("the C compiler runs").success(),
        "{name} does not compile; scripts/setup bench installs what it needs"
    );
    println!("cargo::rustc-env={variable}={}", path.display());
}

/// The pools of other libraries, with the loops in which their functions are inlined. All are
/// Debian packages.
fn peers() {
    let common = ["-x", "c++", "loops/loops.c", "-x", "none", "-Ipeers"];
    let peer = |variable, name, header: &str, more: &[&str]| {
        let header = format!("-DBENCH_INLINED=\"{header}\"");
        let arguments = [&[header.as_str()][..], &common, more].concat();
        shared_object(Language::Cpp, variable, name, &arguments);
    };
    peer("BOOST_LIBRARY", "libboost_slab.so", "boost.hpp", &[]);
    let include = ["-isystem", "/usr/include/foonathan_memory", "-lfoonathan_memory"];
    peer("FOONATHAN_LIBRARY", "libfoonathan_slab.so", "foonathan.hpp", &include);
    // From its archives: as shared objects it loads all drivers that are installed.
    let output = Command::new("pkg-config").args(["--cflags", "libdpdk"]).output();
    let flags = output.expect("scripts/setup bench installs pkg-config").stdout;
    let flags = String::from_utf8(flags).expect("flags are text");
    let mut flags: Vec<_> = flags.split_whitespace().collect();
    flags.extend(["-Wl,--whole-archive", "-l:librte_mempool_ring.a", "-Wl,--no-whole-archive"]);
    flags.extend(["-l:librte_mempool.a", "-l:librte_ring.a", "-l:librte_eal.a"]);
    flags.extend(["-l:librte_telemetry.a", "-l:librte_kvargs.a"]);
    flags.extend(["-lnuma", "-lbsd", "-lpthread", "-ldl", "-lm"]);
    peer("DPDK_LIBRARY", "libdpdk_slab.so", "dpdk.hpp", &flags);
}

fn main() {
    let archive = "../target/release/libmesa_slab.a";
    assert!(Path::new(archive).exists(), "there is no {archive}; run: make build");
    for file in ["build.rs", "null", "classic", "loops", "peers", "../include", archive] {
        println!("cargo::rerun-if-changed={file}");
    }
    shared_object(Language::C, "NULL_LIBRARY", "libnull_slab.so", &["-I../include", "null/null.c"]);
    shared_object(Language::C, "CLASSIC_LIBRARY", "libclassic_slab.so", &["classic/classic.c"]);

    // A driver is a shared object with the archive in it, and so are these; but a driver exports none of it.
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let shown = out.join("libmesa_slab_shown.a");
    let hide =
        Command::new("../scripts/hide-symbols").arg("--shown").arg(&shown).arg(archive).status();
    assert!(hide.expect("python3 runs").success(), "{archive} cannot be read");
    let shown = shown.to_str().expect("the path is text");
    let whole = ["-Wl,--whole-archive", shown, "-Wl,--no-whole-archive"];
    shared_object(Language::C, "STATIC_LIBRARY", "libstatic_slab.so", &whole);
    let inlined = ["-DSLAB_INLINE", "-DBENCH_INLINED=\"slab.h\"", "-I../include", "loops/loops.c"];
    shared_object(
        Language::C,
        "INLINED_LIBRARY",
        "libinlined_slab.so",
        &[&inlined[..], &whole].concat(),
    );

    if env::var_os("CARGO_FEATURE_PEERS").is_some() {
        peers();
    }

    let mut loops = cc::Build::new();
    loops.force_frame_pointer(false);
    loops.opt_level(2).std("c11").warnings(true).file("loops/loops.c").compile("bench_loops");
}
