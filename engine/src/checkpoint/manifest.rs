//! The manifest: the one file whose durable presence makes a checkpoint exist. It names everything else.

use serde::{Deserialize, Serialize};

use crate::id::{AttemptId, CheckpointId};

/// Where one subtask's snapshot rests, and how to know that it is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotHandle {
    /// File name within the checkpoint's directory.
    pub file: String,
    /// Length in bytes.
    pub len: u64,
    /// XXH3 (64 bits) of the whole file.
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
}

/// A completed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The job's name.
    pub job: String,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
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
