//! A whole cluster in one process. Its actors still talk only through `Env.network`.

use std::{path::PathBuf, pin::pin, sync::Arc};

use futures_util::future::{Either, join_all, select};
use tokio::sync::oneshot;

use super::{
    job_manager::run_job_manager,
    options::{ClusterOptions, JobManagerConfig, TaskManagerConfig},
    task_manager::run_task_manager,
};
use crate::{
    checkpoint::RestoreMode,
    env::{Address, Env, timeout},
    error::Result,
    graph::JobGraph,
    id::TaskManagerId,
    probe::{JobStatus, Probe},
};

/// A cluster of one job manager and some task managers.
pub struct LocalCluster {
    /// The job.
    pub graph: Arc<JobGraph>,
    /// Where checkpoints rest.
    pub checkpoint_directory: Option<PathBuf>,
    /// Where the first attempt starts from.
    pub restore: RestoreMode,
    /// How many task managers. At least 1.
    pub task_managers: u32,
    /// The address that all listeners bind to, with port 0.
    pub address: Address,
    /// Settings of the cluster.
    pub options: ClusterOptions,
    /// Completes when the job shall be canceled.
    pub cancel: Option<oneshot::Receiver<()>>,
}

impl LocalCluster {
    /// Runs the job to its end.
    ///
    /// # Errors
    /// What keeps the cluster from starting. What happens to the job later is told by the [`JobStatus`].
    pub async fn run(self, env: Env, probe: Arc<dyn Probe>) -> Result<JobStatus> {
        let (on_bound, bound) = oneshot::channel();
        let config = JobManagerConfig {
            graph: self.graph.clone(),
            address: self.address.clone(),
            checkpoint_directory: self.checkpoint_directory.clone(),
            restore: self.restore.clone(),
            options: self.options.clone(),
            on_bound: Some(Box::new(move |address| drop(on_bound.send(address)))),
            cancel: self.cancel,
        };
        let job_manager = pin!(run_job_manager(env.clone(), probe.clone(), config));
        let slots = self.graph.vertices.iter().map(|v| v.parallelism).max().unwrap_or(1);
        let task_managers = pin!(async {
            // A job manager that does not listen has a reason, which it tells itself.
            let Ok(job_manager) = bound.await else { return Ok(()) };
            let start = |number: u32| {
                let config = TaskManagerConfig {
                    id: TaskManagerId::new(&format!("tm-{number}")),
                    job_manager: job_manager.clone(),
                    data_address: self.address.clone(),
                    slots,
                    graph: self.graph.clone(),
                    checkpoint_directory: self.checkpoint_directory.clone(),
                    options: self.options.clone(),
                };
                run_task_manager(env.clone(), probe.clone(), config)
            };
            join_all((1..=self.task_managers).map(start)).await.into_iter().collect::<Result<()>>()
        });
        match select(job_manager, task_managers).await {
            Either::Left((status, task_managers)) => {
                let status = status?;
                // They have been told; one that did not hear it is dropped with this future.
                let _ = timeout(&*env.clock, self.options.heartbeat_timeout, task_managers).await;
                Ok(status)
            }
            Either::Right((Err(error), _)) => Err(error),
            Either::Right((Ok(()), job_manager)) => job_manager.await,
        }
    }
}
