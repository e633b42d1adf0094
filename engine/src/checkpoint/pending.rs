//! A checkpoint that has been begun and has not all its acknowledgements.

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckpointedJob, CheckpointedVertex, Manifest, SnapshotHandle, VertexManifest};
use crate::{
    id::{AttemptId, CheckpointId, SubtaskId, TaskId},
    instant::Instant,
};

/// Knows who still owes an acknowledgement.
#[derive(Clone, Debug)]
pub struct PendingCheckpoint {
    /// Its number.
    pub id: CheckpointId,
    /// The attempt that takes it.
    pub attempt: AttemptId,
    /// When it was begun.
    pub started: Instant,
    /// Whether it is the last one of a bounded job.
    pub is_final: bool,
    /// Whether the sources have been told: its directory exists.
    pub triggered: bool,
    pub(super) owing: BTreeSet<SubtaskId>,
    handles: BTreeMap<SubtaskId, SnapshotHandle>,
}

impl PendingCheckpoint {
    /// A checkpoint for which all of `tasks` owe an acknowledgement.
    #[must_use]
    pub fn new(
        id: CheckpointId,
        attempt: AttemptId,
        started: Instant,
        is_final: bool,
        tasks: BTreeSet<SubtaskId>,
    ) -> Self {
        Self { id, attempt, started, is_final, triggered: false, owing: tasks, handles: BTreeMap::new() }
    }

    /// Whether this task, in this attempt, owes an acknowledgement. One that does not can neither acknowledge nor decline
    /// (RisingWave 22384 and FLINK-13593).
    #[must_use]
    pub fn is_owed_by(&self, task: TaskId) -> bool {
        let of_attempt = task.attempt == self.attempt || planted!(DeadAttemptCounts); // FLINK-13593
        let owes = self.owing.contains(&task.subtask) || planted!(MissingCountsAsCollected); // RisingWave 22384
        self.triggered && of_attempt && owes
    }

    /// Takes the acknowledgement of a task that owes it.
    pub fn acknowledge(&mut self, subtask: SubtaskId, handle: SnapshotHandle) {
        let owed = self.owing.remove(&subtask);
        let other = planted!(MissingCountsAsCollected) && !owed && self.owing.pop_first().is_some(); // RisingWave 22384
        assert!(owed || other, "{subtask} acknowledges checkpoint {} twice", self.id);
        self.handles.insert(subtask, handle);
    }

    /// Whether nobody owes anything.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        self.owing.is_empty()
    }

    /// The manifest of the checkpoint, acknowledged by all.
    #[must_use]
    pub fn manifest(&self, job: &CheckpointedJob, now: Instant) -> Manifest {
        assert!(self.is_acknowledged(), "checkpoint {} lacks the acknowledgements of {:?}", self.id, self.owing);
        let snapshot = |vertex, index| self.handles[&SubtaskId { vertex, index }].clone();
        let collected = |vertex, index| self.handles.contains_key(&SubtaskId { vertex, index });
        let vertex = |v: &CheckpointedVertex| VertexManifest {
            name: v.name.clone(),
            operators: v.operators.clone(),
            snapshots: (0..v.parallelism)
                .filter(|i| !planted!(MissingCountsAsCollected) || collected(v.id, *i)) // RisingWave 22384
                .map(|index| snapshot(v.id, index))
                .collect(),
        };
        Manifest {
            job: job.name.clone(),
            checkpoint: self.id,
            attempt: self.attempt,
            is_final: self.is_final,
            max_parallelism: job.max_parallelism,
            vertices: job.vertices.iter().map(vertex).collect(),
            completed_at_ms: 0,
            duration_us: u64::try_from(now.since(self.started).as_micros()).unwrap_or(u64::MAX),
        }
    }
}
