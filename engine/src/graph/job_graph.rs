//! The job as the runtime sees it: vertices (chains of operators) and edges. Immutable; the same in every process of a
//! cluster, because each builds it from the same program. Built by `StreamExecutionEnvironment::job_graph`.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;

use crate::{
    checkpoint::{CheckpointOptions, CheckpointedJob, CheckpointedVertex},
    env::Disk,
    error::Result,
    id::{CheckpointId, SubtaskId, VertexId},
    job::RestartStrategy,
    operator::{SubtaskContext, SubtaskProgram},
    stream::BatchCodec,
};

/// A whole job.
pub struct JobGraph {
    /// What the user called it.
    pub name: String,
    /// Topologically sorted: every edge leads from a lower to a higher vertex. `VertexId(i)` is at index `i`.
    pub vertices: Vec<JobVertex>,
    /// All edges, ordered by (`from`, `output`).
    pub edges: Vec<JobEdge>,
    /// How many key groups there are; fixed for the life of the job's state.
    pub max_parallelism: u32,
    /// `None`: no periodic checkpoints and no recovery of state.
    pub checkpoints: Option<CheckpointOptions>,
    /// What happens after a failure.
    pub restart: RestartStrategy,
}

/// A chain of operators that runs as one task per subtask.
pub struct JobVertex {
    /// Its index in the graph.
    pub id: VertexId,
    /// A short unique name for people, for fault plans and for file names: the uid of its first operator, or its name
    /// ("source", "count", "sink"). Letters, digits, `-` and `_` only.
    pub name: String,
    /// The operators in the chain, first to last.
    pub operators: Vec<OperatorInfo>,
    /// How many subtasks.
    pub parallelism: u32,
    /// Whether it has no input edge.
    pub is_source: bool,
    /// Makes the subtasks.
    pub factory: Arc<dyn VertexFactory>,
}

/// What is known of one operator in a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorInfo {
    /// Under which its state is found in a snapshot; unique in the job.
    pub uid: String,
    /// For people ("flat_map").
    pub name: String,
    /// Whether it keeps state, so that a snapshot must hold something for it.
    pub stateful: bool,
}

/// How records are distributed over the consuming subtasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitioning {
    /// Subtask i to subtask i; both sides have the same parallelism.
    Forward,
    /// By the key group of the record's key.
    Hash,
    /// Round robin, batch by batch.
    Rebalance,
}

/// An edge between two vertices. Forward edges have one channel per subtask, the others one per pair of subtasks.
pub struct JobEdge {
    /// The producing vertex.
    pub from: VertexId,
    /// The consuming vertex, which has exactly this one input edge.
    pub to: VertexId,
    /// Which of the producer's outputs: the `edge` of `OutBatch`.
    pub output: usize,
    /// How records are distributed.
    pub partitioning: Partitioning,
    /// How records cross the network.
    pub codec: Arc<dyn BatchCodec>,
}

/// Where `VertexFactory::prepare` works.
pub struct PrepareContext {
    /// The file system that all nodes see.
    pub disk: Arc<dyn Disk>,
    /// The job's name.
    pub job: String,
    /// The vertex's parallelism.
    pub parallelism: u32,
    /// The checkpoint that will be restored; `None` when the job starts afresh.
    pub restored: Option<CheckpointId>,
}

/// The splits of a source for each subtask; empty for other vertices.
pub type SplitAssignment = Vec<Vec<Vec<u8>>>;

/// Makes the subtasks of a vertex.
#[async_trait]
pub trait VertexFactory: Send + Sync {
    /// Called by the job manager before each attempt is deployed. A source lists its splits if the job starts afresh
    /// (`restored` is `None`), and otherwise leaves them to the restored state. A sink checks that its target is usable:
    /// not someone else's, not ahead of the restored checkpoint.
    ///
    /// # Errors
    /// `BadInput` naming the path and the remedy.
    async fn prepare(&self, context: &PrepareContext) -> Result<SplitAssignment>;

    /// Called by the job manager once the job has committed its last checkpoint: leaves nothing behind.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails; tried again.
    async fn clean_up(&self, context: &PrepareContext) -> Result<()>;

