//! What the scenarios draw alike: a cluster, a world, and settings of checkpoints that suit jobs of a fraction of a virtual
//! second.

use std::{sync::Arc, time::Duration};

use rand_chacha::ChaCha8Rng;
use tidegate::{
    checkpoint::{CheckpointOptions, SnapshotCompression, SnapshotPolicy},
    error::Result,
    graph::StreamExecutionEnvironment,
    job::RestartStrategy,
    stream::CheckpointMode,
};
use tidegate_sim::{
    cluster::node_names,
    env::{ClockSettings, DiskSettings, NetworkSettings, WorldSettings},
    fault::generate,
    run::{ClusterShape, Expectation, RunSpec},
    seed::{Draw, Seed, Stream},
    workload::Workload,
};

/// A parallelism for each of source, middle and sink.
pub(super) fn parallelism(settings: &mut ChaCha8Rng) -> [u32; 3] {
    [settings.between(1, 3) as u32, settings.between(1, 3) as u32, settings.between(1, 2) as u32]
}

/// Another one, of which neither is a multiple of the other if it can be helped.
pub(super) fn rescaled([source, middle, sink]: [u32; 3]) -> [u32; 3] {
    [source % 3 + 1, middle % 3 + 1, sink % 2 + 1]
}

/// Settings for the job at another parallelism: more of its snapshots get files than before.
pub(super) fn rescaled_checkpoints(checkpoints: &CheckpointOptions) -> CheckpointOptions {
    CheckpointOptions { inline_threshold: checkpoints.inline_threshold / 2, ..checkpoints.clone() }
}

/// Checkpoints at short intervals.
pub(super) fn checkpoints(settings: &mut ChaCha8Rng, mode: CheckpointMode) -> CheckpointOptions {
    let mut checkpoints = CheckpointOptions {
        interval: Duration::from_micros(settings.between(500, 6_000)),
        mode,
        // Long enough for a slow disk under back-pressure: a job whose checkpoints all time out can never end.
        timeout: Duration::from_millis(settings.between(150, 600)),
        min_pause: Duration::ZERO,
        tolerable_failures: settings.between(0, 3) as u32,
        retained: settings.between(1, 3) as u32,
        // Files are exercised by all; `inline_snapshots` does it otherwise.
        inline_threshold: 0,
        ..CheckpointOptions::default()
    };
    if settings.chance(30) {
        checkpoints.min_pause = Duration::from_micros(settings.between(100, 3_000));
    }
    // From numbers of their own, so that what a seed means otherwise does not hang on them.
    let mut settings = settings.clone();
    settings.set_stream(u64::MAX);
    // Few keys, most of which change: by cost alone, hardly any snapshot would build on another.
    checkpoints.snapshots = *settings.pick(&[
        SnapshotPolicy::Incremental,
        SnapshotPolicy::Incremental,
        SnapshotPolicy::ByCost,
        SnapshotPolicy::Full,
    ]);
    checkpoints.compression =
        *settings.pick(&[SnapshotCompression::None, SnapshotCompression::Lz4, SnapshotCompression::Zstd]);
    checkpoints
}

/// Restarts without end, after short delays.
pub(super) fn restarts() -> RestartStrategy {
    let ms = Duration::from_millis;
    RestartStrategy::ExponentialDelay { initial: ms(5), max: ms(40), reset_after: ms(500) }
}

/// An environment with these settings.
pub(super) fn environment(checkpoints: &CheckpointOptions, batch_size: usize) -> StreamExecutionEnvironment {
    let mut env = StreamExecutionEnvironment::new();
    env.set_batch_size(batch_size);
    *env.checkpoint_options_mut() = checkpoints.clone();
    env.set_restart_strategy(restarts());
    env
}

/// The run of a workload: a cluster with enough slots even if one task manager of three is away, or just enough, and a plan
/// of any faults.
pub(super) fn run(
    seed: Seed,
    parallelism: [u32; 3],
    batch_size: usize,
    workload: Arc<dyn Workload>,
) -> Result<RunSpec> {
    let mut cluster = seed.stream(Stream::Cluster);
    let needed = u64::from(*parallelism.iter().max().expect("there are three"));
    let shape = ClusterShape {
        task_managers: 3,
        slots: cluster.between(needed.div_ceil(2), needed) as u32,
        batch_size,
        channel_credits: cluster.between(1, 4) as u32,
    };
    let world = world(&mut cluster);
    let graph = workload.graph()?;
    let plan = generate(&mut seed.stream(Stream::Plan), &graph, &node_names(shape.task_managers));
    Ok(RunSpec { scenario: String::new(), seed, workload, shape, world, plan, expectation: Expectation::Finishes })
}

/// A world in which nothing is broken, but little is as one might like it: each of its nuisances is off in half of the seeds.
fn world(random: &mut ChaCha8Rng) -> WorldSettings {
    let mut sometimes = |low, high| if random.chance(50) { random.between(low, high) } else { 0 };
    let (latency_spread_us, slow_per_mille) = (sometimes(100, 2_000), sometimes(1, 5));
    let (skew_max_ms, drift_max_ppm, short_reads) = (sometimes(1, 5_000), sometimes(1, 500), sometimes(1, 40));
    WorldSettings {
        network: NetworkSettings {
            latency_max_us: random.between(60, 400),
            latency_spread_us,
            slow_per_mille,
            bandwidth: random.chance(25).then(|| random.between(2_000, 50_000)),
            window: 1 << random.between(9, 16),
            ..NetworkSettings::default()
        },
        disk: DiskSettings {
            latency_max_us: random.between(30, 300),
            // Slow inputs, so that a job of few lines lasts for several checkpoints.
            read_latency_max_us: random.between(1_000, 6_000),
            sync_latency_max_us: random.between(100, 1_500),
            short_reads: short_reads as u8,
            ..DiskSettings::default()
        },
        clock: ClockSettings { skew_max_ms: skew_max_ms as u32, drift_max_ppm: drift_max_ppm as u32 },
        sites: random.chance(50),
    }
}
