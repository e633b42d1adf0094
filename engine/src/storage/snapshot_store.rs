//! Snapshots of subtasks, as tasks write and read them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    atomic_file::{self, StepNames},
    layout::{self, CheckpointEntry, Layout},
    read_file::read_file,
    snapshot_file,
};
use crate::{
    checkpoint::SnapshotHandle,
    env::Disk,
    error::{Error, Result},
    id::{CheckpointId, TaskId},
    probe::{Reporter, Step},
    state::SubtaskSnapshot,
};

/// Where the tasks of one job leave their snapshots. Cheap to clone.
#[derive(Clone)]
pub struct SnapshotStore {
    disk: Arc<dyn Disk>,
    layout: Layout,
}

impl SnapshotStore {
    /// The store in a job's checkpoint directory.
    pub fn new(disk: Arc<dyn Disk>, directory: &Path) -> Self {
        Self { disk, layout: Layout::new(directory) }
    }

    /// The directory of one checkpoint.
    #[must_use]
    pub fn checkpoint_directory(&self, checkpoint: CheckpointId) -> PathBuf {
        self.layout.checkpoint(checkpoint)
    }

    /// Writes a snapshot that [`snapshot_file::encode`] gave. When this returns it survives loss of power, and may be
    /// acknowledged (I5). Reports `SnapshotWritten`, `SnapshotSynced`, `SnapshotRenamed` and `SnapshotDirectorySynced`, each after it is true.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails, or if the checkpoint's directory is gone because the checkpoint was given up.
    pub async fn write(
        &self,
        checkpoint: CheckpointId,
        vertex: &str,
        task: TaskId,
        encoded: Bytes,
        reporter: &Reporter,
    ) -> Result<SnapshotHandle> {
        let directory = self.layout.checkpoint(checkpoint);
        let file = layout::snapshot(vertex, task);
        let names = StepNames {
            reporter,
            checkpoint,
            written: Step::SnapshotWritten,
            synced: Step::SnapshotSynced,
            renamed: Step::SnapshotRenamed,
            directory_synced: Some(Step::SnapshotDirectorySynced),
        };
        let handle = SnapshotHandle { file, len: encoded.len() as u64, digest: snapshot_file::digest(&encoded) };
        let (target, temporary) = (directory.join(&handle.file), directory.join(layout::temporary(&handle.file)));
        // Whether the rename was tried makes no difference here: no manifest names the file unless it is acknowledged.
        atomic_file::write(&*self.disk, &target, &temporary, &[encoded], Some(&names)).await?;
        Ok(handle)
    }

    /// Reads a snapshot that a manifest names.
    ///
    /// # Errors
    /// See [`read_snapshot`].
    pub async fn read(&self, checkpoint: CheckpointId, handle: &SnapshotHandle) -> Result<SubtaskSnapshot> {
        read_snapshot(&*self.disk, &self.layout.checkpoint(checkpoint), handle).await
    }
}

/// Reads a snapshot that the manifest in `checkpoint_directory` names.
///
/// # Errors
/// `Damaged`, naming the path, if the file is missing, of another length or digest, or holds no snapshot; `BadInput` if
/// it is of another format version; `Unavailable` if the disk fails.
pub async fn read_snapshot(
    disk: &dyn Disk,
    checkpoint_directory: &Path,
    handle: &SnapshotHandle,
) -> Result<SubtaskSnapshot> {
    // A name of our own making cannot lead out of the directory.
    if !matches!(layout::parse_in_checkpoint(&handle.file), Some(CheckpointEntry::Snapshot { .. })) {
        let directory = checkpoint_directory.display();
        return Err(Error::damaged(format!(
            "the manifest in {directory} names {:?}, which is no snapshot",
            handle.file
        )));
    }
    let path = checkpoint_directory.join(&handle.file);
    let damaged = |how: String| {
        let remedy = "restore another checkpoint with --restore PATH, or bring the file back from a copy";
        Error::damaged(format!("the snapshot file {} {how}; {remedy}", path.display()))
    };
    let reading = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => damaged("is missing, but the checkpoint's manifest names it".to_owned()),
        _ => Error::from(e).at(format!("reading {}", path.display())),
    };
    // The length first: a file that is much too long shall not be read into memory.
    let found = disk.metadata(&path).await.map_err(reading)?.len;
    if found != handle.len {
        return Err(damaged(format!("has {found} bytes instead of {}", handle.len)));
    }
    let file = read_file(disk, &path).await.map_err(reading)?;
    if file.len() as u64 != handle.len || snapshot_file::digest(&file) != handle.digest {
        return Err(damaged("does not have the checksum that the checkpoint's manifest gives".to_owned()));
    }
    snapshot_file::decode(&file, &path)
}
