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
    /// A full snapshot of at most so many bytes gets no file: it travels in the acknowledgement and stands in the manifest.
    /// At most [`MAX_INLINE_THRESHOLD`]; 0 turns that off. Flink's `state.storage.fs.memory-threshold`, with its default.
    pub inline_threshold: u64,
}

/// The largest [`CheckpointOptions::inline_threshold`], as in Flink: whoever wants more is better off with files.
pub const MAX_INLINE_THRESHOLD: u64 = 1 << 20;

/// The snapshots in a manifest have at most so many bytes in all: it goes to each task manager in one message.
const MAX_INLINE_IN_MANIFEST: u64 = 32 << 20;

impl CheckpointOptions {
    /// The longest snapshot that gets no file, in a job of so many subtasks: less than the threshold if they are very many
    /// (FLINK-2808: state that is too large for a message).
    #[must_use]
    pub fn inline_limit(&self, subtasks: usize) -> u64 {
        self.inline_threshold.min(MAX_INLINE_IN_MANIFEST / subtasks.max(1) as u64)
    }
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
    /// Flink's defaults where it has one: time-out 10 minutes, no pause, no tolerated failure, one retained, snapshots of up to
    /// 20 KiB inline. Interval 5 s.
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
            inline_threshold: 20 << 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_inline_snapshots_of_a_job_fit_into_a_message() {
        let limit = |inline_threshold, subtasks| {
            CheckpointOptions { inline_threshold, ..CheckpointOptions::default() }.inline_limit(subtasks)
        };
        assert_eq!((limit(0, 6), limit(20_480, 6), limit(MAX_INLINE_THRESHOLD, 32)), (0, 20_480, 1 << 20));
        assert_eq!((limit(20_480, 1_638), limit(20_480, 1_639)), (20_480, 20_472));
        for subtasks in [1, 33, 5_000, 100_000] {
            assert!(limit(MAX_INLINE_THRESHOLD, subtasks) * subtasks as u64 <= MAX_INLINE_IN_MANIFEST);
        }
    }
}
