//! A subtask's part in a checkpoint: from the barrier, which has come on all inputs, to the acknowledgement.
//!
//! ```text
//!  prepare sinks ─► forward the barrier ─► freeze the state ─► (the stream goes on)
//!                                               ├─ between batches: sweep
//!                                               └─ in the background: write, sync, acknowledge; or acknowledge what is small
//! ```

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::mpsc;

use super::{alignment::Alignment, result_partition::ResultPartition, rpc::ToJobManager};
use crate::{
    checkpoint::{InlineSnapshot, SnapshotChain, SnapshotCompression, SnapshotHandle, SnapshotPlan, SnapshotPolicy},
    env::{AbortOnDrop, Env, Site, spawner::panic_message},
    error::{Context, Error, Result},
    id::{ChannelId, CheckpointId, TaskId},
    instant::Instant,
    metrics::{SubtaskCheckpointMetrics, micros},
    operator::SubtaskProgram,
    probe::{Reporter, Step},
    state::{EncodedSnapshot, Freeze, FrozenSnapshot, StateSize},
    storage::{SealedSnapshot, SnapshotFiles, seal_snapshot, snapshot_buffer, snapshot_digest},
    stream::CheckpointBarrier,
};

/// So much is encoded while the stream waits at the barrier, in small entries: about half a millisecond. What is left is encoded
/// segment by segment where the stream touches it, in no good order for the processor's caches.
const SWEPT_AT_BARRIER: u64 = 1 << 16;

/// So many after each batch, and in one go while the task has nothing else to do.
const SWEPT_PER_BATCH: u64 = 1 << 14;

/// Takes the snapshots of one task.
pub(crate) struct SubtaskCheckpoint {
    pub env: Env,
    task: TaskId,
    files: SnapshotFiles,
    policy: SnapshotPolicy,
    compression: SnapshotCompression,
    inline_limit: u64,
    reporter: Reporter,
    to_job_manager: mpsc::UnboundedSender<ToJobManager>,
    /// The newest checkpoint that was begun here.
    pub last: Option<CheckpointId>,
    sweeping: Option<Sweeping>,
    chain: SnapshotChain,
    /// Writes the newest snapshot. One at a time: a writer that still runs when the next checkpoint begins belongs to one
    /// that was aborted.
    writer: Option<AbortOnDrop>,
    /// The memory of the newest snapshot. When that is written, it is used again.
    newest: Arc<Mutex<Bytes>>,
}

/// A snapshot that is frozen and not yet encoded.
struct Sweeping {
    checkpoint: CheckpointId,
    plan: SnapshotPlan,
    size: StateSize,
    alignment: Alignment,
    /// When the last barrier had come.
    since: Instant,
    /// When the stream went on, if that was before the end of the sweep.
    cut: Option<Instant>,
}

/// Who takes snapshots, and where they go.
pub(crate) struct SnapshotSettings {
    pub env: Env,
    pub task: TaskId,
    pub files: SnapshotFiles,
    pub policy: SnapshotPolicy,
    pub compression: SnapshotCompression,
    /// A full snapshot of at most so many bytes gets no file.
    pub inline_limit: u64,
    pub reporter: Reporter,
    pub to_job_manager: mpsc::UnboundedSender<ToJobManager>,
}

