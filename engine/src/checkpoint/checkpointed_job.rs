//! What checkpoints know of a job.

use std::collections::BTreeSet;

use crate::id::{SubtaskId, VertexId};

/// A job, as far as its checkpoints go.
#[derive(Clone, Debug)]
pub struct CheckpointedJob {
    /// Its name.
    pub name: String,
    /// How many key groups it has.
    pub max_parallelism: u32,
    /// All vertices.
    pub vertices: Vec<CheckpointedVertex>,
    /// The subtasks that emit barriers on their own.
    pub sources: BTreeSet<SubtaskId>,
}

/// A vertex of such a job.
#[derive(Clone, Debug)]
pub struct CheckpointedVertex {
    /// Which one.
    pub id: VertexId,
    /// Its name, for people.
    pub name: String,
    /// The uids of its stateful operators.
    pub operators: Vec<String>,
    /// How many subtasks it has.
    pub parallelism: u32,
}

impl CheckpointedJob {
    /// All subtasks.
    #[must_use]
    pub fn subtasks(&self) -> BTreeSet<SubtaskId> {
        let subtasks = |v: &CheckpointedVertex| (0..v.parallelism).map(move |index| (v.id, index)).collect::<Vec<_>>();
        self.vertices.iter().flat_map(subtasks).map(|(vertex, index)| SubtaskId { vertex, index }).collect()
    }
}
