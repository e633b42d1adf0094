//! How long the way back takes: a subtask fails half-way, and its job restores the newest checkpoint, over the size of its
//! state. From the failure to the first record after it, in a table: `cargo bench --bench recovery`, with `-- --all` also for
//! ten million keys. Every run's totals must be exact all the same.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "benches measure real time")]

mod measured;
mod support;

use std::time::Duration;

use measured::{Spread, Trial};
use support::{Job, Work, is_test};

/// Keys, and records: at half of them most keys are there, and some checkpoints.
const SIZES: [(u64, u64); 4] =
    [(1_000, 40_000_000), (100_000, 40_000_000), (1_000_000, 30_000_000), (10_000_000, 80_000_000)];

const INTERVAL: Duration = Duration::from_millis(200);
const RUNS: usize = 5;

fn main() {
    let all = std::env::args().any(|argument| argument == "--all");
    println!(
        "word count, parallelism 2, a checkpoint every {INTERVAL:?}; milliseconds to the first record after the failure"
    );
    println!("{:>10} {:>28} {:>28}  runs that found a checkpoint", "keys", "from the failure", "from its detection");
    for (keys, records) in SIZES {
        if keys > 1_000_000 && !all {
            continue;
        }
        let (keys, records) = if is_test() { (keys.min(1_000), records / 50) } else { (keys, records) };
        let job = Job { work: Work::WordCount, keys, records, parallelism: 2 };
        let expected = job.expected();
        let trial = Trial { fails: true, ..Trial::of(job).every(if is_test() { INTERVAL / 50 } else { INTERVAL }) };
        let runs = if is_test() { 1 } else { RUNS };
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
