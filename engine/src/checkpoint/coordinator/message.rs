//! What the coordinator is told, and what it wants to be done.

use crate::{
    checkpoint::{Manifest, SnapshotHandle},
    error::Error,
    id::{AttemptId, CheckpointId, TaskId},
    metrics::SubtaskCheckpointMetrics,
    probe::Step,
    stream::CheckpointBarrier,
};

/// What has happened.
#[derive(Clone, Debug)]
pub enum CoordinatorEvent {
    /// All tasks of the attempt run.
    AttemptRunning {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The attempt has failed or was canceled; its tasks are gone.
    AttemptEnded {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The task has processed all its input.
    InputEnded {
        /// The task.
        task: TaskId,
    },
    /// Numbers of checkpoints are reserved durably.
    NumbersReserved {
        /// Up to this one.
        through: CheckpointId,
    },
    /// They could not be reserved.
    ReservationFailed {
        /// Why.
        error: Error,
    },
    /// The task's snapshot is durable.
    Acknowledged {
        /// The task.
        task: TaskId,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Where the snapshot rests.
        handle: SnapshotHandle,
        /// What it has cost.
        metrics: SubtaskCheckpointMetrics,
    },
    /// The task has no snapshot.
    Declined {
        /// The task.
        task: TaskId,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why.
        error: Error,
    },
    /// The manifest is durable.
    ManifestPublished {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The obsolete ones, which are gone with it, for good.
        retired: Vec<CheckpointId>,
    },
    /// The manifest is surely not there.
    ManifestNotPublished {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why.
        error: Error,
    },
    /// The manifest may or may not be there after a crash.
    ManifestIndeterminate {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why.
        error: Error,
    },
    /// The task has committed all that the checkpoint allows.
    Committed {
        /// The task.
        task: TaskId,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoordinatorCommand {
    /// Reserve numbers of checkpoints durably.
    ReserveNumbers {
        /// Up to this one.
        through: CheckpointId,
    },
    /// Tell the sources to emit the barrier.
    TriggerSources {
        /// The barrier.
        barrier: CheckpointBarrier,
        /// The source tasks.
        tasks: Vec<TaskId>,
    },
    /// Make the checkpoint exist, with which obsolete ones go.
    PublishManifest {
        /// Everything but the wall-clock time.
        manifest: Manifest,
        /// What is not needed any more, ascending.
        obsolete: Vec<CheckpointId>,
    },
    /// Tell all tasks that the checkpoint has completed.
    NotifyComplete {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The attempt that took it.
        attempt: AttemptId,
    },
    /// Tell all tasks that the checkpoint will not complete.
    NotifyAborted {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The attempt that took it.
        attempt: AttemptId,
        /// Why.
        reason: String,
    },
    /// More checkpoints have failed than is tolerated.
    FailAttempt {
        /// The last reason.
        error: Error,
    },
    /// Every task has committed the final checkpoint.
    AllCommitted {
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// Tell that so many checkpoints were wanted while an earlier one was under way, or in the pause after it, and are not
    /// made up for.
    Skipped {
        /// How many; not zero.
        checkpoints: u64,
    },
    /// Report this step of the checkpoint.
    Report {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The step.
        step: Step,
    },
}
