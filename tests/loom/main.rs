// SPDX-License-Identifier: MIT
//! Models of what threads do to a pool and to the heap at the same time, for the model checker.
//!
//! Every function here is run once for each order of steps that its threads can take (up to a
//! number of preemptions), on the library itself, built with `--cfg loom`. `make loom` does it; see
//! `docs/concurrency.md`. Otherwise this file is empty.
#![cfg(loom)]

mod heap;
mod limbo;
mod pool;
mod sleepers;
mod world;
