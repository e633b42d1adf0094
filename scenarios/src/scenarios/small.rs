//! A word count that is small enough to be swept whole: every crash at every step of it.
//!
//! Two readers, two counters and two writers over a fixed text, on a cluster in which each of them has work on two nodes and
//! a third node stands by. A seed draws only the order of tasks, the latencies within narrow bounds, and the plan.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tidegate::{
    checkpoint::{CheckpointOptions, SnapshotCompression, SnapshotPolicy},
    error::Result,
    stream::CheckpointMode,
};
use tidegate_sim::{
    env::{DiskSettings, NetworkSettings, WorldSettings},
    run::{ClusterShape, RunSpec},
    seed::Seed,
};

use super::{
    draws,
    word_count::{Settings, WordCountWorkload},
};

const PARALLELISM: [u32; 3] = [2, 2, 2];
/// One record, so that a source is never far from a trigger.
const BATCH_SIZE: usize = 1;

/// Some words stand in one file, some in both.
const TEXTS: [&str; 2] = [
    "tide in
and out
tide out
and in
gate up
tide in
gate down
high tide
low tide
the gate
the tide
in the
\
     gate the
tide the
turn of
the tide
at the
gate in
the turn
",
    "ebb tide
and flow
flow in
ebb out
and the
sea gate
is shut
the sea
is high
and the
gate is
high
ebb and
\
     flow and
ebb and
flow and
the sea
is in
the gate",
];

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    with_inline_threshold(seed, 0)
}

/// The same in which snapshots of up to so many bytes get no files.
pub(super) fn with_inline_threshold(seed: Seed, inline_threshold: u64) -> Result<RunSpec> {
    let settings = Settings {
        parallelism: PARALLELISM,
        checkpoints: CheckpointOptions {
            interval: Duration::from_micros(6_200),
            mode: CheckpointMode::ExactlyOnce,
            timeout: Duration::from_millis(300),
            min_pause: Duration::ZERO,
            tolerable_failures: 1,
            // So that a checkpoint is retired, too.
            retained: 1,
            snapshots: SnapshotPolicy::Incremental,
            compression: SnapshotCompression::None,
            inline_threshold,
        },
        split_size: 8,
        batch_size: BATCH_SIZE,
    };
    let name = |i: usize| PathBuf::from(format!("/input/text-{i}"));
    let inputs = TEXTS.iter().enumerate().map(|(i, text)| (name(i), text.as_bytes().to_vec())).collect();
    let workload = WordCountWorkload::new(inputs, settings);
    let drawn = draws::run(seed, PARALLELISM, BATCH_SIZE, Arc::new(workload))?;
    let shape = ClusterShape { task_managers: 3, slots: 1, batch_size: BATCH_SIZE, channel_credits: 2 };
    Ok(RunSpec { shape, world: world(), ..drawn })
}

/// Reads are slow, so that a job of a few lines lasts for three checkpoints; and all takes about equally long whatever the
/// seed, so that it is always three.
fn world() -> WorldSettings {
    WorldSettings {
        network: NetworkSettings {
            latency_min_us: 50,
            latency_max_us: 100,
            window: 4 << 10,
            ..NetworkSettings::default()
        },
        disk: DiskSettings {
            latency_min_us: 300,
            latency_max_us: 400,
            read_latency_max_us: 600,
            sync_latency_max_us: 500,
            ..DiskSettings::default()
        },
        ..WorldSettings::default()
    }
}
