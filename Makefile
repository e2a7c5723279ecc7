# What takes more than a command or two is in scripts/.

PREFIX = /usr/local
LIBDIR = $(PREFIX)/lib
MANDIR = $(PREFIX)/share/man

# Where scripts/setup puts the tools that the system lacks.
export PATH := $(CURDIR)/target/tools/bin:$(PATH)
export CARGO_TARGET_DIR := $(CURDIR)/target

library := target/staged/libmesa_slab.so target/staged/libmesa_slab.a
sources := Cargo.toml Cargo.lock capi/Cargo.toml capi/build.rs \
  $(shell find src capi/src -name '*.rs')

.PHONY: help build header man docs tools dist wrap deb demo demo-tools measure install clean FORCE
.PHONY: bench bench-quick bench-instructions bench-modes bench-test
.PHONY: fuzz soak soak-host coverage abi loom mutants
.PHONY: test test-rust test-builds test-c test-sanitizers test-host test-tools test-targets test-packages test-mesa test-mesa-quick

help: ## Lists the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

build: $(library) ## Builds the shared and the static library below target/release

$(library) &: $(sources) target/settings scripts/build
	scripts/build

# Changes when cargo is told to build something else, by a variable or by a file. Root, who installs what another
# user has built, need not have cargo.
target/settings: FORCE
	@scripts/build --settings

header: ## Generates the headers below include/ anew
	scripts/setup header
	cbindgen -q --config cbindgen.toml -o include/slab.h src/abi/slab.rs
	cbindgen -q --config cbindgen-ext.toml -o include/slab_ext.h src/abi/ext.rs

tools: ## Builds slabtool, which `make install` then installs as well
	scripts/setup tools
	scripts/build-tools

man: ## Makes the man pages, which `make install` then installs as well
	scripts/setup man
	scripts/man

docs: ## Makes a site of the documents and the functions, target/site/html
	scripts/setup docs
	scripts/site

demo: ## Runs the example driver: a share group, and the traces of real drivers
	scripts/setup demo
	meson setup target/driver capi-tests/driver --force-fallback-for=mesa-slab
	meson compile -C target/driver demo
	@echo "make demo-tools shows slabtool on it, and on a core of it"

demo-tools: tools $(library) ## Shows slabtool on the example driver and a core of it, and on programs with two copies or with leaks
	scripts/setup demo demo-tools
	meson setup target/driver capi-tests/driver --force-fallback-for=mesa-slab
	meson compile -C target/driver
	scripts/demo-tools

measure: ## Measures memory and time, against the pool as drivers had it before
	scripts/setup demo
	meson setup target/driver capi-tests/driver --force-fallback-for=mesa-slab
	meson compile -C target/driver measure

# BENCH_FLAGS are the program's own: --compare FILE, --lib NAME=PATH, --only TEXT; --help lists them.
bench: $(library) ## Times the library against the 2016 design and general allocators
	scripts/setup bench
	cargo run --locked --release --manifest-path bench/Cargo.toml --target-dir target/bench -- $(BENCH_FLAGS)

bench-quick: $(library) ## The same in fewer and shorter rounds
	scripts/setup bench
	cargo run --locked --release --manifest-path bench/Cargo.toml --target-dir target/bench -- --quick $(BENCH_FLAGS)

bench-instructions: $(library) ## Counts the instructions of each operation with valgrind
	scripts/setup bench bench-instructions
	cargo run --locked --release --manifest-path bench/Cargo.toml --target-dir target/bench -- --instructions $(BENCH_FLAGS)

bench-modes: $(library) ## Times the modes of SLAB_DEBUG and sampling against the library without, and counts instructions
	scripts/setup bench bench-instructions
	bench/modes
	bench/modes --instructions

bench-test: $(library) ## Formatting, lints and tests of the benchmark; the C tests on its baseline
	scripts/setup test bench
	cargo fmt --manifest-path bench/Cargo.toml --check
	cargo clippy --locked --release --manifest-path bench/Cargo.toml --target-dir target/bench --all-targets -- -D warnings
	cargo test --locked --release --manifest-path bench/Cargo.toml --target-dir target/bench
	bench/classic/tests/run

