//! Compiles what has to be C: the fast paths as a C program inlines them, and the system's
//! functions in the test's hand, which the C tests have as well.

fn main() {
    let sources = ["src/inlined.c", "../../capi-tests/os_requests.c"];
    let headers = ["../../include", "../../capi-tests"];
    for path in sources.iter().chain(&headers) {
        println!("cargo::rerun-if-changed={path}");
    }
    cc::Build::new()
        .files(sources)
        .includes(headers)
        .std("c11")
        .opt_level(2)
        .define("_GNU_SOURCE", None)
        .warnings(true)
        .compile("model_c");
}
