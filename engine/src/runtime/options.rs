//! What all processes of a cluster agree on.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    checkpoint::RestoreMode,
    env::Address,
    exchange::Secret,
    graph::{DEFAULT_BATCH_SIZE, DEFAULT_BUFFER_TIMEOUT, JobGraph},
    id::TaskManagerId,
};

/// Settings that job manager and task managers share.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Known to all processes of the job and to nobody else.
    pub secret: Secret,
    /// How often each side of a control connection gives a sign of life.
    pub heartbeat_interval: Duration,
    /// Silence for so long means that the other side is dead. At least two intervals.
    pub heartbeat_timeout: Duration,
    /// How many records a batch has at most. At least 1.
    pub batch_size: usize,
    /// How long a busy task holds records back to fill a batch; an idle one never does. Batches are made so small that each
    /// takes a fraction of it: zero sends every record alone.
    pub buffer_timeout: Duration,
    /// How many batches may be under way on one channel: enough for a round trip through the network. Within a process it is two
    /// at most.
    pub channel_credits: u32,
    /// How long a task waits for another one to be deployed before it gives up.
    pub connect_timeout: Duration,
    /// How long a task manager tries to reach a job manager before it gives up.
    pub job_manager_timeout: Duration,
}

impl ClusterOptions {
    /// The usual settings with this secret.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self {
            secret,
            heartbeat_interval: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_secs(5),
            batch_size: DEFAULT_BATCH_SIZE,
            buffer_timeout: DEFAULT_BUFFER_TIMEOUT,
            channel_credits: 4,
            connect_timeout: Duration::from_secs(30),
            job_manager_timeout: Duration::from_secs(60),
        }
    }
}

/// What a job manager needs to know.
pub struct JobManagerConfig {
    /// The job.
    pub graph: Arc<JobGraph>,
    /// Where to listen for task managers.
    pub address: Address,
    /// Where checkpoints rest; needed if and only if the job takes checkpoints.
    pub checkpoint_directory: Option<PathBuf>,
    /// Where the first attempt starts from.
    pub restore: RestoreMode,
    /// Settings of the cluster.
    pub options: ClusterOptions,
    /// Called once with the address that was picked.
    pub on_bound: Option<Box<dyn FnOnce(Address) + Send + Sync>>,
    /// Completes when the job shall be canceled; it then ends as `Canceled`, resumable.
    pub cancel: Option<tokio::sync::oneshot::Receiver<()>>,
}

/// What a task manager needs to know.
pub struct TaskManagerConfig {
    /// Its name, unique in the cluster.
    pub id: TaskManagerId,
    /// Where the job manager listens.
    pub job_manager: Address,
    /// Where to listen for records.
    pub data_address: Address,
    /// How many subtasks of each vertex it runs.
    pub slots: u32,
    /// The job, built by the same program as the job manager's.
    pub graph: Arc<JobGraph>,
    /// The job manager's checkpoint directory, as this process sees it.
    pub checkpoint_directory: Option<PathBuf>,
    /// Settings of the cluster.
    pub options: ClusterOptions,
}
