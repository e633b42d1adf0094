//! Where records come from.

use async_trait::async_trait;

use crate::{
    error::Result,
    graph::PrepareContext,
    operator::{SourceStatus, SubtaskContext},
    stream::Data,
};

/// A bounded input that can be read again from a position.
///
/// It falls into splits, each an opaque piece of bytes: a part of the input and the position within it. Every split is in
/// the hands of exactly one reader, and in exactly one list of each checkpoint (invariant I14).
#[async_trait]
pub trait Source<T: Data>: Send + Sync + 'static {
    /// The whole input, in splits at their beginnings. Called once in the life of a job, on the job manager, when the job
    /// starts afresh; a restored job has its splits from the checkpoint and never asks again (FLINK-6006).
    ///
    /// # Errors
    /// `BadInput` naming what cannot be read, and the remedy.
    async fn list_splits(&self, context: &PrepareContext) -> Result<Vec<Vec<u8>>>;

    /// The reader of one subtask. No I/O here.
    fn create_reader(&self, context: &SubtaskContext) -> Box<dyn SourceReader<T>>;
}

/// Reads the splits of one subtask.
#[async_trait]
pub trait SourceReader<T>: Send {
    /// Takes splits to read, fresh ones or ones from a checkpoint. Called once, first; there may be none.
    ///
    /// # Errors
    /// `BadInput` if the input is not what it was when the splits were made; `Damaged` if a split cannot be decoded.
    async fn open(&mut self, splits: Vec<Vec<u8>>) -> Result<()>;

    /// Appends up to `max` records to the batch, which is empty; it may append fewer, or none, before it says `More`.
    ///
    /// # Errors
    /// `BadInput` or `Unavailable`, naming what cannot be read.
    async fn read(&mut self, batch: &mut Vec<T>, max: usize) -> Result<SourceStatus>;

    /// The splits with their positions: exactly the records that `read` has returned lie before them. Also those that have
    /// been read to their ends, so that a checkpoint accounts for all input.
    fn snapshot(&self) -> Vec<Vec<u8>>;
}
