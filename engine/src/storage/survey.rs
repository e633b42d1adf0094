//! What a checkpoint directory holds, by its names alone.

use std::path::Path;

use super::{
    layout::{FINISHED, parse_manifest_file, parse_reservation_file},
    manifest_file::old_layout,
    read_manifest,
};
use crate::{
    env::{Disk, EntryKind},
    error::{Context, Result},
    id::CheckpointId,
};

/// What rests in a checkpoint directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The checkpoints that completed, which is those with a manifest, damaged or not; ascending.
    pub completed: Vec<CheckpointId>,
    /// All numbers up to this one may have been used, whether anything is left of them or not.
    pub reserved: Option<CheckpointId>,
    /// Whether the job has committed all its output.
    pub finished: bool,
}

/// Looks at the names in a checkpoint directory. Changes nothing, and needs no lock.
///
/// # Errors
/// `Unavailable`, naming the path, if the disk fails; `BadInput` if a checkpoint of an older layout is there: to overlook it
/// would be to begin anew in silence (I20).
pub async fn survey(disk: &dyn Disk, directory: &Path) -> Result<Survey> {
    let entries = disk.list(directory).await.at(|| format!("checkpoint directory {}", directory.display()))?;
    let mut completed = Vec::new();
    for entry in &entries {
        let Some(id) = parse_manifest_file(&entry.name) else { continue };
        let path = directory.join(&entry.name);
        if entry.kind == EntryKind::Directory {
            return Err(old_layout(&path));
        }
        if planted!(UnreadableNewestSkipped) && read_manifest(disk, &path).await.is_err() {
            continue; // FLINK-22502
        }
        completed.push(id);
    }
    completed.sort_unstable();
    let reserved = entries.iter().filter_map(|e| parse_reservation_file(&e.name)).max();
    Ok(Survey { completed, reserved, finished: entries.iter().any(|e| e.name == FINISHED) })
}
