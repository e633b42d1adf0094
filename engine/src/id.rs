//! Names of things, one type each, so that the compiler refuses to mix them up.
//!
//! Deliberately absent: anything that knows how these names are stored or sent.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a checkpoint. Within one checkpoint directory numbers rise strictly and are never used twice, not even
/// by a checkpoint that failed, nor over failures of the job manager (invariant I8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckpointId(pub u64);

impl CheckpointId {
    /// The first checkpoint that a job takes.
    pub const FIRST: Self = Self(1);

    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A vertex of the job graph after chaining: the unit that runs in parallel subtasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VertexId(pub u32);

impl fmt::Display for VertexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// One parallel instance of a vertex, whichever attempt runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubtaskId {
    /// The vertex that the subtask is an instance of.
    pub vertex: VertexId,
    /// Which of the instances, from 0 to the vertex's parallelism, exclusive.
    pub index: u32,
}

impl fmt::Display for SubtaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.vertex, self.index)
    }
}

/// One execution of the whole job, from deployment to its end or failure. Later attempts compare greater, also over
/// restarts of the job manager, because each job manager claims a higher `term` durably before it deploys anything.
/// Every durable or visible effect carries the attempt that caused it; a superseded attempt has no effect (I7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// The term of the job manager that granted the attempt.
    pub term: u32,
    /// Which attempt of that term, from 1.
    pub number: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.number)
    }
}

/// One subtask in one attempt: what runs, what fails, what acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// Which subtask.
    pub subtask: SubtaskId,
    /// In which attempt of the job.
    pub attempt: AttemptId,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.subtask, self.attempt)
    }
}

/// The way from one subtask to another along one edge of the job graph. Order is kept within a channel, never between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChannelId {
    /// Where elements come from.
    pub from: SubtaskId,
    /// Where they go.
    pub to: SubtaskId,
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}", self.from, self.to)
    }
}

/// The name of a task manager, unique in its cluster and stable over its restarts ("tm-1").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskManagerId(pub std::sync::Arc<str>);

impl TaskManagerId {
    /// A name as given.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for TaskManagerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