impl SubtaskCheckpoint {
    /// Begins after the restored checkpoint, if there is one.
    pub(crate) fn new(settings: SnapshotSettings, restored: Option<CheckpointId>) -> Self {
        let SnapshotSettings { env, task, files, policy, compression, inline_limit, reporter, to_job_manager } =
            settings;
        Self {
            env,
            task,
            files,
            policy,
            compression,
            inline_limit,
            reporter,
            to_job_manager,
            last: restored,
            sweeping: None,
            chain: SnapshotChain::default(),
            writer: None,
            newest: Arc::default(),
        }
    }

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
        alignment: Alignment,
    ) -> Result<()> {
        let checkpoint = barrier.checkpoint;
        let since = self.env.clock.now();
        self.give_up(program);
        self.last = Some(checkpoint);
        self.files.begin(barrier);
        let place = || format!("checkpoint {checkpoint}");
        program.prepare_commit(checkpoint).await.at(place)?;
        output.send_barrier(barrier, &self.reporter).await?;
        if planted!(FrozenTooLate) && reflected.is_empty() {
            program.poll_source(output.outbox().limit()).await?; // FLINK-9269
            program.process_polled(output.outbox())?;
        }
        let size = program.state_size();
        // What stands in a manifest is small, and goes with it: nothing builds on that.
        let base = barrier.base.filter(|base| self.files.hold(*base));
        let plan = self.chain.plan(base, size, self.policy);
        let (scope, wants_content) = (plan.scope, self.reporter.wants_content());
        let freeze = Freeze { checkpoint, scope, wants_content, buffer: self.buffer() };
        let content = program.freeze(freeze).at(place)?;
        self.chain.frozen(checkpoint);
        self.sweeping = Some(Sweeping { checkpoint, plan, size, alignment, since, cut: None });
        self.reporter.report_for(checkpoint, Step::StateFrozen { content, reflected }).await;
        self.sweep(program, if self.is_slow() { 0 } else { SWEPT_AT_BARRIER })?;
        self.sweeping.iter_mut().for_each(|sweeping| sweeping.cut = Some(self.env.clock.now()));
        Ok(())
    }

    /// Whether something is frozen that is not yet encoded.
    pub(crate) fn is_sweeping(&self) -> bool {
        self.sweeping.is_some()
    }

    /// Encodes some more of what is frozen. Called after each batch, and again and again while there is nothing else to do: so
    /// it comes to an end, whatever the stream does.
    ///
    /// # Errors
    /// `UserCode` if state cannot be encoded.
    pub(crate) fn sweep_on(&mut self, program: &mut dyn SubtaskProgram) -> Result<()> {
        self.sweep(program, if self.is_slow() { 1 } else { SWEPT_PER_BATCH })
    }

    fn is_slow(&self) -> bool {
        self.env.entropy.perturbs(Site::SmallSweep)
    }

    fn sweep(&mut self, program: &mut dyn SubtaskProgram, budget: u64) -> Result<()> {
        let Some(Sweeping { checkpoint, plan, size, alignment, since, cut }) = self.sweeping else {
            return Ok(());
        };
        let Some(frozen) = program.sweep(budget).at(|| format!("checkpoint {checkpoint}"))? else { return Ok(()) };
        self.sweeping = None;
        // The tables may have decided that nothing can be left out.
        let (whole, deltas) = frozen.whole_and_delta();
        let SnapshotPlan { scope, builds_on } = if deltas == 0 { SnapshotPlan::FULL } else { plan };
        let encoded = frozen.buffer.len() as u64;
        self.chain.encoded(size, encoded, frozen.value_bytes(), scope, whole > 0 && deltas > 0);
        let state_bytes = self.chain.full_bytes(size);
        let name = format!("snapshot {}@{checkpoint}", self.task);
        let cut = cut.unwrap_or_else(|| self.env.clock.now());
        let metrics = SubtaskCheckpointMetrics {
            alignment_us: alignment.took_us,
            overtaken: alignment.overtaken,
            held_back: alignment.held_back,
            synchronous_us: micros(cut.since(since)),
            state_bytes,
            is_incremental: builds_on.is_some(),
            ..SubtaskCheckpointMetrics::default()
        };
        // As far as that can be told of what is not compressed yet.
        let gets_file = builds_on.is_some() || encoded > self.inline_limit;
        let write = self.write(checkpoint, frozen, builds_on, metrics, cut);
        let spawner = &self.env.spawner;
        let writer = if gets_file { spawner.start_file_work(&name, write) } else { spawner.start(&name, write) };
        self.writer = Some(AbortOnDrop(writer));
        Ok(())
    }

    /// The beginning of a file, in the memory of the newest snapshot if that is written.
    fn buffer(&self) -> Vec<u8> {
        let newest = std::mem::take(&mut *self.newest.lock().expect("nobody panics while holding this lock"));
        let capacity = newest.len() + newest.len() / 8;
        snapshot_buffer(if newest.is_unique() { newest.into() } else { Vec::with_capacity(capacity) })
    }

    /// Makes the snapshot durable and only then acknowledges it (I5). One that is small becomes durable with the manifest, and is
    /// part of the acknowledgement.
    fn write(
        &self,
        checkpoint: CheckpointId,
        frozen: FrozenSnapshot,
        builds_on: Option<CheckpointId>,
        mut metrics: SubtaskCheckpointMetrics,
        since: Instant,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (files, task, clock) = (self.files.clone(), self.task, self.env.clock.clone());
        let (reporter, to_job_manager) = (self.reporter.clone(), self.to_job_manager.clone());
        let (compression, inline_limit, newest) = (self.compression, self.inline_limit, self.newest.clone());
        let write = async move |reporter: &Reporter| -> Result<(SnapshotHandle, u64)> {
            let SealedSnapshot { contents, memory } = seal_snapshot(frozen, checkpoint, builds_on, compression)?;
            *newest.lock().expect("nobody panics while holding this lock") = memory;
            let (digest, bytes) = (snapshot_digest(&contents), contents.len() as u64);
            reporter.report_for(checkpoint, Step::SnapshotEncoded { digest, bytes, builds_on }).await;
            if builds_on.is_none() && bytes <= inline_limit {
                return Ok((SnapshotHandle::Inline(InlineSnapshot { contents, digest }), bytes));
            }
            let encoded = EncodedSnapshot { contents, builds_on };
            Ok((SnapshotHandle::Files(files.write(checkpoint, encoded, reporter).await?), bytes))
        };
        async move {
            // A panic in here must not leave the coordinator waiting for the time-out.
            let written = AssertUnwindSafe(write(&reporter)).catch_unwind().await.unwrap_or_else(|panic| {
                Err(Error::user_code(format!("writing the snapshot panicked: {}", panic_message(&*panic))))
            });
            metrics.asynchronous_us = micros(clock.now().since(since));
            let (message, step) = match written {
                Ok((handle, bytes)) => {
                    metrics.bytes_written = bytes;
                    // What is not keyed is small, and written whenever something is.
                    metrics.state_bytes = metrics.state_bytes.max(metrics.bytes_written);
                    (ToJobManager::Acknowledge { task, checkpoint, handle, metrics }, Step::Acknowledged)
                }
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
    pub(crate) fn abort(&mut self, checkpoint: CheckpointId, program: &mut dyn SubtaskProgram) {
        if self.last == Some(checkpoint) {
            self.give_up(program);
        }
    }

    /// Stops whatever is still done for the newest snapshot.
    fn give_up(&mut self, program: &mut dyn SubtaskProgram) {
        self.writer = None;
        if self.sweeping.take().is_some() {
            program.abandon_snapshot();
        }
    }
}
