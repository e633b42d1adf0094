//! What a checkpoint directory holds, by its names alone.

use std::{io, path::Path};

use super::{
    layout::{FINISHED, MANIFEST, checkpoint_directory, parse_checkpoint_directory},
    read_manifest,
};
use crate::{
    env::Disk,
    error::{Context, Result},
    id::CheckpointId,
};

/// What rests in a checkpoint directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The numbers that were used and whose directories are still there, ascending.
    pub begun: Vec<CheckpointId>,
    /// Those of them that completed, which is those with a manifest, damaged or not; ascending.
    pub completed: Vec<CheckpointId>,
    /// Whether the job has committed all its output.
    pub finished: bool,
}

/// Looks at the names in a checkpoint directory. Changes nothing, and needs no lock.
///
/// # Errors
/// `Unavailable`, naming the path, if the disk fails.
pub async fn survey(disk: &dyn Disk, directory: &Path) -> Result<Survey> {
    let entries = disk.list(directory).await.at(|| format!("checkpoint directory {}", directory.display()))?;
    let mut begun: Vec<CheckpointId> = entries.iter().filter_map(|e| parse_checkpoint_directory(&e.name)).collect();
    begun.sort_unstable();
    let mut completed = Vec::new();
    for id in &begun {
        let path = checkpoint_directory(directory, *id);
        let manifest = path.join(MANIFEST);
        match disk.metadata(&manifest).await {
            Ok(_) if planted!(UnreadableNewestSkipped) && read_manifest(disk, &path).await.is_err() => {} // FLINK-22502
            Ok(_) => completed.push(*id),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).at(|| format!("manifest {}", manifest.display())),
        }
    }
    Ok(Survey { begun, completed, finished: entries.iter().any(|e| e.name == FINISHED) })
}
