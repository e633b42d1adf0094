//! The job manager: decides who runs what, drives checkpoints, and decides what a failure leads to.
//!
//! ```text
//!   task managers ──messages──►  ┌───────────┐ ──events──► Lifecycle, Coordinator  (pure)
//!   storage tasks ──results───►  │ JobManager│ ◄─commands─ Lifecycle, Coordinator
//!   deadlines ────────────────►  └───────────┘ ──► sessions, storage, probe
//! ```
//!
//! One loop takes one event at a time; storage is touched by tasks of their own, which come back as events.
//!
//! Deliberately absent: any decision. Those are in `job` and `checkpoint`, without I/O.

mod actor;
mod commands;
mod peers;
mod storage_work;

use std::sync::Arc;

use tokio::sync::mpsc;

use self::{actor::JobManager, peers::Peers};
use super::{options::JobManagerConfig, restore_point::prepare};
use crate::{
    env::Env,
    error::{Context, Error, Result},
    probe::{Actor, JobStatus, Probe, Reporter, Step},
    storage::CheckpointStore,
};

/// Runs the job manager until the job has ended.
///
/// # Errors
/// What keeps it from starting at all: the address, the checkpoint directory, its term. What happens to the job later
/// is told by the [`JobStatus`].
pub async fn run_job_manager(env: Env, probe: Arc<dyn Probe>, mut config: JobManagerConfig) -> Result<JobStatus> {
    let reporter = Reporter::new(probe, Actor::JobManager);
    reporter.report(Step::JobManagerStarted).await;
    let job = config.graph.name.clone();
    let place = || format!("job {job}");
    let store = open_store(&env, &config).await.at(place)?;
    let term = match &store {
        Some(store) => store.claim_term().await.at(place)?,
        None => 1,
    };
    reporter.report(Step::TermClaimed { term }).await;
    let directory = config.checkpoint_directory.as_deref();
    // Bad input is told before anybody waits for task managers.
    let prepared =
        prepare(&env.disk, &config.graph, store.as_deref(), directory, &config.restore, None, None).await.at(place)?;
    if prepared.finished {
        let status = JobStatus::Finished;
        reporter.report(Step::JobEnded { status: status.clone() }).await;
        return Ok(status);
    }
    let (events, incoming) = mpsc::unbounded_channel();
    let (address, peers) = Peers::listen(&env, &config.options, &config.address, events.clone()).await.at(place)?;
    if let Some(on_bound) = config.on_bound.take() {
        on_bound(address);
    }
    let job_manager = JobManager::new(env, reporter, config, store, term, &prepared, peers, events);
    Ok(job_manager.run(incoming).await)
}

async fn open_store(env: &Env, config: &JobManagerConfig) -> Result<Option<Arc<CheckpointStore>>> {
    if config.graph.checkpoints.is_none() {
        return Ok(None);
    }
    let Some(directory) = &config.checkpoint_directory else {
        return Err(Error::bad_input("the job takes checkpoints, but no checkpoint directory is set"));
    };
    let graph = &config.graph;
    let store = CheckpointStore::open(env.disk.clone(), directory, &graph.name, graph.max_parallelism).await?;
    Ok(Some(Arc::new(store)))
}
