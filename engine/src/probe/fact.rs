//! Something that has become true, and who made it so.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Step;
use crate::{
    error::Error,
    id::{CheckpointId, TaskId, TaskManagerId},
};

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Actor {
    /// The job manager.
    JobManager,
    /// A task manager.
    TaskManager(TaskManagerId),
    /// A task.
    Task(TaskId),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JobManager => f.write_str("job-manager"),
            Self::TaskManager(id) => id.fmt(f),
            Self::Task(id) => id.fmt(f),
        }
    }
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobStatus {
    /// All input is processed and all output committed.
    Finished,
    /// Canceled on request.
    Canceled,
    /// Gave up; starting the job again resumes from its latest checkpoint.
    Failed(Error),
}

/// Something that has become true: who, for which checkpoint, what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Who did it.
    pub actor: Actor,
    /// The checkpoint it belongs to, if any.
    pub checkpoint: Option<CheckpointId>,
    /// What was done.
    pub step: Step,
}

impl Fact {
    /// The task that did it, if it was one.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        match self.actor {
            Actor::Task(task) => Some(task),
            _ => None,
        }
    }
}
