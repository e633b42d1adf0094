//! What job manager and task managers say to each other. One connection per task manager, opened by it; messages arrive
//! in order or the connection ends, and with it the session: both sides then act as if the other had died.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    checkpoint::{Manifest, SnapshotHandle},
    env::Address,
    error::Error,
    id::{AttemptId, CheckpointId, SubtaskId, TaskId, TaskManagerId},
    metrics::SubtaskCheckpointMetrics,
    probe::JobStatus,
    stream::CheckpointBarrier,
};

/// From a task manager.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToJobManager {
    /// The first message of a session.
    Register(Registration),
    /// Nothing but a sign of life.
    Heartbeat,
    /// The task has its state and its outputs are connected.
    TaskRunning { task: TaskId },
    /// The task has processed all its input.
    InputEnded { task: TaskId },
    /// The task has ended well.
    TaskFinished { task: TaskId },
    /// The task has failed.
    TaskFailed { task: TaskId, error: Error },
    /// The task's snapshot is durable.
    Acknowledge { task: TaskId, checkpoint: CheckpointId, handle: SnapshotHandle, metrics: SubtaskCheckpointMetrics },
    /// The task has no snapshot for this checkpoint.
    Decline { task: TaskId, checkpoint: CheckpointId, error: Error },
    /// All that the checkpoint allows the task to commit is committed.
    Committed { task: TaskId, checkpoint: CheckpointId },
}

/// Who a task manager is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Registration {
    pub id: TaskManagerId,
    /// `JobGraph::fingerprint` of the program that it runs.
    pub fingerprint: u64,
    pub slots: u32,
    /// Where other task managers send records.
    pub data_address: Address,
}

/// From the job manager.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ToTaskManager {
    /// The registration is accepted.
    Welcome,
    /// The registration is refused for good.
    Refused { error: Error },
    /// Nothing but a sign of life.
    Heartbeat,
    /// Run these tasks. Supersedes all earlier attempts.
    Deploy(Deployment),
    /// End all tasks of this and earlier attempts.
    CancelTasks { attempt: AttemptId },
    /// Emit this barrier.
    Trigger { barrier: CheckpointBarrier, tasks: Vec<TaskId> },
    /// The checkpoint has completed.
    NotifyComplete { checkpoint: CheckpointId, attempt: AttemptId },
    /// The checkpoint will not complete.
    NotifyAborted { checkpoint: CheckpointId, attempt: AttemptId, reason: String },
    /// The job is done: tasks may end.
    FinishTasks { attempt: AttemptId },
    /// The job has ended; the task manager may leave.
    JobEnded { status: JobStatus },
}

/// The tasks of one attempt that one task manager shall run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Deployment {
    pub attempt: AttemptId,
    pub restore: Option<RestorePoint>,
    /// What to run, with the splits of each if the job starts afresh.
    pub tasks: BTreeMap<SubtaskId, Vec<Vec<u8>>>,
    /// Where every subtask of the job runs.
    pub locations: BTreeMap<SubtaskId, Location>,
}

/// Where a subtask runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Location {
    pub task_manager: TaskManagerId,
    pub data_address: Address,
}

/// The checkpoint that an attempt starts from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RestorePoint {
    /// The checkpoint directory.
    pub directory: PathBuf,
    pub manifest: Manifest,
}
