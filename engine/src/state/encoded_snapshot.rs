//! What a task hands over to be made durable.

use bytes::Bytes;

use crate::id::CheckpointId;

/// A snapshot as the contents of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedSnapshot {
    /// The whole file.
    pub contents: Bytes,
    /// `None` if the file holds all state. Else it holds what changed since the task's snapshot for this checkpoint, which has
    /// completed, and at least its file is needed still.
    pub builds_on: Option<CheckpointId>,
}
