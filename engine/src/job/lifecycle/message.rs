//! What the lifecycle is told, and what it wants to be done.

use std::collections::BTreeMap;

use crate::{
    error::Error,
    id::{AttemptId, SubtaskId, TaskId, TaskManagerId},
    probe::{JobStatus, Step},
};

/// What has happened.
#[derive(Clone, Debug)]
pub enum LifecycleEvent {
    /// A task manager offers slots.
    TaskManagerRegistered {
        /// Which one.
        id: TaskManagerId,
        /// How many.
        slots: u32,
    },
    /// A task manager is given up, and with it the tasks that it ran.
    TaskManagerLost {
        /// Which one.
        id: TaskManagerId,
    },
    /// It is known where the attempt starts, and all vertices are prepared.
    RestorePointRead,
    /// It could not be found out, or the outside world is not usable.
    RestoreFailed {
        /// Why.
        error: Error,
    },
    /// A task runs.
    TaskRunning {
        /// Which one.
        task: TaskId,
    },
    /// A task has ended well.
    TaskFinished {
        /// Which one.
        task: TaskId,
    },
    /// A task has failed.
    TaskFailed {
        /// Which one.
        task: TaskId,
        /// Why.
        error: Error,
    },
    /// Checkpoints fail more often than is tolerated.
    AttemptFailed {
        /// Why.
        error: Error,
    },
    /// All output is committed.
    AllCommitted,
    /// The end of the job is recorded.
    CleanedUp,
    /// The user wants the job to stop.
    CancelRequested,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LifecycleCommand {
    /// Find out where the next attempt starts.
    ReadRestorePoint,
    /// Start all tasks.
    Deploy {
        /// In this attempt.
        attempt: AttemptId,
        /// Where.
        assignment: BTreeMap<SubtaskId, TaskManagerId>,
    },
    /// All tasks run: checkpoints may begin.
    AttemptRunning {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// End all tasks of this and earlier attempts, wherever they are.
    CancelTasks {
        /// Up to which attempt.
        attempt: AttemptId,
    },
    /// The attempt is over: no checkpoint of it may be begun or acknowledged any more.
    EndAttempt {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// All output is committed: tasks may end.
    FinishTasks {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// Leave nothing behind that is not needed, and record the end.
    CleanUp,
    /// The job is over.
    End {
        /// How.
        status: JobStatus,
    },
    /// Report this.
    Report {
        /// What.
        step: Step,
    },
}
