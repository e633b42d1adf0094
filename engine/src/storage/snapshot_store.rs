//! Where tasks put their snapshots, and get them back.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    atomic_file::AtomicFile,
    layout::{checkpoint_directory, snapshot_file},
    snapshot_file::{SnapshotIndex, decode_snapshot},
    snapshot_reader::read_snapshot,
};
use crate::{
    checkpoint::{SnapshotFile, SnapshotHandle},
    env::Disk,
    error::{Context, Result},
    id::{CheckpointId, TaskId},
    key_group::KeyGroupRange,
    probe::{Reporter, Step},
    state::{EncodedSnapshot, SubtaskSnapshot},
};

/// The snapshots of one checkpoint directory. Cheap to clone.
#[derive(Clone)]
pub struct SnapshotStore {
    disk: Arc<dyn Disk>,
    root: PathBuf,
}

impl SnapshotStore {
    /// The snapshots in this checkpoint directory.
    pub fn new(disk: Arc<dyn Disk>, directory: &Path) -> Self {
        Self { disk, root: directory.to_owned() }
    }

    /// Makes an encoded snapshot durable. The checkpoint's directory must exist. Reports each step.
    ///
    /// # Panics
    /// If the snapshot builds on another.
    ///
    /// # Errors
    /// `Unavailable`, naming the path, if the disk fails at any step.
    pub async fn write(
        &self,
        checkpoint: CheckpointId,
        vertex: &str,
        task: TaskId,
        encoded: EncodedSnapshot,
        reporter: &Reporter,
    ) -> Result<SnapshotHandle> {
        let EncodedSnapshot { contents, digest, builds_on } = encoded;
        assert_eq!(builds_on, None, "{task} builds its snapshot for checkpoint {checkpoint} on another");
        let name = snapshot_file(vertex, task);
        let path = checkpoint_directory(&self.root, checkpoint).join(&name);
        let len = contents.len() as u64;
        let handle = SnapshotHandle { files: vec![SnapshotFile { name, written_for: checkpoint, len, digest }] };
        let is_empty = |s: SubtaskSnapshot| {
            s.operators.iter().all(|o| o.keyed.is_empty() && o.lists.iter().all(|l| l.items.is_empty()))
        };
        if planted!(EmptyPrepareNotPersisted) && decode_snapshot(&contents, &path).is_ok_and(|(_, s)| is_empty(s)) {
            return Ok(handle); // RisingWave 26492
        }
        let written = async {
            let mut file = AtomicFile::write(&*self.disk, &path, contents).await?;
            reporter.report_for(checkpoint, Step::SnapshotWritten).await;
            if !planted!(AcknowledgedBeforeSync) {
                file.sync().await?; // SlateDB 433
            }
            reporter.report_for(checkpoint, Step::SnapshotSynced).await;
            file.rename().await?;
            reporter.report_for(checkpoint, Step::SnapshotRenamed).await;
            if !planted!(SnapshotDirectoryNotSynced) {
                file.sync_directory().await?; // RocksDB 5287
            }
            reporter.report_for(checkpoint, Step::SnapshotDirectorySynced).await;
            Result::<_>::Ok(handle)
        };
        written.await.at(|| format!("writing snapshot file {}", path.display()))
    }

    /// Reads what a file holds of these key groups, and makes sure that it is the one that was acknowledged.
    ///
    /// # Errors
    /// `Damaged`, naming the path, if it is missing or another; `Unavailable` if the disk fails.
    pub async fn read(
        &self,
        checkpoint: CheckpointId,
        file: &SnapshotFile,
        groups: KeyGroupRange,
    ) -> Result<(SnapshotIndex, SubtaskSnapshot)> {
        let path = checkpoint_directory(&self.root, checkpoint).join(&file.name);
        read_snapshot(&*self.disk, &path, file, groups).await
    }
}
