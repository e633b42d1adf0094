//! Where tasks get their snapshots back from.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::try_join_all;

use super::{
    layout::snapshot_directory,
    snapshot_file::damaged,
    snapshot_reader::{ReadSnapshot, read_snapshot},
};
use crate::{
    checkpoint::{SnapshotFile, SnapshotHandle},
    env::Disk,
    error::Result,
    id::CheckpointId,
    key_group::KeyGroupRange,
    state::SubtaskSnapshot,
};

/// The name of each file that was read, the checkpoint for which it was written, and the checksum of the bytes that came.
pub type FilesRead = Vec<(String, CheckpointId, u64)>;

/// The snapshot files of one checkpoint directory. Cheap to clone.
#[derive(Clone)]
pub struct SnapshotStore {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
}

impl SnapshotStore {
    /// The snapshots in this checkpoint directory.
    pub fn new(disk: Arc<dyn Disk>, checkpoint_directory: &Path) -> Self {
        Self { disk, directory: snapshot_directory(checkpoint_directory) }
    }

    /// The path of a file. Of what stands there only the first [`SnapshotFile::len`] bytes count: the file may have been used
    /// before, for more.
    #[must_use]
    pub fn path(&self, file: &SnapshotFile) -> PathBuf {
        self.directory.join(&file.name)
    }

    /// Reads what the files of a snapshot hold of these key groups, taken together, and makes sure that they are those that
    /// were acknowledged. They are read side by side.
    ///
    /// # Errors
    /// `Damaged`, naming the path, if one is missing or another; `Unavailable` if the disk fails.
    pub async fn read(&self, handle: &SnapshotHandle, groups: KeyGroupRange) -> Result<(SubtaskSnapshot, FilesRead)> {
        let paths: Vec<_> = handle.files.iter().map(|file| self.path(file)).collect();
        let read = paths.iter().zip(&handle.files).map(|(path, file)| read_snapshot(&*self.disk, path, file, groups));
        let mut snapshot = SubtaskSnapshot::default();
        let (mut files, mut before) = (FilesRead::new(), None);
        for ((path, file), read) in paths.iter().zip(&handle.files).zip(try_join_all(read).await?) {
            let ReadSnapshot { index, snapshot: newer, checksum } = read;
            if let Some(base) = index.builds_on.filter(|base| before != Some(*base)) {
                let found = before.map_or_else(|| "none".to_owned(), |id: CheckpointId| format!("that of {id}"));
                return Err(damaged(
                    path,
                    &format!("it builds on the one of checkpoint {base}, and {found} precedes it"),
                ));
            }
            snapshot.apply(newer).map_err(|e| damaged(path, &e.to_string()))?;
            before = Some(index.checkpoint);
            files.push((file.name.clone(), index.checkpoint, checksum));
        }
        snapshot.check_complete()?;
        Ok((snapshot, files))
    }
}
