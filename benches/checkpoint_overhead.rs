//! What checkpoints cost word count: its throughput with them over its throughput without, over interval and size of state.
//!
//! A machine's speed drifts by more than the few per cent in question. So runs with and without checkpoints alternate in
//! one process, and each ratio is that of two neighbours. Criterion cannot pair, so this bench prints a table of its own and
//! draws it into `target/tmp/checkpoint_overhead.svg`:
//!
//! ```sh
//! cargo bench --bench checkpoint_overhead                # 1,000 and 1,000,000 keys
//! cargo bench --bench checkpoint_overhead -- --all       # and 100,000 and 10,000,000; an hour
//! cargo bench --bench checkpoint_overhead -- --pairs 20  # narrower spreads
//! ```
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "benches measure real time")]

mod measured;
mod support;

use std::{path::Path, time::Duration};

use clap::Parser;

use measured::{Spread, Trial, draw, quantile};
use support::{Job, Totals, Work, is_test};

#[derive(Parser)]
struct Options {
    /// All sizes of state, not only the small and the large one
    #[arg(long)]
    all: bool,
    /// How many pairs for each figure
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    // Cargo passes these.
    #[arg(long, hide = true)]
    bench: bool,
    #[arg(long, hide = true)]
    test: bool,
}

/// Keys, and records: a run takes some seconds, and after a quarter of them most keys are there.
const SIZES: [(u64, u64, bool); 4] = [
    (1_000, 60_000_000, true),
    (100_000, 50_000_000, false),
    (1_000_000, 40_000_000, true),
    (10_000_000, 80_000_000, false),
];

const INTERVALS: [Duration; 4] =
    [Duration::from_secs(5), Duration::from_secs(1), Duration::from_millis(100), Duration::from_millis(10)];

/// One row of the table; gives the share of the throughput that is lost.
fn measure(job: Job, expected: Totals, interval: Duration, pairs: u32) -> Spread {
    let (without, with) = (Trial::of(job), Trial::of(job).every(interval));
    let (mut off, mut on, mut durations, mut still) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut run = |trial: &Trial, rates: &mut Vec<f64>| {
        let measured = trial.run_checked(expected);
        rates.push(measured.window.records_per_second() / 1e6);
        durations.extend(measured.checkpoints.duration_ms);
        still.extend(measured.checkpoints.synchronous_ms);
    };
    for pair in 0..pairs {
        // Each goes first in every other pair, so that a drift favours neither.
        if pair.is_multiple_of(2) {
            run(&without, &mut off);
            run(&with, &mut on);
        } else {
            run(&with, &mut on);
            run(&without, &mut off);
        }
    }
    let loss = Spread::of(on.iter().zip(&off).map(|(on, off)| 1.0 - on / off)).expect("there is a pair");
    let median = |rates: Vec<f64>| Spread::of(rates).expect("there is a pair").median;
    let ms = |numbers: &[f64], share| quantile(numbers, share).map_or("-".to_owned(), |ms| format!("{ms:.1}"));
    println!(
        "{:>10} {:>9} {:>8.2} {:>8.2} {:>26} {:>12} {:>12} {:>12}",
        job.keys,
        format!("{interval:?}"),
        median(off),
        median(on),
        format!("{:.1}", loss.times(100.0)),
        ms(&durations, 0.5),
        ms(&durations, 0.99),
        ms(&still, 0.99),
    );
    loss
}

fn main() {
    let options = Options::parse();
    println!("word count at parallelism 2; million records per second");
    println!(
        "{:>10} {:>9} {:>8} {:>8} {:>26} {:>12} {:>12} {:>12}",
        "keys", "every", "off", "on", "lost %, pairs (min to max)", "one p50 ms", "one p99 ms", "still p99 ms"
    );
    let mut lines = Vec::new();
    for (keys, records, is_default) in SIZES {
        if !is_default && !options.all {
            continue;
        }
        let (keys, records) = if is_test() { (keys.min(1_000), records / 200) } else { (keys, records) };
        let job = Job { work: Work::WordCount, keys, records, parallelism: 2 };
        let expected = job.expected();
        let pairs = if is_test() { 1 } else { options.pairs };
        let loss = |(i, interval)| (i, measure(job, expected, interval, pairs).times(100.0));
        lines.push((format!("{keys} keys"), INTERVALS.into_iter().enumerate().map(loss).collect()));
    }
    if !is_test() {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("checkpoint_overhead.svg");
        let positions = INTERVALS.map(|interval| format!("{interval:?}"));
        let title = "per cent of the throughput lost to checkpoints";
        draw(&file, title, "a checkpoint every", &positions, &lines).expect("the target directory is writable");
        println!("drawn into {}", file.display());
    }
}