test: ## Runs the tests and checks; installs the tools that it needs
	scripts/setup test
	scripts/test

test-rust: ## Formatting, lints, Rust unit tests, the header
	scripts/setup test
	scripts/test rust

test-builds: ## Every build, the install, what the libraries export
	scripts/setup test
	scripts/test builds

test-tools: ## slabtool on processes and cores
	scripts/setup test
	scripts/test tools

test-c: ## The C tests and those of the example driver
	scripts/setup test
	scripts/test c

test-sanitizers: ## The C tests under valgrind, ASan and TSan; traces and misuse in every mode
	scripts/setup test
	scripts/test sanitizers

test-host: ## What the library may not do to the program around it: each case that was reported, by the tests that show it
	scripts/setup test
	scripts/test-host

test-targets: ## The tests with the oldest rustc: on i686, aarch64, musl, Windows; builds for other systems
	scripts/setup targets
	scripts/test-targets

test-packages: ## Makes site, tarball and Debian packages of a fresh clone, and builds programs with them
	scripts/setup test docs deb
	scripts/check-packages

# MESA_FLAGS are scripts/test-mesa's own: parts, --again.
test-mesa: ## Builds Mesa with its own slab and with the library, and compares what its drivers do
	scripts/setup mesa
	scripts/test-mesa $(MESA_FLAGS)

test-mesa-quick: ## The same with what is built already, without piglit
	scripts/test-mesa --quick $(MESA_FLAGS)

MINUTES = 15
THREADS = 8

# LOOM_MAX_PREEMPTIONS raises the bound of the models that have one.
loom: ## Model-checks what threads do to pools and to the heap, further than `make test`
	scripts/setup loom
	LOOM_MAX_PREEMPTIONS=$${LOOM_MAX_PREEMPTIONS:-4} scripts/loom

mutants: ## Breaks the lock protocol in one place at a time; some test must see each
	scripts/setup mutants
	scripts/mutants

fuzz: ## Looks for new sequences of calls for MINUTES, guided by coverage, with ASan
	scripts/setup fuzz
	scripts/fuzz $(MINUTES)

# SOAK_FLAGS=--sleepers is the soak of pools that sleep.
soak: ## Runs everything at once for MINUTES, in THREADS threads, and watches the memory
	scripts/setup soak
	scripts/soak $(MINUTES) $(THREADS) $(SOAK_FLAGS)

SECONDS = 300

soak-host: ## Does everything at once that a program may do around the library, for SECONDS with each library
	scripts/setup test
	scripts/host-soak $(SECONDS)

# COVERAGE_FLAGS=--show lists the lines that are not reached.
coverage: ## Measures which lines and branches of src/ the tests reach
	scripts/setup coverage
	scripts/coverage $(COVERAGE_FLAGS)

abi: ## Describes the ABI anew, below abi/
	scripts/setup test
	scripts/check-abi --accept

install: export PREFIX := $(PREFIX)
install: export LIBDIR := $(LIBDIR)
install: export MANDIR := $(MANDIR)
install: export DESTDIR := $(DESTDIR)
dist: ## Makes tarballs with all that builds of the library and of slabtool need without a network, below target/dist
	scripts/setup man
	scripts/dist

wrap: dist ## Writes target/dist/mesa-slab.wrap, for the tarball at URL
	scripts/wrap '$(URL)'

# DEB_FLAGS=--without-slabtool makes those of the library alone.
deb: dist ## Builds Debian packages from the tarballs, below target/deb
	scripts/setup deb
	scripts/deb $(DEB_FLAGS)

install: $(library) ## Installs below DESTDIR/PREFIX: the headers, the libraries, what finds them
	scripts/install

clean: ## Removes what was built, but not the tools
	test ! -d target || find target -mindepth 1 -maxdepth 1 ! -name tools -exec rm -rf {} +
