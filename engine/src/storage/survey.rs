//! What rests in a checkpoint directory.

use std::{io, path::Path};

use super::{layout, read_file::read_file};
use crate::{
    checkpoint::Manifest,
    env::Disk,
    error::{Error, Result},
    id::CheckpointId,
};

/// What a job manager finds when it starts. All of it is durable: what recovery decides from cannot vanish later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The highest checkpoint number ever used, completed or not; the next checkpoint takes a higher one.
    pub highest_used: Option<CheckpointId>,
    /// The completed checkpoints, ascending.
    pub completed: Vec<CheckpointId>,
    /// The directories of checkpoints that never completed, or that were being deleted, ascending: left to be retired.
    pub incomplete: Vec<CheckpointId>,
    /// The manifest of the last of `completed`.
    pub newest: Option<Manifest>,
    /// The final checkpoint, if the job has ended and all its output is committed.
    pub finished: Option<CheckpointId>,
}

/// The manifest of one checkpoint.
///
/// # Errors
/// `BadInput` if there is none (the path is not that of a completed checkpoint) or if it is of another format version;
/// `Damaged`, naming the path, if it cannot be trusted; `Unavailable` if the disk fails.
pub async fn read_manifest(disk: &dyn Disk, checkpoint_directory: &Path) -> Result<Manifest> {
    let path = checkpoint_directory.join(layout::MANIFEST);
    let bytes = read_file(disk, &path).await.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::bad_input(format!(
            "{} is not the directory of a completed checkpoint: it has no manifest; name a directory chk-<number> that has one",
            checkpoint_directory.display()
        )),
        _ => Error::from(e).at(format!("reading {}", path.display())),
    })?;
    Manifest::decode(&bytes, &path)
}
