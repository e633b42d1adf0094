//! How we survive: pure state machines around the life of a checkpoint. Events in, commands out.
//!
//! Deliberately absent: clocks, I/O, `async`. The time is an argument, and what is to be done is a value.

mod barrier_aligner;
mod checkpointed_job;
mod coordinator;
mod inline_snapshot;
mod manifest;
mod notification;
mod options;
mod pending;
mod recovery;
mod retention;
mod sink_transaction;
mod snapshot_chain;
mod snapshot_handle;
mod snapshot_ledger;

pub use barrier_aligner::{AlignerCommand, BarrierAligner};
pub use checkpointed_job::{CheckpointedJob, CheckpointedVertex};
pub use coordinator::{Coordinator, CoordinatorCommand, CoordinatorEvent, NUMBERS_AT_ONCE};
pub use inline_snapshot::InlineSnapshot;
pub use manifest::{Manifest, SnapshotFile, VertexManifest};
pub use notification::CompletionNotification;
pub use options::{CheckpointOptions, MAX_INLINE_THRESHOLD, SnapshotCompression, SnapshotPolicy};
pub use pending::PendingCheckpoint;
pub use recovery::{RestoreChoice, RestoreMode, choose_restore_point, validate_manifest};
pub use retention::Retention;
pub use sink_transaction::SinkTransactions;
pub use snapshot_chain::{SnapshotChain, SnapshotPlan};
pub use snapshot_handle::SnapshotHandle;
pub use snapshot_ledger::SnapshotLedger;
