//! The manifest: what makes a checkpoint exist once it is durable. It holds small snapshots, and names all else.

use serde::{Deserialize, Serialize};

use super::SnapshotHandle;
use crate::{
    id::{AttemptId, CheckpointId},
    metrics::CheckpointMetrics,
};

/// A file that holds a snapshot or a part of one, and how to know that it is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFile {
    /// Its name within the directory of snapshot files.
    pub name: String,
    /// The checkpoint for which it was written: files are used again, and this tells one use from the next.
    pub written_for: CheckpointId,
    /// Length in bytes.
    pub len: u64,
    /// See [`snapshot_digest`](crate::storage::snapshot_digest).
    pub digest: u64,
}

/// The part of a checkpoint that belongs to one vertex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VertexManifest {
    /// The vertex's name, for people.
    pub name: String,
    /// The uids of its stateful operators.
    pub operators: Vec<String>,
    /// One snapshot per subtask, in order of the subtask's index.
    pub snapshots: Vec<SnapshotHandle>,
    /// What they have cost, for people.
    pub metrics: CheckpointMetrics,
}

/// A completed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The job's name.
    pub job: String,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The oldest checkpoint that is kept now that this one exists: those before it are gone, whatever is left of them.
    pub oldest: CheckpointId,
    /// The attempt that took it.
    pub attempt: AttemptId,
    /// Whether the job had read all its input: a restore has nothing left to do but to commit.
    pub is_final: bool,
    /// How many key groups; a job with another number cannot restore it.
    pub max_parallelism: u32,
    /// Every vertex of the job.
    pub vertices: Vec<VertexManifest>,
    /// Wall-clock time of completion in milliseconds since 1970, for people.
    pub completed_at_ms: u64,
    /// From trigger to completion, in microseconds, for people.
    pub duration_us: u64,
}

impl Manifest {
    /// What the checkpoint has cost.
    #[must_use]
    pub fn metrics(&self) -> CheckpointMetrics {
        let mut metrics = CheckpointMetrics::default();
        self.vertices.iter().for_each(|vertex| metrics.merge(&vertex.metrics));
        metrics
    }

    /// How many bytes its snapshots have.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.vertices.iter().flat_map(|v| &v.snapshots).map(SnapshotHandle::bytes).sum()
    }

    /// All files that it names. A file may come more than once only by mistake.
    pub fn files(&self) -> impl Iterator<Item = &SnapshotFile> {
        self.vertices.iter().flat_map(|v| &v.snapshots).flat_map(SnapshotHandle::files)
    }
}
