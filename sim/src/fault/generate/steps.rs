//! What is known of steps when a plan is drawn: which follow a failure, which happen once, which disk operation comes next.

use tidegate::probe::StepKind;

use crate::env::DiskOp;

/// Steps that follow a failure: where a second fault hits the recovery from the first.
pub(super) const RECOVERY: &[StepKind] = &[
    StepKind::JobManagerStarted,
    StepKind::TermClaimed,
    StepKind::TaskManagerRegistered,
    StepKind::TaskManagerLost,
    StepKind::RestartScheduled,
    StepKind::RestorePointChosen,
    StepKind::AttemptStarted,
    StepKind::TaskDeployed,
    StepKind::TaskStarted,
    StepKind::SnapshotRead,
    StepKind::StateRestored,
    StepKind::TaskRunning,
    StepKind::AttemptRunning,
    StepKind::TaskCanceled,
    StepKind::PartRenamed,
    StepKind::CommitDirectorySynced,
    StepKind::Committed,
];

/// Steps that no task takes, or that are its last: there is no task to be killed at them.
pub(super) const FROM_OUTSIDE_OF_TASKS: &[StepKind] = &[
    StepKind::JobManagerStarted,
    StepKind::TermClaimed,
    StepKind::RestorePointChosen,
    StepKind::TaskManagerRegistered,
    StepKind::TaskManagerLost,
    StepKind::AttemptStarted,
    StepKind::TaskDeployed,
    StepKind::ChannelOpened,
    StepKind::AttemptRunning,
    StepKind::CheckpointDirectorySynced,
    StepKind::CheckpointTriggered,
    StepKind::AcknowledgementReceived,
    StepKind::AllAcknowledged,
    StepKind::ManifestWritten,
    StepKind::ManifestSynced,
    StepKind::ManifestRenamed,
    StepKind::CheckpointCompleted,
    StepKind::CheckpointAborted,
    StepKind::CheckpointRetired,
    StepKind::CompletionNotified,
    StepKind::TaskFinished,
    StepKind::TaskFailed,
    StepKind::TaskCanceled,
    StepKind::RestartScheduled,
    StepKind::JobEnded,
];

/// Steps that happen once in a job, or after a rare failure: a later occurrence would seldom come.
pub(super) const ONCE: &[StepKind] = &[
    StepKind::JobManagerStarted,
    StepKind::TermClaimed,
    StepKind::RestorePointChosen,
    StepKind::AttemptStarted,
    StepKind::AttemptRunning,
    StepKind::TaskManagerLost,
    StepKind::RestartScheduled,
    StepKind::CheckpointAborted,
    StepKind::Declined,
    StepKind::AbortReceived,
    StepKind::TaskFailed,
    StepKind::CheckpointRetired,
    StepKind::JobEnded,
];

/// The disk operation that comes after a step, on the node that takes it.
pub(super) const NEXT_ON_DISK: &[(StepKind, DiskOp)] = &[
    (StepKind::JobManagerStarted, DiskOp::Other),
    (StepKind::JobManagerStarted, DiskOp::Write),
    (StepKind::JobManagerStarted, DiskOp::SyncDir),
    (StepKind::TermClaimed, DiskOp::Read),
    (StepKind::RestartScheduled, DiskOp::Other),
    (StepKind::RestartScheduled, DiskOp::Read),
    (StepKind::RestartScheduled, DiskOp::SyncDir),
    (StepKind::TaskStarted, DiskOp::Open),
    (StepKind::TaskStarted, DiskOp::Read),
    (StepKind::SnapshotRead, DiskOp::Other),
    (StepKind::SnapshotRead, DiskOp::Rename),
    (StepKind::SnapshotRead, DiskOp::SyncDir),
    (StepKind::AttemptRunning, DiskOp::Other),
    (StepKind::CompletionNotified, DiskOp::Other),
    (StepKind::CheckpointTriggered, DiskOp::Open),
    (StepKind::PartOpened, DiskOp::Write),
    (StepKind::PartOpened, DiskOp::Sync),
    (StepKind::PartSynced, DiskOp::Rename),
    (StepKind::PartSynced, DiskOp::SyncDir),
    (StepKind::StateFrozen, DiskOp::Open),
    (StepKind::StateFrozen, DiskOp::Write),
    (StepKind::SnapshotWritten, DiskOp::Sync),
    (StepKind::SnapshotSynced, DiskOp::Rename),
    (StepKind::SnapshotRenamed, DiskOp::SyncDir),
    (StepKind::AllAcknowledged, DiskOp::Write),
    (StepKind::ManifestWritten, DiskOp::Sync),
    (StepKind::ManifestSynced, DiskOp::Rename),
    (StepKind::ManifestRenamed, DiskOp::SyncDir),
    (StepKind::CheckpointCompleted, DiskOp::Other),
    (StepKind::CompletionReceived, DiskOp::Rename),
    (StepKind::PartRenamed, DiskOp::SyncDir),
];
