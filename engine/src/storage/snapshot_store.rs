//! Where tasks get their snapshots back from.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    layout::snapshot_directory,
    snapshot_reader::{ReadSnapshot, read_snapshot},
};
use crate::{checkpoint::SnapshotFile, env::Disk, error::Result, key_group::KeyGroupRange};

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

    /// Reads what a file holds of these key groups, and makes sure that it is the one that was acknowledged.
    ///
    /// # Errors
    /// `Damaged`, naming the path, if it is missing or another; `Unavailable` if the disk fails.
    pub async fn read(&self, file: &SnapshotFile, groups: KeyGroupRange) -> Result<ReadSnapshot> {
        read_snapshot(&*self.disk, &self.path(file), file, groups).await
    }
}
