//! Where records go.

use async_trait::async_trait;

use crate::{
    checkpoint::CompletionNotification, error::Result, graph::PrepareContext, id::CheckpointId,
    operator::SubtaskContext, stream::Data,
};

/// An output.
#[async_trait]
pub trait Sink<T: Data>: Send + Sync + 'static {
    /// Whether output becomes visible only when a checkpoint completes: a job without checkpoints would never show any.
    fn needs_checkpoints(&self) -> bool;

    /// Makes sure that the target is usable, before each attempt, on the job manager. `uid` is the sink operator's.
    ///
    /// # Errors
    /// `BadInput` naming the target and the remedy.
    async fn prepare(&self, context: &PrepareContext, uid: &str) -> Result<()>;

    /// Removes what is left over once the job has committed its last checkpoint, on the job manager.
    ///
    /// # Errors
    /// `Unavailable`; it is tried again.
    async fn clean_up(&self, context: &PrepareContext, uid: &str) -> Result<()>;

    /// The writer of one subtask. No I/O here.
    fn create_writer(&self, context: &SubtaskContext) -> Box<dyn SinkWriter<T>>;
}

/// Writes the output of one subtask. The calls are those of `SubtaskProgram`, in the same order.
#[async_trait]
pub trait SinkWriter<T>: Send {
    /// Called once, first, with the restored checkpoint and this subtask's share of the items that [`SinkWriter::snapshot`]
    /// gave. Commits them again, then discards what earlier attempts left behind.
    ///
    /// # Errors
    /// `Damaged` if something that was prepared is gone; `Superseded` if a newer attempt is at work.
    async fn open(&mut self, restored: Option<CheckpointId>, items: Vec<Vec<u8>>) -> Result<()>;

    /// Takes all records of the batch and leaves it empty. Buffers; waits for nothing.
    ///
    /// # Errors
    /// `UserCode` if a record refuses to be encoded.
    fn write(&mut self, batch: &mut Vec<T>) -> Result<()>;

    /// Called after each batch: writes out what is buffered, if that is worth it.
    ///
    /// # Errors
    /// Those of the device, naming the target.
    async fn flush(&mut self) -> Result<()>;

    /// Makes everything written so far durable, not visible.
    ///
    /// # Errors
    /// Those of the device, naming the target.
    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<()>;

    /// What is needed to commit all that is prepared and not surely committed, this checkpoint's part and earlier ones'.
    ///
    /// # Errors
    /// `UserCode` if it cannot be encoded.
    fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<Vec<Vec<u8>>>;

    /// Makes visible what the checkpoint, and those before it, prepared.
    ///
    /// # Errors
    /// Those of the device, naming the target.
    async fn notify_complete(&mut self, notification: CompletionNotification) -> Result<()>;

    /// The checkpoint will not complete. What it prepared stays in doubt until a later one completes.
    fn notify_aborted(&mut self, checkpoint: CheckpointId);
}
