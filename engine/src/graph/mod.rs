//! What the user asked for: the fluent API, and the [`JobGraph`] that it builds.

mod job_graph;

pub use job_graph::{
    JobEdge, JobGraph, JobVertex, OperatorInfo, Partitioning, PrepareContext, SplitAssignment, VertexFactory,
};
