//! A checkpoint that has been begun and has not all its acknowledgements.

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckpointedJob, CheckpointedVertex, Manifest, SnapshotHandle, VertexManifest};
use crate::{
    id::{AttemptId, CheckpointId, SubtaskId, TaskId},
    instant::Instant,
    metrics::{CheckpointMetrics, SubtaskCheckpointMetrics, micros},
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
    /// Whether the sources have been told: its number is reserved.
    pub triggered: bool,
    pub(super) owing: BTreeSet<SubtaskId>,
    parts: BTreeMap<SubtaskId, (SnapshotHandle, SubtaskCheckpointMetrics)>,
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
        Self { id, attempt, started, is_final, triggered: false, owing: tasks, parts: BTreeMap::new() }
    }

    /// Whether this task, in this attempt, owes an acknowledgement. One that does not can neither acknowledge nor decline
    /// (RisingWave 22384 and FLINK-13593).
    #[must_use]
    pub fn is_owed_by(&self, task: TaskId) -> bool {
        let of_attempt = task.attempt == self.attempt || planted!(DeadAttemptCounts); // FLINK-13593
        let owes = self.owing.contains(&task.subtask) || planted!(MissingCountsAsCollected); // RisingWave 22384
        self.triggered && of_attempt && owes
    }

    /// Takes the acknowledgement of a task that owes it: where its snapshot rests, and what that has cost.
    pub fn acknowledge(&mut self, subtask: SubtaskId, part: (SnapshotHandle, SubtaskCheckpointMetrics)) {
        let owed = self.owing.remove(&subtask);
        let other = planted!(MissingCountsAsCollected) && !owed && self.owing.pop_first().is_some(); // RisingWave 22384
        assert!(owed || other, "{subtask} acknowledges checkpoint {} twice", self.id);
        self.parts.insert(subtask, part);
    }

    /// Whether nobody owes anything.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        self.owing.is_empty()
    }

    /// The manifest of the checkpoint, acknowledged by all. `oldest` is the oldest that is kept beside it.
    #[must_use]
    pub fn manifest(&self, job: &CheckpointedJob, oldest: CheckpointId, now: Instant) -> Manifest {
        assert!(self.is_acknowledged(), "checkpoint {} lacks the acknowledgements of {:?}", self.id, self.owing);
        let collected = |vertex, index| self.parts.contains_key(&SubtaskId { vertex, index });
        let vertex = |v: &CheckpointedVertex| {
            let (mut snapshots, mut metrics) = (Vec::new(), CheckpointMetrics::default());
            for index in 0..v.parallelism {
                if planted!(MissingCountsAsCollected) && !collected(v.id, index) {
                    continue; // RisingWave 22384
                }
                let (handle, cost) = &self.parts[&SubtaskId { vertex: v.id, index }];
                snapshots.push(handle.clone());
                metrics.add(cost);
            }
            VertexManifest { name: v.name.clone(), operators: v.operators.clone(), snapshots, metrics }
        };
        Manifest {
            job: job.name.clone(),
            checkpoint: self.id,
            oldest,
            attempt: self.attempt,
            is_final: self.is_final,
            max_parallelism: job.max_parallelism,
            vertices: job.vertices.iter().map(vertex).collect(),
            completed_at_ms: 0,
            duration_us: micros(now.since(self.started)),
        }
    }
}
