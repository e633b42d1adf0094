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
        }
    }
}
