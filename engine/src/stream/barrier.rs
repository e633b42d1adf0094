//! The mark that cuts a stream for a checkpoint (Chandy and Lamport 1985; Carbone et al. 2015, asynchronous barrier
//! snapshotting).

use serde::{Deserialize, Serialize};

use crate::id::CheckpointId;

/// What a failure may do to results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckpointMode {
    /// A channel that delivered the barrier is blocked until all have: state reflects each record exactly once.
    ExactlyOnce,
    /// No channel is blocked: nothing is lost, but records between the first and the last barrier count twice after a
    /// failure.
    AtLeastOnce,
}

/// The barrier of one checkpoint. Sources emit it to every channel; operators pass it on when it has come on all inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointBarrier {
    /// The checkpoint that it cuts for.
    pub checkpoint: CheckpointId,
    /// Whether channels are blocked for it.
    pub mode: CheckpointMode,
    /// Whether this is the last checkpoint of a bounded job, after which its tasks finish.
    pub is_final: bool,
    /// The newest checkpoint that has completed in the attempt that takes this one. Only what changed since a snapshot that
    /// belongs to it need be written.
    pub base: Option<CheckpointId>,
    /// No older checkpoint exists, nor will one ever again: only from this one on, up to `base`, may snapshots still be asked
    /// for.
    pub oldest: CheckpointId,
}
