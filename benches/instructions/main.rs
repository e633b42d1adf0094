//! How many instructions the main loops take: exact numbers, whatever else the machine does.
//!
//! ```sh
//! cargo bench -p tidegate-instructions     # needs valgrind and gungraun-runner: see .ci/run
//! callgrind_annotate $(find target/gungraun -name '*.w1_few_keys.out')     # where they are spent
//! ```
//!
//! Whole jobs run in the simulated world, on one thread and from a fixed seed, so that each run takes the same steps. What the
//! world itself takes is paid for each batch, and is in the numbers. An instruction is not a time: what waits for memory, or for
//! another core, does not show.
//!
//! Each count has a limit, some per cent above what it was when it was set: what the compiler inlines, and so the count, also hangs on
//! what else is in the program; word count has been seen to move by a tenth with nothing changed in the engine. Who makes a loop dearer and means it sets a new one;
//! a new compiler may need new ones, too.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "benches measure the real world, too")]

#[path = "../support/mod.rs"]
mod support;

mod jobs;
mod state;

use gungraun::{Callgrind, EventKind, prelude::*};

use jobs::of_jobs;
use state::of_state;

/// More instructions than this are an error.
fn at_most(instructions: u64) -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    let mut callgrind = Callgrind::with_args(["--cache-sim=no"]);
    callgrind.hard_limits([(EventKind::Ir, instructions)]);
    config.tool(callgrind);
    config
}

main!(library_benchmark_groups = [of_jobs, of_state]);
