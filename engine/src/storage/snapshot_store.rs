//! Where tasks get their snapshots back from.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::try_join_all;

use super::{
    layout::{MANIFEST, checkpoint_directory, snapshot_directory},
    snapshot_location::SnapshotLocation,
    snapshot_reader::{ReadSnapshot, read_inline, read_snapshot},
};
use crate::{
    checkpoint::{SnapshotFile, SnapshotHandle},
    env::Disk,
    error::Result,
    id::CheckpointId,
    key_group::KeyGroupRange,
    state::SubtaskSnapshot,
};

/// The name of each file that was read, the checkpoint for which it was written, and the checksum of the bytes that came. What
/// stood in the manifest goes by the name of its subtask.
pub type FilesRead = Vec<(String, CheckpointId, u64)>;

/// The snapshots of one checkpoint directory. Cheap to clone.
#[derive(Clone)]
pub struct SnapshotStore {
    disk: Arc<dyn Disk>,
    root: PathBuf,
}

impl SnapshotStore {
    /// The snapshots in this checkpoint directory.
    pub fn new(disk: Arc<dyn Disk>, root: &Path) -> Self {
        Self { disk, root: root.to_owned() }
    }

    /// The path of a file. Of what stands there only the first [`SnapshotFile::len`] bytes count: the file may have been used
    /// before, for more.
    #[must_use]
    pub fn path(&self, file: &SnapshotFile) -> PathBuf {
        snapshot_directory(&self.root).join(&file.name)
    }

    /// Reads what the snapshot of a subtask, as a checkpoint's manifest names it, holds of these key groups, and makes sure that
    /// it is the one that was acknowledged.
    ///
    /// # Errors
    /// `Damaged`, naming the path, if something is missing or another; `Unavailable` if the disk fails.
    pub async fn read(
        &self,
        checkpoint: CheckpointId,
        subtask: &str,
        handle: &SnapshotHandle,
        groups: KeyGroupRange,
    ) -> Result<(SubtaskSnapshot, FilesRead)> {
        let (snapshot, files) = match handle {
            SnapshotHandle::Files(files) => self.read_files(files, groups).await?,
            SnapshotHandle::Inline(inline) => {
                let path = checkpoint_directory(&self.root, checkpoint).join(MANIFEST);
                let ReadSnapshot { snapshot, checksum, .. } = read_inline(&path, subtask, checkpoint, inline)?;
                (snapshot, vec![(subtask.to_owned(), checkpoint, checksum)])
            }
        };
        snapshot.check_complete()?;
        Ok((snapshot, files))
    }

    /// What the files hold when they are taken together. They are read side by side.
    async fn read_files(&self, files: &[SnapshotFile], groups: KeyGroupRange) -> Result<(SubtaskSnapshot, FilesRead)> {
        let paths: Vec<_> = files.iter().map(|file| self.path(file)).collect();
        let read = paths.iter().zip(files).map(|(path, file)| read_snapshot(&*self.disk, path, file, groups));
        let mut snapshot = SubtaskSnapshot::default();
        let (mut read_files, mut before) = (FilesRead::new(), None);
        for ((path, file), read) in paths.iter().zip(files).zip(try_join_all(read).await?) {
            let ReadSnapshot { index, snapshot: newer, checksum } = read;
            if let Some(base) = index.builds_on.filter(|base| before != Some(*base)) {
                let found = before.map_or_else(|| "none".to_owned(), |id: CheckpointId| format!("that of {id}"));
                let what = format!("it builds on the one of checkpoint {base}, and {found} precedes it");
                return Err(SnapshotLocation::File(path).damaged(&what));
            }
            snapshot.apply(newer).map_err(|e| SnapshotLocation::File(path).damaged(&e.to_string()))?;
            before = Some(index.checkpoint);
            read_files.push((file.name.clone(), index.checkpoint, checksum));
        }
        Ok((snapshot, read_files))
    }
}
