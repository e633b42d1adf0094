//! The shell: actors that carry out what the pure machines decide.
//!
//! ```text
//!  JobManager ── session ── TaskManager ── tasks: StreamTask ── InputGate ◄─ exchange ─ ResultPartition
//!                                                     └── SubtaskCheckpoint ── storage
//! ```
//!
//! Actors talk only through `Env.network`, whether they share a process or not.
//!
//! Deliberately absent: threads, sockets and clocks (see `env`), and decisions (see `checkpoint` and `job`).

mod alignment;
mod control_message;
mod exchange_client;
mod exchange_server;
mod frame_stream;
mod gate_registry;
mod input_gate;
mod job_manager;
mod local_cluster;
mod message_stream;
mod options;
mod restore;
mod restore_point;
mod result_partition;
mod rpc;
mod session;
mod source_progress;
mod stream_task;
mod subtask_checkpoint;
mod task_deployment;
mod task_manager;
mod timer;
mod turn;

pub use control_message::{ControlDirection, ControlMessage, MessageKind};
pub use job_manager::run_job_manager;
pub use local_cluster::LocalCluster;
pub use options::{ClusterOptions, JobManagerConfig, TaskManagerConfig};
pub use task_manager::run_task_manager;
