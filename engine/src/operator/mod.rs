//! What is computed.

mod subtask;

pub use subtask::{CompletionNotification, SourceStatus, SubtaskContext, SubtaskProgram};
