//! Records per second through a keyed edge between two and two subtasks: within one task manager, where batches are handed
//! over, and between two, where half of them cross a TCP connection of this machine, encoded.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "benches measure real time")]

mod measured;
mod support;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};

use measured::Trial;
use support::{Job, Work, is_test};

const JOBS: [(Work, u64); 2] = [(Work::WordCount, 40_000_000), (Work::KeyedSum, 100_000_000)];

fn exchange(criterion: &mut Criterion) {
    for (work, records) in JOBS {
        let records = if is_test() { records / 1000 } else { records };
        let job = Job { work, keys: 1_000, records, parallelism: 2 };
        let expected = job.expected();
        let mut group = criterion.benchmark_group(format!("exchange, {work}"));
        group
            .throughput(Throughput::Elements(records))
            .sampling_mode(SamplingMode::Flat)
            .sample_size(10)
            .warm_up_time(Duration::from_millis(1))
            .measurement_time(Duration::from_secs(20));
        for (name, task_managers) in [("in one task manager", 1), ("half over TCP", 2)] {
            let trial = Trial { task_managers, ..Trial::of(job) };
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter_custom(|iterations| {
                    let seconds = (0..iterations).map(|_| {
                        // The steady part, as if all of the run were like it.
                        let window = trial.run_checked(expected).window;
                        records as f64 / window.records_per_second()
                    });
                    Duration::from_secs_f64(seconds.sum())
                });
            });
        }
    }
}

criterion_group!(benches, exchange);
criterion_main!(benches);
