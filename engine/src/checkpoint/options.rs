//! What a user may choose about checkpoints.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::stream::CheckpointMode;

/// Settings of the checkpoint coordinator. One checkpoint at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointOptions {
    /// From the start of one checkpoint to the start of the next. Not zero.
    pub interval: Duration,
    /// Exactly once unless told otherwise.
    pub mode: CheckpointMode,
    /// A checkpoint that takes longer is aborted.
    pub timeout: Duration,
    /// At least so long between the end of one checkpoint and the start of the next.
    pub min_pause: Duration,
    /// How many checkpoints in a row may fail (decline, time-out, disk) before the job fails and restarts.
    pub tolerable_failures: u32,
    /// How many completed checkpoints are kept. At least 1.
    pub retained: u32,
    /// What a task writes of its state.
    pub snapshots: SnapshotPolicy,
    /// How keyed state is stored. Compressing takes longer than writing to a local disk does.
    pub compression: SnapshotCompression,
}

/// What a task writes of its state at a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotPolicy {
    /// What has changed since the checkpoint before, as long as that is much less than everything, and a restore does not have
    /// to read much more than everything for it.
    #[default]
    ByCost,
    /// What has changed, whenever that is possible.
    Incremental,
    /// Everything.
    Full,
}

/// How keyed state is stored in snapshot files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotCompression {
    /// As it is.
    #[default]
    None,
    /// A third to a half of the size, quickly.
    Lz4,
    /// Smaller, in about twice the time.
    Zstd,
}

impl Default for CheckpointOptions {
    /// Flink's defaults where it has one: time-out 10 minutes, no pause, no tolerated failure, one retained. Interval 5 s.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            mode: CheckpointMode::ExactlyOnce,
            timeout: Duration::from_secs(600),
            min_pause: Duration::ZERO,
            tolerable_failures: 0,
            retained: 1,
            snapshots: SnapshotPolicy::default(),
            compression: SnapshotCompression::default(),
        }
    }
}
