//! `execute`: a whole job in this process.

use std::sync::Arc;

use super::{block_on, env};
use crate::{
    checkpoint::RestoreMode,
    env::Address,
    error::{Context, Result},
    exchange::Secret,
    graph::StreamExecutionEnvironment,
    probe::{JobStatus, NoProbe},
    runtime::{ClusterOptions, LocalCluster},
};

impl StreamExecutionEnvironment {
    /// Runs the job to its end, in this process, with one task manager. If its checkpoint directory holds a completed
    /// checkpoint, the job goes on from there.
    ///
    /// # Errors
    /// `BadInput` if the graph or the directories make no sense; otherwise whatever the job failed with for good.
    pub fn execute(&self, name: &str) -> Result<()> {
        let graph = Arc::new(self.job_graph(name)?);
        let env = env();
        // Nobody else has to know it.
        let mut secret = [0; 32];
        secret.chunks_exact_mut(8).for_each(|c| c.copy_from_slice(&env.entropy.next_u64().to_le_bytes()));
        let mut options = ClusterOptions::new(Secret(secret));
        options.batch_size = self.batch_size();
        options.buffer_timeout = self.buffer_timeout();
        let cluster = LocalCluster {
            graph,
            checkpoint_directory: self.checkpoint_directory().map(Into::into),
            restore: RestoreMode::Latest,
            task_managers: 1,
            address: Address::new("127.0.0.1:0"),
            options,
            cancel: None,
        };
        match block_on(cluster.run(env, Arc::new(NoProbe)))? {
            JobStatus::Finished | JobStatus::Canceled => Ok(()),
            JobStatus::Failed(error) => Err(error).at(|| format!("job {name}")),
        }
    }
}
