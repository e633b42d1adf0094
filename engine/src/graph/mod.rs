//! What the user asked for: the fluent API, and the [`JobGraph`] that it builds.
//!
//! A program records operators (`operator_graph`), which `validation` checks and `chaining` turns into vertices.
//!
//! Deliberately absent: where and when anything runs.

mod chaining;
mod data_stream;
mod environment;
mod job_graph;
mod keyed_stream;
#[cfg(test)]
pub(crate) mod local_executor;
mod operator_graph;
#[cfg(test)]
mod tests;
mod validation;

pub use data_stream::{DataStream, DataStreamSink};
pub use environment::{DEFAULT_BATCH_SIZE, DEFAULT_BUFFER_TIMEOUT, StreamExecutionEnvironment};
pub use job_graph::{
    JobEdge, JobGraph, JobVertex, OperatorInfo, Partitioning, PrepareContext, SplitAssignment, VertexFactory,
};
pub use keyed_stream::KeyedStream;
