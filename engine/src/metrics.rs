//! What a checkpoint has cost: told by each subtask with its acknowledgement, added up by vertex in the manifest.
//!
//! ```text
//!  first barrier ──alignment──► last barrier ──synchronous──► records go on
//!                                                 └──asynchronous──► durable
//! ```
//!
//! Times are those of `env.clock`, in whole microseconds. Nothing hangs on them: they are for people.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::CheckpointId;

/// Something that was measured, for people to see; told by the job manager, or where that is said by a task manager, to
/// its probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// What a completed checkpoint has cost.
    Checkpoint {
        /// Which one.
        checkpoint: CheckpointId,
        /// From its beginning until it existed, in microseconds.
        duration_us: u64,
        /// What its subtasks say.
        metrics: CheckpointMetrics,
    },
    /// The interval was over while an earlier checkpoint was still under way, or in the pause after it. Those that were
    /// wanted then are not made up for, but for the one that begins next.
    Skipped {
        /// How many.
        checkpoints: u64,
    },
    /// Sources go back to a checkpoint. Told by each task manager that ran some of them until then. One that died does not
    /// tell what its own had sent on, because nobody knows.
    Replayed {
        /// Which checkpoint; `None` if they begin anew.
        restored: Option<CheckpointId>,
        /// How many records they had sent on behind its barrier, which are now read once more.
        records: u64,
    },
}

/// In whole microseconds; as many as fit.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What one subtask's part in one checkpoint has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtaskCheckpointMetrics {
    /// From the first barrier to the last one, in microseconds. 0 for a source, and where there is one channel.
    pub alignment_us: u64,
    /// For how long the stream stood still once all barriers were in, in microseconds: output prepared, barrier forwarded,
    /// state frozen.
    pub synchronous_us: u64,
    /// From then on until the snapshot was durable, in microseconds.
    pub asynchronous_us: u64,
    /// How many bytes of snapshot were written.
    pub bytes_written: u64,
    /// About how many bytes a full snapshot takes before it is compressed, written anew or not.
    pub state_bytes: u64,
    /// Whether only what has changed was written.
    pub is_incremental: bool,
    /// How many records from behind a barrier are reflected in the state all the same: after a restore they count twice.
    /// 0 in exactly-once mode.
    pub overtaken: u64,
    /// How many records had come in behind a barrier and were held back until the last barrier was in. 0 in at-least-once
    /// mode.
    pub held_back: u64,
}

/// What the parts of several subtasks have cost: of a vertex, or of a whole checkpoint. Their times overlap, so the longest
/// of each is told; what they wrote is added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointMetrics {
    /// How many subtasks.
    pub subtasks: u32,
    /// How many of them wrote only what had changed.
    pub incremental: u32,
    /// The longest alignment, in microseconds.
    pub alignment_us: u64,
    /// The longest standstill, in microseconds.
    pub synchronous_us: u64,
    /// The longest way from there to a durable snapshot, in microseconds.
    pub asynchronous_us: u64,
    /// Bytes written by all.
    pub bytes_written: u64,
    /// Bytes that full snapshots of all take.
    pub state_bytes: u64,
    /// Records from behind a barrier that are reflected in the state of some subtask.
    pub overtaken: u64,
    /// Records that were held back at the end of the alignments.
    pub held_back: u64,
}

impl CheckpointMetrics {
    /// Adds the part of one more subtask.
    pub fn add(&mut self, part: &SubtaskCheckpointMetrics) {
        self.merge(&Self {
            subtasks: 1,
            incremental: u32::from(part.is_incremental),
            alignment_us: part.alignment_us,
            synchronous_us: part.synchronous_us,
            asynchronous_us: part.asynchronous_us,
            bytes_written: part.bytes_written,
            state_bytes: part.state_bytes,
            overtaken: part.overtaken,
            held_back: part.held_back,
        });
    }

    /// Adds the parts of more subtasks.
    pub fn merge(&mut self, other: &Self) {
        self.subtasks += other.subtasks;
        self.incremental += other.incremental;
        self.alignment_us = self.alignment_us.max(other.alignment_us);
        self.synchronous_us = self.synchronous_us.max(other.synchronous_us);
        self.asynchronous_us = self.asynchronous_us.max(other.asynchronous_us);
        self.bytes_written += other.bytes_written;
        self.state_bytes += other.state_bytes;
        self.overtaken += other.overtaken;
        self.held_back += other.held_back;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_overlap_and_bytes_add_up() {
        let part = |n: u64| SubtaskCheckpointMetrics {
            alignment_us: n,
            synchronous_us: 10 - n,
            asynchronous_us: 2 * n,
            bytes_written: 100 * n,
            state_bytes: 1_000 * n,
            is_incremental: n == 2,
            overtaken: n,
            held_back: 3 * n,
        };
        let (mut vertex, mut whole) = (CheckpointMetrics::default(), CheckpointMetrics::default());
        (1..4).for_each(|n| vertex.add(&part(n)));
        whole.merge(&vertex);
        whole.add(&part(9));
        let expected = CheckpointMetrics {
            subtasks: 4,
            incremental: 1,
            alignment_us: 9,
            synchronous_us: 9,
            asynchronous_us: 18,
            bytes_written: 1_500,
            state_bytes: 15_000,
            overtaken: 15,
            held_back: 45,
        };
        assert_eq!(whole, expected);
    }
}
