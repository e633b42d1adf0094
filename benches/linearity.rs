//! That cost grows with what is done and with nothing else: with the records, with the state that changed, and not with the
//! checkpoints that are kept. `cargo bench --bench linearity` prints the curves; what stays level in a table is linear.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "benches measure real time")]

mod measured;
mod support;

use std::time::Duration;

use tidegate::checkpoint::CheckpointOptions;

use measured::{Measured, Trial, quantile};
use support::{Job, Work, is_test};

const INTERVAL: Duration = Duration::from_millis(100);

fn run(keys: u64, records: u64, retained: u32) -> Measured {
    let records = if is_test() { records / 50 } else { records };
    let job = Job { work: Work::WordCount, keys, records, parallelism: 2 };
    let interval = if is_test() { INTERVAL / 50 } else { INTERVAL };
    let options = CheckpointOptions { interval, retained, ..CheckpointOptions::default() };
    Trial { checkpoints: Some(options), ..Trial::of(job) }.run_checked(job.expected())
}

/// The middle one of some numbers; none if there were no checkpoints.
fn median(numbers: &[f64]) -> f64 {
    quantile(numbers, 0.5).unwrap_or(f64::NAN)
}

fn over_records() {
    println!("over records: 100,000 keys, a checkpoint every {INTERVAL:?}");
    println!("{:>12} {:>16} {:>16}", "records", "CPU s", "CPU ns a record");
    for records in [10_000_000, 20_000_000, 40_000_000, 80_000_000] {
        let window = run(100_000, records, 1).window;
        println!("{:>12} {:>16.2} {:>16.1}", window.records, window.cpu_seconds, window.cpu_ns_per_record());
    }
}

fn over_changed_state() {
    println!("over changed state: between two checkpoints, about every key changes");
    println!("{:>12} {:>16} {:>16} {:>16} {:>16}", "keys", "bytes", "bytes a key", "one p50 ms", "ns a key");
    for keys in [10_000, 30_000, 100_000, 300_000, 1_000_000] {
        let figures = run(keys, 40_000_000, 1).checkpoints;
        let bytes = median(&figures.bytes.iter().map(|bytes| *bytes as f64).collect::<Vec<_>>());
        let (ms, keys) = (median(&figures.duration_ms), keys as f64);
        println!("{keys:>12} {bytes:>16} {:>16.1} {ms:>16.2} {:>16.1}", bytes / keys, ms * 1e6 / keys);
    }
}

fn over_retained_checkpoints() {
    println!("over retained checkpoints: 100,000 keys");
    println!("{:>12} {:>16} {:>16} {:>16}", "retained", "one p50 ms", "one p99 ms", "CPU ns a record");
    for retained in [1, 4, 16, 64] {
        let Measured { window, checkpoints, .. } = run(100_000, 80_000_000, retained);
        let most = quantile(&checkpoints.duration_ms, 0.99).unwrap_or(f64::NAN);
        let half = median(&checkpoints.duration_ms);
        println!("{retained:>12} {half:>16.2} {most:>16.2} {:>16.1}", window.cpu_ns_per_record());
    }
}

fn main() {
    over_records();
    over_changed_state();
    over_retained_checkpoints();
}
