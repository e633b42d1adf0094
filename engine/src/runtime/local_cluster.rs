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

#[cfg(test)]
mod tests {
    use std::{
        sync::{Mutex, mpsc},
        thread,
        time::Duration,
    };

    use async_trait::async_trait;

    use super::*;
    use crate::{
        connector::{Source, SourceReader},
        env::real,
        error::Error,
        exchange::Secret,
        graph::{PrepareContext, StreamExecutionEnvironment},
        job::RestartStrategy,
        operator::{SourceStatus, SubtaskContext},
        probe::NoProbe,
    };

    /// Says once what there is to be read, which then cannot be read. When it is asked again, it says so here and nothing more.
    struct Silent(Mutex<Vec<oneshot::Sender<()>>>);

    struct Unreadable;

    #[async_trait]
    impl Source<u64> for Silent {
        async fn list_splits(&self, _: &PrepareContext) -> Result<Vec<Vec<u8>>> {
            let asked = self.0.lock().unwrap().pop().expect("it is asked twice at most");
            if self.0.lock().unwrap().is_empty() {
                asked.send(()).expect("somebody listens");
                std::future::pending::<()>().await;
            }
            Ok(Vec::new())
        }

        fn create_reader(&self, _: &SubtaskContext) -> Box<dyn SourceReader<u64>> {
            Box::new(Unreadable)
        }
    }

    #[async_trait]
    impl SourceReader<u64> for Unreadable {
        async fn open(&mut self, _: Vec<Vec<u8>>) -> Result<()> {
            Ok(())
        }

        async fn read(&mut self, _: &mut Vec<u64>, _: usize) -> Result<SourceStatus> {
            Err(Error::unavailable("it cannot be read"))
        }

        fn snapshot(&self) -> Vec<Vec<u8>> {
            Vec::new()
        }
    }

    /// A user's code may wait for ever; the process must not.
    #[test]
    fn a_source_that_does_not_answer_keeps_no_process_from_its_end() {
        let (again, asked_again) = oneshot::channel();
        let mut env = StreamExecutionEnvironment::new();
        env.set_restart_strategy(RestartStrategy::FixedDelay { attempts: 1, delay: Duration::ZERO });
        env.from_source(Silent(Mutex::new(vec![again, oneshot::channel().0]))).print();
        let (cancel, canceled) = oneshot::channel();
        let cluster = LocalCluster {
            graph: Arc::new(env.job_graph("Silent").expect("the job is valid")),
            checkpoint_directory: None,
            restore: RestoreMode::Latest,
            task_managers: 1,
            address: Address("127.0.0.1:0".into()),
            options: ClusterOptions::new(Secret([7; 32])),
            cancel: Some(canceled),
        };
        let user = async {
            asked_again.await.expect("the job is tried again");
            cancel.send(()).expect("the job runs");
        };
        let run = async { futures_util::future::join(cluster.run(real::env(), Arc::new(NoProbe)), user).await.0 };
        let (tell, told) = mpsc::channel();
        #[expect(clippy::disallowed_methods, reason = "it stands for a process")]
        thread::spawn(move || {
            // Nobody listens any more once the time is over.
            let _ = tell.send(real::block_on(run));
        });
        let status = told.recv_timeout(Duration::from_secs(30)).expect("the process ends");
        assert_eq!(status, Ok(JobStatus::Canceled));
    }
}
