//! What is computed.
//!
//! A vertex of the job graph is a chain of operators: `stage` says how they are put together, `edge` where the chain's
//! output goes, `program` what the runtime sees of it, `restoring` how state comes back. One file for each operator.
//!
//! Deliberately absent: queues, barriers, threads: the runtime calls a chain between two elements of its input.

mod aggregate;
mod chain;
mod chain_factory;
mod collector;
mod edge;
mod edge_writer;
mod filter;
mod flat_map;
mod keyed;
mod keyed_process;
mod map;
mod program;
mod restoring;
mod sink_stage;
mod snapshotting;
mod stage;
mod subtask;
mod template;

pub use aggregate::Summand;
pub use collector::Collector;
pub use keyed_process::KeyedProcessFunction;
pub use program::SPLITS_STATE;
pub use sink_stage::COMMITTABLES_STATE;
pub use subtask::{SourceStatus, SubtaskContext, SubtaskProgram};

pub(crate) use aggregate::{Aggregate, add};
pub(crate) use chain_factory::ChainFactory;
pub(crate) use edge::{EdgeTemplate, KeyedEdge, PlainEdge};
pub(crate) use filter::Filter;
pub(crate) use flat_map::FlatMap;
pub(crate) use keyed::Keyed;
pub(crate) use keyed_process::KeyedProcess;
pub(crate) use map::Map;
pub(crate) use template::{FromSource, Template, ToSink, Transform, TransformTemplate};
