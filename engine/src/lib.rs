//! Tidegate: a stateful stream engine with Flink's model of state and fault tolerance.

pub mod checkpoint;
pub mod connector;
pub mod env;
pub mod error;
pub mod exchange;
pub mod graph;
pub mod id;
pub mod instant;
pub mod job;
pub mod key_group;
pub mod operator;
pub mod probe;
pub mod runtime;
pub mod state;
pub mod storage;
pub mod stream;
