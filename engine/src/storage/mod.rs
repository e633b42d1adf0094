//! Where snapshots rest. The files of a job's checkpoint directory:
//!
//! ```text
//!   lock                       held by the job manager's process
//!   job.json                   whose directory it is
//!   term-3                     the newest term that a job manager has claimed
//!   reserved-16                all numbers of checkpoints up to 16 may have been used
//!   manifest-0, manifest-1     slots: each holds the manifest of a checkpoint, whose durable presence makes that exist
//!   state/count-1-3.2-1.state  a snapshot of subtask count/1, or a part of one, written by attempt 3.2
//!   finished                   the job has committed all its output
//! ```
//!
//! Snapshot files are shared by checkpoints, and written over when none needs them any more; which they are, and what must
//! be in them, only manifests tell. A slot is written over when the checkpoint in it is not kept any more (`manifest_slots`).
//! Every other file gets its name by a rename of synced contents, as slots do at first. Every name is made durable by syncing
//! its directory.
//!
//! Deliberately absent: decisions about checkpoints (see `checkpoint`), and what is inside a snapshot (see `state`).

mod atomic_file;
mod checkpoint_store;
mod clean_up;
mod directories;
mod job_file;
mod layout;
mod manifest_file;
mod manifest_slots;
mod snapshot_compression;
mod snapshot_file;
mod snapshot_files;
mod snapshot_location;
mod snapshot_reader;
mod snapshot_store;
mod snapshot_writer;
mod survey;

pub use atomic_file::{read_file, write_durably};
pub use checkpoint_store::{CheckpointStore, PublishError};
pub use clean_up::StaleFiles;
pub use directories::create_directories;
pub use job_file::JobFile;
pub use layout::{
    SNAPSHOT_DIRECTORY, SNAPSHOT_SUFFIX, TEMPORARY_SUFFIX, checkpoint_path, parse_checkpoint_path,
    parse_reservation_file, parse_slot, parse_snapshot_file, slot_path, snapshot_directory,
};
pub use manifest_file::{ManifestHeader, decode_header, decode_manifest, encode_manifest};
pub use manifest_slots::{ManifestSlots, Slot, read_manifest, settle_manifest};
pub use snapshot_file::{SnapshotIndex, decode_snapshot, snapshot_digest};
pub use snapshot_files::SnapshotFiles;
pub use snapshot_store::{FilesRead, SnapshotStore};
pub use snapshot_writer::{SealedSnapshot, encode_snapshot, seal_snapshot, snapshot_buffer};
pub use survey::{Survey, survey};
