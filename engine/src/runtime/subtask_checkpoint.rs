//! A subtask's part in a checkpoint: from the barrier, which has come on all inputs, to the acknowledgement.
//!
//! ```text
//!  prepare sinks ─► forward the barrier ─► freeze the state ─► (the stream goes on)
//!                                               └─ in the background: write, sync, rename, sync directory, acknowledge
//! ```

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::mpsc;

use super::{abort_on_drop::AbortOnDrop, result_partition::ResultPartition, rpc::ToJobManager};
use crate::{
    env::{Env, spawner::panic_message},
    error::{Context, Error, Result},
    id::{ChannelId, CheckpointId, TaskId},
    operator::SubtaskProgram,
    probe::{Reporter, Step},
    storage::{SnapshotStore, encode_snapshot},
    stream::{CheckpointBarrier, hash_bytes},
};

/// Takes the snapshots of one task.
pub(crate) struct SubtaskCheckpoint {
    pub env: Env,
    pub task: TaskId,
    pub vertex: String,
    pub store: SnapshotStore,
    pub reporter: Reporter,
    pub to_job_manager: mpsc::UnboundedSender<ToJobManager>,
    /// The newest checkpoint that was begun here.
    pub last: Option<CheckpointId>,
    /// Writes the newest snapshot. One at a time: a writer that still runs when the next checkpoint begins belongs to one
    /// that was aborted.
    pub writer: Option<AbortOnDrop>,
}

impl SubtaskCheckpoint {
    /// Cuts the stream here. When this returns, records after the barrier may be processed.
    ///
    /// # Errors
    /// What concerns the task as a whole: the sink cannot make its output durable, or state cannot be encoded. A snapshot
    /// that cannot be written is declined instead.
    pub(crate) async fn take(
        &mut self,
        barrier: CheckpointBarrier,
        program: &mut dyn SubtaskProgram,
        output: &mut ResultPartition,
        reflected: Vec<(ChannelId, u64)>,
    ) -> Result<()> {
        let checkpoint = barrier.checkpoint;
        self.last = Some(checkpoint);
        self.writer = None;
        let place = || format!("checkpoint {checkpoint}");
        program.prepare_commit(checkpoint).await.at(place)?;
        output.send_barrier(barrier, &self.reporter).await?;
        if planted!(FrozenTooLate) && reflected.is_empty() {
            program.poll_source(output.outbox().limit()).await?; // FLINK-9269
            program.process_polled(output.outbox())?;
        }
        let snapshot = program.snapshot(checkpoint).at(place)?;
        let encoded = encode_snapshot(&snapshot).at(place)?;
        let step = Step::StateFrozen { digest: hash_bytes(&encoded).0, bytes: encoded.len() as u64, reflected };
        self.reporter.report_for(checkpoint, step).await;
        let name = format!("snapshot {}@{checkpoint}", self.task);
        self.writer = Some(AbortOnDrop(self.env.spawner.start(&name, self.write(checkpoint, encoded))));
        Ok(())
    }

    /// Makes the snapshot durable and only then acknowledges it (I5).
    fn write(&self, checkpoint: CheckpointId, encoded: Bytes) -> impl Future<Output = ()> + Send + 'static {
        let (store, vertex, task) = (self.store.clone(), self.vertex.clone(), self.task);
        let (reporter, to_job_manager) = (self.reporter.clone(), self.to_job_manager.clone());
        async move {
            // A panic in here must not leave the coordinator waiting for the time-out.
            let write =
                AssertUnwindSafe(store.write(checkpoint, &vertex, task, encoded, &reporter)).catch_unwind().await;
            let written = write.unwrap_or_else(|panic| {
                Err(Error::user_code(format!("writing the snapshot panicked: {}", panic_message(&*panic))))
            });
            let (message, step) = match written {
                Ok(handle) => (ToJobManager::Acknowledge { task, checkpoint, handle }, Step::Acknowledged),
                Err(error) => {
                    let reason = error.to_string();
                    (ToJobManager::Decline { task, checkpoint, error }, Step::Declined { reason })
                }
            };
            // If the session with the job manager is over, so is this attempt.
            if to_job_manager.send(message).is_ok() {
                reporter.report_for(checkpoint, step).await;
            }
        }
    }

    /// The checkpoint will not complete: nobody needs its snapshot any more.
    pub(crate) fn abort(&mut self, checkpoint: CheckpointId) {
        if self.last == Some(checkpoint) {
            self.writer = None;
        }
    }
}
