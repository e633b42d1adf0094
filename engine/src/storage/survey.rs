//! What a checkpoint directory holds, by the names and the manifests' headers.

use std::path::Path;

use super::{
    ManifestSlots, checkpoint_path,
    layout::{FINISHED, parse_reservation_file},
    read_manifest,
};
use crate::{
    env::Disk,
    error::{Context, Error, Result},
    id::CheckpointId,
};

/// What rests in a checkpoint directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The checkpoints that completed, which is those with a manifest, damaged or not, as far as headers tell; ascending.
    pub completed: Vec<CheckpointId>,
    /// Why nobody knows what one of the slots holds, which may be the manifest of a newer checkpoint than all of these.
    pub unreadable: Option<Error>,
    /// What says so.
    pub slots: ManifestSlots,
    /// All numbers up to this one may have been used, whether anything is left of them or not.
    pub reserved: Option<CheckpointId>,
    /// Whether the job has committed all its output.
    pub finished: bool,
}

/// Looks at the names and headers in a checkpoint directory. Changes nothing, and needs no lock.
///
/// # Errors
/// `Unavailable`, naming the path, if the disk fails; those of [`ManifestSlots::read`].
pub async fn survey(disk: &dyn Disk, directory: &Path) -> Result<Survey> {
    let entries = disk.list(directory).await.at(|| format!("checkpoint directory {}", directory.display()))?;
    let slots = ManifestSlots::read(disk, directory, &entries).await?;
    let (mut completed, mut unreadable) = (slots.completed(), slots.unreadable().next().cloned());
    if planted!(UnreadableNewestSkipped) {
        unreadable = None; // FLINK-22502
        while let Some(newest) = completed.last() {
            if read_manifest(disk, &checkpoint_path(directory, *newest)).await.is_ok() {
                break;
            }
            completed.pop();
        }
    }
    let reserved = entries.iter().filter_map(|e| parse_reservation_file(&e.name)).max();
    let finished = entries.iter().any(|e| e.name == FINISHED);
    Ok(Survey { completed, unreadable, slots, reserved, finished })
}
