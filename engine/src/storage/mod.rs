//! Where snapshots rest.
//!
//! ```text
//! DIRECTORY/                         one job's checkpoints
//!   lock                             held by the living job manager
//!   job.json                         whose directory this is
//!   term-4                           the highest term that a job manager has claimed
//!   chk-17/
//!     count-0-4.1.snapshot           subtask 0 of vertex count, frozen by attempt 4.1
//!     count-1-4.1.snapshot
//!     manifest                       its durable presence makes checkpoint 17 exist
//!   FINISHED                         the job has committed all it will ever commit
//! ```
//!
//! Every file but the lock and the terms comes to its name by one way ([`atomic_file`]): whoever finds a name finds the
//! whole file behind it. Everything here says why each sync is where it is; a simulated disk tries what happens without.
//!
//! Deliberately absent: which checkpoint is taken, restored or deleted, and when (see `checkpoint`).

pub mod atomic_file;
mod checkpoint_store;
mod job_file;
pub mod layout;
mod publish;
mod read_file;
pub mod snapshot_file;
mod snapshot_store;
mod survey;

pub use checkpoint_store::CheckpointStore;
pub use publish::PublishError;
pub use snapshot_store::{SnapshotStore, read_snapshot};
pub use survey::{Survey, read_manifest};
