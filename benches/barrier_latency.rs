//! How long a barrier takes through a busy job: from the trigger until the last operator is aligned. Under an even load, and
//! when one key holds all the traffic, so that one of two subtasks has all the work and its channels are full.
//!
//! `cargo bench --bench barrier_latency` prints a table: figures of single checkpoints are nothing that criterion measures.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "benches measure real time")]

mod measured;
mod support;

use std::time::Duration;

use measured::{Trial, quantile};
use support::{Job, Work, is_test};

/// A name, the keys, and the records.
const LOADS: [(&str, u64, u64); 3] =
    [("1,000 keys", 1_000, 60_000_000), ("1,000,000 keys", 1_000_000, 40_000_000), ("one key", 1, 60_000_000)];

const INTERVAL: Duration = Duration::from_millis(50);

fn row(name: &str, numbers: &[f64]) {
    let ms = |share| quantile(numbers, share).map_or("-".to_owned(), |ms| format!("{ms:.3}"));
    println!("  {name:<44} {:>9} {:>9} {:>9} {:>7}", ms(0.5), ms(0.99), ms(1.0), numbers.len());
}

fn main() {
    let interval = if is_test() { INTERVAL / 25 } else { INTERVAL };
    println!("a checkpoint every {interval:?}, parallelism 2; milliseconds");
    println!("  {:<44} {:>9} {:>9} {:>9} {:>7}", "", "p50", "p99", "max", "number");
    for work in [Work::WordCount, Work::KeyedSum] {
        for (name, keys, records) in LOADS {
            let records = if is_test() { records / 50 } else { records };
            let job = Job { work, keys, records, parallelism: 2 };
            let measured = Trial::of(job).every(interval).run_checked(job.expected());
            let figures = measured.checkpoints;
            println!("{work}, {name}: {:.1} M records/s", measured.window.records_per_second() / 1e6);
            row("trigger to last operator aligned", &figures.barrier_ms);
            row("first to last barrier of a task", &figures.alignment_ms);
            row("a task stands still", &figures.synchronous_ms);
            row("trigger to durable checkpoint", &figures.duration_ms);
        }
    }
}
