//! Where tasks put their snapshots, and get them back.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    atomic_file::{AtomicFile, read_file},
    layout::{checkpoint_directory, snapshot_file},
    snapshot_file::{damaged, decode_snapshot},
};
use crate::{
    checkpoint::{SnapshotFile, SnapshotHandle},
    env::Disk,
    error::{Context, Result},
    id::{CheckpointId, TaskId},
    probe::{Reporter, Step},
    state::{EncodedSnapshot, SubtaskSnapshot},
    stream::hash_bytes,
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
        let EncodedSnapshot { contents, builds_on } = encoded;
        assert_eq!(builds_on, None, "{task} builds its snapshot for checkpoint {checkpoint} on another");
        let name = snapshot_file(vertex, task);
        let path = checkpoint_directory(&self.root, checkpoint).join(&name);
        let (len, digest) = (contents.len() as u64, hash_bytes(&contents).0);
        let handle = SnapshotHandle { files: vec![SnapshotFile { name, written_for: checkpoint, len, digest }] };
        let is_empty = |s: SubtaskSnapshot| {
            s.operators.iter().all(|o| o.keyed.is_empty() && o.lists.iter().all(|l| l.items.is_empty()))
        };
        if planted!(EmptyPrepareNotPersisted) && decode_snapshot(&contents, &path).is_ok_and(is_empty) {
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

    /// Reads a snapshot that rests in one file, and makes sure that it is the one that was acknowledged. Gives it with the
    /// checksum of the bytes that it was read from.
    ///
    /// # Errors
    /// `Damaged`, naming the path, if it is missing or another; `Unavailable` if the disk fails.
    pub async fn read(&self, checkpoint: CheckpointId, file: &SnapshotFile) -> Result<(SubtaskSnapshot, u64)> {
        let path = checkpoint_directory(&self.root, checkpoint).join(&file.name);
        let bytes = match read_file(&*self.disk, &path).await {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(&path, "it is missing"));
            }
            Err(e) => return Err(e).at(|| format!("reading snapshot file {}", path.display())),
        };
        let (len, expected) = (bytes.len() as u64, file.len);
        if len != expected {
            return Err(damaged(&path, &format!("it has {len} bytes instead of {expected}")));
        }
        let digest = hash_bytes(&bytes).0;
        if digest != file.digest {
            let what = format!("its checksum is not the one that checkpoint {checkpoint} was completed with");
            return Err(damaged(&path, &what));
        }
        Ok((decode_snapshot(&bytes, &path)?, digest))
    }
}
