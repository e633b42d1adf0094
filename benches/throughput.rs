//! Records per second of whole jobs in the real world: one process, one or two subtasks of each operator, local TCP between
//! job manager and task manager, checkpoints synced to disk.
//!
//! Sources make their records and sinks drop them, so that neither is what is measured. Every run is checked: each record
//! must have been counted exactly once.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "benches measure real time")]

mod support;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};

use support::{Checkpoints, Job, Work, is_test};

/// Work, keys, parallelism and records: each job takes about two seconds, so that it sees a checkpoint at either interval.
const JOBS: [(Work, u64, u32, u64); 6] = [
    (Work::WordCount, 1_000, 1, 60_000_000),
    (Work::WordCount, 1_000, 2, 60_000_000),
    (Work::WordCount, 1_000_000, 2, 30_000_000),
    (Work::KeyedSum, 1_000, 1, 200_000_000),
    (Work::KeyedSum, 1_000, 2, 200_000_000),
    (Work::KeyedSum, 1_000_000, 2, 80_000_000),
];

fn throughput(criterion: &mut Criterion) {
    for (work, keys, parallelism, records) in JOBS {
        let job = Job { work, keys, parallelism, records: if is_test() { records / 1000 } else { records } };
        let expected = job.expected();
        let mut group = criterion.benchmark_group(format!("{work}, {keys} keys, parallelism {parallelism}"));
        group
            .throughput(Throughput::Elements(job.records))
            .sampling_mode(SamplingMode::Flat)
            .sample_size(10)
            .warm_up_time(Duration::from_millis(1))
            // About what ten runs take: with more, a sample would be two runs.
            .measurement_time(Duration::from_secs(15));
        for checkpoints in Checkpoints::ALL {
            group.bench_function(BenchmarkId::from_parameter(checkpoints), |bencher| {
                bencher.iter_custom(|iterations| {
                    (0..iterations)
                        .map(|_| {
                            let (took, totals) = job.run(checkpoints);
                            assert!(job.is_exact(totals, expected), "{work} with {checkpoints}: {totals:?}");
                            took
                        })
                        .sum()
                });
            });
        }
    }
}

criterion_group!(benches, throughput);
criterion_main!(benches);