    /// Makes one subtask. No I/O here: that belongs to `SubtaskProgram::open`.
    fn build(&self, context: SubtaskContext) -> Box<dyn SubtaskProgram>;
}

impl JobGraph {
    /// The vertex with this id.
    #[must_use]
    pub fn vertex(&self, id: VertexId) -> &JobVertex {
        &self.vertices[id.0 as usize]
    }

    /// The vertex's outgoing edges; the position is the `edge` of `OutBatch`.
    #[must_use]
    pub fn outputs(&self, id: VertexId) -> Vec<&JobEdge> {
        self.edges.iter().filter(|e| e.from == id).collect()
    }

    /// The vertex's input edge; `None` for a source.
    #[must_use]
    pub fn input(&self, id: VertexId) -> Option<&JobEdge> {
        self.edges.iter().find(|e| e.to == id)
    }

    /// All subtasks, vertex by vertex.
    pub fn subtasks(&self) -> impl Iterator<Item = SubtaskId> + '_ {
        self.vertices.iter().flat_map(|v| (0..v.parallelism).map(|index| SubtaskId { vertex: v.id, index }))
    }

    /// The job, as far as its checkpoints go.
    #[must_use]
    pub fn checkpointed(&self) -> CheckpointedJob {
        let vertex = |v: &JobVertex| CheckpointedVertex {
            id: v.id,
            name: v.name.clone(),
            operators: v.operators.iter().filter(|o| o.stateful).map(|o| o.uid.clone()).collect(),
            parallelism: v.parallelism,
        };
        CheckpointedJob {
            name: self.name.clone(),
            max_parallelism: self.max_parallelism,
            vertices: self.vertices.iter().map(vertex).collect(),
            sources: self.source_subtasks(),
        }
    }

    /// The subtasks of all sources.
    #[must_use]
    pub fn source_subtasks(&self) -> BTreeSet<SubtaskId> {
        self.subtasks().filter(|s| self.vertex(s.vertex).is_source).collect()
    }

    /// For people and fault plans: "count/1".
    #[must_use]
    pub fn subtask_name(&self, subtask: SubtaskId) -> String {
        format!("{}/{}", self.vertex(subtask.vertex).name, subtask.index)
    }

    /// The subtask that [`JobGraph::subtask_name`] names.
    #[must_use]
    pub fn subtask_named(&self, name: &str) -> Option<SubtaskId> {
        let (vertex, index) = name.rsplit_once('/')?;
        let vertex = self.vertices.iter().find(|v| v.name == vertex)?;
        let index = index.parse().ok().filter(|i| *i < vertex.parallelism)?;
        Some(SubtaskId { vertex: vertex.id, index })
    }

    /// The consuming subtasks that a producing subtask has channels to.
    #[must_use]
    pub fn consumers(&self, edge: &JobEdge, producer: u32) -> Vec<SubtaskId> {
        let all = 0..self.vertex(edge.to).parallelism;
        let indices = if edge.partitioning == Partitioning::Forward { producer..producer + 1 } else { all };
        indices.map(|index| SubtaskId { vertex: edge.to, index }).collect()
    }

    /// The producing subtasks that a consuming subtask has channels from.
    #[must_use]
    pub fn producers(&self, edge: &JobEdge, consumer: u32) -> Vec<SubtaskId> {
        let all = 0..self.vertex(edge.from).parallelism;
        let indices = if edge.partitioning == Partitioning::Forward { consumer..consumer + 1 } else { all };
        indices.map(|index| SubtaskId { vertex: edge.from, index }).collect()
    }

    /// A checksum of the graph's shape (names, uids, parallelism, edges): task managers whose program differs from the
    /// job manager's are refused by it.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut text = format!("{}|{}", self.name, self.max_parallelism);
        for v in &self.vertices {
            text += &format!("|{}:{}", v.name, v.parallelism);
            for o in &v.operators {
                text += &format!(",{}", o.uid);
            }
        }
        for e in &self.edges {
            text += &format!("|{}>{}:{}:{:?}", e.from, e.to, e.output, e.partitioning);
        }
        crate::stream::hash_bytes(text.as_bytes()).0
    }
}
