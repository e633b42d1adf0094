//! Where tasks get their snapshots back from.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    atomic_file::read_beginning,
    layout::snapshot_directory,
    snapshot_file::{damaged, decode_snapshot},
};
use crate::{
    checkpoint::SnapshotFile,
    env::Disk,
    error::{Context, Result},
    state::SubtaskSnapshot,
    stream::hash_bytes,
};

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

    /// Reads a snapshot that rests in one file, and makes sure that it is the one that was acknowledged. Gives it with the
    /// checksum of the bytes that it was read from.
    ///
    /// # Errors
    /// `Damaged`, naming the path, if it is missing or another; `Unavailable` if the disk fails.
    pub async fn read(&self, file: &SnapshotFile) -> Result<(SubtaskSnapshot, u64)> {
        let path = self.path(file);
        let bytes = match read_beginning(&*self.disk, &path, file.len).await {
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
            let what = format!(
                "its checksum is not the one that it had when it was written for checkpoint {}",
                file.written_for
            );
            return Err(damaged(&path, &what));
        }
        Ok((decode_snapshot(&bytes, &path)?, digest))
    }
}
