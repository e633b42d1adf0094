//! Where tasks get their snapshots back from.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::try_join_all;

use super::{
    layout::{checkpoint_path, snapshot_directory},
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

/// The name of each file that was read, the checkpoint for which it was written, and its digest. What stood in the manifest goes by
/// the name of its subtask.
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
                let path = checkpoint_path(&self.root, checkpoint);
                let ReadSnapshot { snapshot, digest, .. } = read_inline(&path, subtask, checkpoint, inline)?;
                (snapshot, vec![(subtask.to_owned(), checkpoint, digest)])
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
            let ReadSnapshot { index, snapshot: newer, digest } = read;
            if let Some(base) = index.builds_on.filter(|base| before != Some(*base)) {
                let found = before.map_or_else(|| "none".to_owned(), |id: CheckpointId| format!("that of {id}"));
                let what = format!("it builds on the one of checkpoint {base}, and {found} precedes it");
                return Err(SnapshotLocation::File(path).damaged(&what));
            }
            snapshot.apply(newer).map_err(|e| SnapshotLocation::File(path).damaged(&e.to_string()))?;
            before = Some(index.checkpoint);
            read_files.push((file.name.clone(), index.checkpoint, digest));
        }
        Ok((snapshot, read_files))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        checkpoint::{InlineSnapshot, SnapshotCompression},
        connector::memory_disk::MemoryDisk,
        error::ErrorKind,
        graph::local_executor::now,
        state::{FrozenOperator, FrozenSnapshot},
        storage::{seal_snapshot, snapshot_buffer, snapshot_digest},
    };

    /// The contents of a snapshot for checkpoint 7.
    fn contents(builds_on: Option<CheckpointId>) -> Bytes {
        let operator = FrozenOperator { uid: "o".into(), key_groups: None, keyed: Vec::new(), lists: Vec::new() };
        let frozen = FrozenSnapshot { buffer: snapshot_buffer(Vec::new()), operators: vec![operator] };
        seal_snapshot(frozen, CheckpointId(7), builds_on, SnapshotCompression::None).unwrap().contents
    }

    /// What is read of an inline snapshot for a checkpoint; there is no file at all.
    fn read(checkpoint: u64, contents: Bytes, digest: u64) -> Result<(SubtaskSnapshot, FilesRead)> {
        let store = SnapshotStore::new(Arc::new(MemoryDisk::with([("/c/lock", "")])), Path::new("/c"));
        let handle = SnapshotHandle::Inline(InlineSnapshot { contents, digest });
        let groups = KeyGroupRange { start: 0, end: 1 };
        now(store.read(CheckpointId(checkpoint), "count/1", &handle, groups))
    }

    #[test]
    fn what_stands_in_the_manifest_needs_no_file() {
        let contents = contents(None);
        let digest = snapshot_digest(&contents);
        let (snapshot, files) = read(7, contents, digest).unwrap();
        assert_eq!(snapshot.operators[0].uid, "o");
        assert_eq!(files, [("count/1".to_owned(), CheckpointId(7), digest)]);
    }

    #[test]
    fn what_does_not_belong_there_is_refused_by_the_manifests_path() {
        let refused = |checkpoint, contents: Bytes, digest: Option<u64>| {
            let digest = digest.unwrap_or_else(|| snapshot_digest(&contents));
            let error = read(checkpoint, contents, digest).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Damaged);
            error.message.split(';').next().unwrap().to_owned()
        };
        let whole = || contents(None);
        insta::assert_snapshot!(refused(7, whole(), Some(1)), @"snapshot of count/1 in the manifest of /c/chk-7 is damaged: its checksum is not the one that it had when it was taken");
        insta::assert_snapshot!(refused(8, whole(), None), @"snapshot of count/1 in the manifest of /c/chk-8 is damaged: it was taken for checkpoint 7 instead of 8");
        insta::assert_snapshot!(refused(7, contents(Some(CheckpointId(6))), None), @"snapshot of count/1 in the manifest of /c/chk-7 is damaged: it builds on the one of checkpoint 6, and stands alone");
        insta::assert_snapshot!(refused(7, whole().slice(..40), None), @"snapshot of count/1 in the manifest of /c/chk-7 is damaged: it does not end like a snapshot file");
    }
}
