//! What tasks hear of a checkpoint that has completed.

use crate::id::{AttemptId, CheckpointId};

/// A notification that a checkpoint has completed. It may come late, twice, out of order or never; a later one implies
/// all earlier ones of the same attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletionNotification {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The attempt that took it.
    pub attempt: AttemptId,
}
