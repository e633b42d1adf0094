//! How long the way back takes: a subtask fails half-way, and its job restores the newest checkpoint, over the size of its
//! state. From the failure to the first record after it, in a table. Every run's totals must be exact all the same.
//!
//! ```sh
//! cargo bench --bench recovery                      # up to a million keys, two subtasks of each stage
//! cargo bench --bench recovery -- --all             # and ten million
//! cargo bench --bench recovery -- --parallelism 1   # one subtask has all of the state
//! cargo bench --bench recovery -- --keys 1000000 --runs 20
//! ```
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "benches measure real time")]

mod measured;
mod support;

use std::time::Duration;

use clap::Parser;

use measured::{Spread, Trial};
use support::{Job, Work, is_test};

/// Keys, and records: at half of them most keys are there, and some checkpoints.
const SIZES: [(u64, u64); 4] =
    [(1_000, 40_000_000), (100_000, 40_000_000), (1_000_000, 30_000_000), (10_000_000, 80_000_000)];

const INTERVAL: Duration = Duration::from_millis(200);

#[derive(Parser)]
struct Options {
    /// Ten million keys, too
    #[arg(long)]
    all: bool,
    /// Only this size of state
    #[arg(long)]
    keys: Option<u64>,
    /// How many subtasks each stage has
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=128))]
    parallelism: u32,
    /// How many runs for each figure
    #[arg(long, default_value_t = 5)]
    runs: usize,
    // Cargo passes these.
    #[arg(long, hide = true)]
    bench: bool,
    #[arg(long, hide = true)]
    test: bool,
}

fn main() {
    let options = Options::parse();
    let parallelism = options.parallelism;
    println!(
        "word count, parallelism {parallelism}, a checkpoint every {INTERVAL:?}; milliseconds to the first record after the \
         failure"
    );
    println!("{:>10} {:>28} {:>28}  runs that found a checkpoint", "keys", "from the failure", "from its detection");
    for (keys, records) in SIZES {
        if options.keys.map_or(keys > 1_000_000 && !options.all, |only| only != keys) {
            continue;
        }
        let (keys, records) = if is_test() { (keys.min(1_000), records / 50) } else { (keys, records) };
        let job = Job { work: Work::WordCount, keys, records, parallelism };
        let expected = job.expected();
        let trial = Trial { fails: true, ..Trial::of(job).every(if is_test() { INTERVAL / 50 } else { INTERVAL }) };
        let runs = if is_test() { 1 } else { options.runs };
        let measured = (0..runs).map(|_| trial.run_checked(expected).recovery.expect("a subtask fails"));
        let restored: Vec<_> = measured.filter(|recovery| recovery.restored).collect();
        let show = |spread: Option<Spread>| spread.map_or("-".to_owned(), |ms| format!("{ms:.1}"));
        println!(
            "{keys:>10} {:>28} {:>28}  {}",
            show(Spread::of(restored.iter().map(|recovery| recovery.from_failure_ms))),
            show(Spread::of(restored.iter().filter_map(|recovery| recovery.from_detection_ms))),
            restored.len()
        );
    }
}
