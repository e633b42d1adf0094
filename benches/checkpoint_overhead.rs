//! What checkpoints cost word count: its throughput with them over its throughput without.
//!
//! A machine's speed drifts by more than the few per cent in question. So runs with and without checkpoints alternate in
//! one process, and each ratio is that of two neighbours. Criterion cannot pair, so this bench prints a table of its own:
//! `cargo bench --bench checkpoint_overhead`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "benches measure real time")]

mod support;

use support::{Checkpoints, Job, Work, is_test};

/// How many pairs for each interval.
const PAIRS: usize = 6;

/// The middle of some numbers, and their ends.
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(mut numbers: Vec<f64>) -> Self {
        numbers.sort_by(f64::total_cmp);
        let (min, max) = (numbers[0], numbers[numbers.len() - 1]);
        let median = (numbers[(numbers.len() - 1) / 2] + numbers[numbers.len() / 2]) / 2.0;
        Self { median, min, max }
    }
}

/// One row of the table.
fn measure(job: &Job, checkpoints: Checkpoints, pairs: usize) {
    let expected = job.expected();
    let rate = |checkpoints| {
        let (took, totals) = job.run(checkpoints);
        assert!(job.is_exact(totals, expected), "{} with {checkpoints}: {totals:?}", job.work);
        job.records as f64 / took.as_secs_f64() / 1e6
    };
    let (mut off, mut on) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        // Each goes first in every other pair, so that a drift favours neither.
        if pair % 2 == 0 {
            off.push(rate(Checkpoints::Off));
            on.push(rate(checkpoints));
        } else {
            on.push(rate(checkpoints));
            off.push(rate(Checkpoints::Off));
        }
    }
    let ratio = Spread::of(on.iter().zip(&off).map(|(on, off)| on / off).collect());
    let (on, off) = (Spread::of(on), Spread::of(off));
    println!(
        "{:<26} {:>8.2} {:>8.2} {:>18.3}   {:.3} ({:.3} to {:.3})",
        checkpoints.to_string(),
        off.median,
        on.median,
        on.median / off.median,
        ratio.median,
        ratio.min,
        ratio.max
    );
}

fn main() {
    let test = is_test();
    let records = if test { 200_000 } else { 15_000_000 };
    let job = Job { work: Work::WordCount, keys: 100_000, records, parallelism: 2 };
    println!("{}, {} keys, {} records; million records per second", job.work, job.keys, job.records);
    println!("{:<26} {:>8} {:>8} {:>18}   ratio of a pair: median (min to max)", "", "off", "on", "ratio of medians");
    for checkpoints in Checkpoints::ALL.into_iter().filter(|c| *c != Checkpoints::Off) {
        measure(&job, checkpoints, if test { 1 } else { PAIRS });
    }
}
