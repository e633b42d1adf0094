//! Where snapshots rest. The files of a job's checkpoint directory:
//!
//! ```text
//!   lock                       held by the job manager's process
//!   job.json                   whose directory it is
//!   term-3                     the newest term that a job manager has claimed
//!   chk-7/count-1-3.2.snapshot the snapshot of subtask count/1, taken by attempt 3.2
//!   chk-7/manifest             its durable presence makes checkpoint 7 exist
//!   finished                   the job has committed all its output
//! ```
//!
//! Every file gets its name by a rename of synced contents, and every name is made durable by syncing its directory.
//!
//! Deliberately absent: decisions about checkpoints (see `checkpoint`), and what is inside a snapshot (see `state`).

mod atomic_file;
mod checkpoint_store;
mod clean_up;
mod directories;
mod job_file;
mod layout;
mod manifest_file;
mod snapshot_compression;
mod snapshot_file;
mod snapshot_reader;
mod snapshot_store;
mod survey;

pub use atomic_file::{read_file, write_durably};
pub use checkpoint_store::{CheckpointStore, PublishError};
pub use directories::create_directories;
pub use job_file::JobFile;
pub use layout::{
    CHECKPOINT_PREFIX, MANIFEST, SNAPSHOT_SUFFIX, TEMPORARY_SUFFIX, checkpoint_directory, parse_checkpoint_directory,
};
pub use manifest_file::{decode_manifest, encode_manifest, read_manifest, settle_manifest};
pub use snapshot_file::{SnapshotIndex, decode_snapshot, encode_snapshot, seal_snapshot, snapshot_buffer};
pub use snapshot_store::SnapshotStore;
pub use survey::{Survey, survey};
