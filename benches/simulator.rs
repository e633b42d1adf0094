//! Complete simulated runs per second: drawing input, settings and faults from a seed, the whole cluster through all its
//! failures to the job's end, and the verdict.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "benches measure real time")]

mod support;

use std::{
    num::NonZero,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use tidegate_scenarios::catalogue::{Scenario, find};
use tidegate_sim::{many::run_many, run::Verdict};

use support::is_test;

/// Runs of different seeds differ much: each sample does the same ones.
const SEEDS: u64 = 200;

/// Gives the virtual time that passed. As on the command line, one seed in 16 is run twice and compared.
fn run_seeds(scenario: &Scenario, seeds: u64, cores: usize) -> Duration {
    let mut virtual_time = Duration::ZERO;
    let spec = |seed| scenario.spec(seed);
    run_many(0..seeds, cores, spec, |seed, report| {
        assert_eq!(report.verdict, Verdict::Held, "seed {seed} of {} is broken", scenario.name);
        virtual_time += report.virtual_time;
        true
    })
    .expect("the catalogue's scenarios make sense");
    virtual_time
}

fn simulator(criterion: &mut Criterion) {
    let scenario = find("wordcount").expect("it is in the catalogue");
    let seeds = if is_test() { 10 } else { SEEDS };
    let mut group = criterion.benchmark_group(format!("simulated {}", scenario.name));
    group
        .throughput(Throughput::Elements(seeds))
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10)
        .measurement_time(Duration::from_secs(15));
    for (name, cores) in [("one core", 1), ("all cores", available_parallelism().map_or(1, NonZero::get))] {
        group.bench_function(name, |bencher| bencher.iter(|| run_seeds(scenario, seeds, cores)));
    }
    group.finish();
    let started = Instant::now();
    let virtual_time = run_seeds(scenario, seeds, 1);
    println!("virtual time passes {:.1} times as fast", virtual_time.as_secs_f64() / started.elapsed().as_secs_f64());
}

criterion_group!(benches, simulator);
criterion_main!(benches);
