//! What a checkpoint directory keeps and what it loses: one checkpoint at a time while the job runs, all that is not needed
//! when it has ended.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use super::{
    Survey,
    layout::{MANIFEST, TEMPORARY_SUFFIX, checkpoint_directory, parse_term_file},
    manifest_file::read_manifest,
    survey,
};
use crate::{
    env::Disk,
    error::{Context, Result},
    id::CheckpointId,
};

/// See `CheckpointStore::retire`.
pub(super) async fn retire(disk: &dyn Disk, root: &Path, id: CheckpointId) -> Result<()> {
    let path = checkpoint_directory(root, id);
    let deleted = async {
        let entries = match disk.list(&path).await {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        if entries.iter().any(|e| e.name == MANIFEST) {
            remove(disk, &path.join(MANIFEST)).await?;
            disk.sync_dir(&path).await?;
        }
        for entry in entries.iter().filter(|e| e.name != MANIFEST) {
            remove(disk, &path.join(&entry.name)).await?;
        }
        or_gone(disk.remove_dir(&path).await)
    };
    deleted.await.at(|| format!("deleting {}", path.display()))
}

/// See `CheckpointStore::tidy`.
pub(super) async fn tidy(disk: &dyn Disk, root: &Path, retained: u32) -> Result<()> {
    let Survey { begun, completed, .. } = survey(disk, root).await?;
    let kept = &completed[completed.len().saturating_sub(retained.max(1) as usize)..];
    for id in begun.iter().filter(|id| !kept.contains(id)) {
        retire(disk, root, *id).await?;
    }
    for id in kept {
        remove_unnamed(disk, &checkpoint_directory(root, *id)).await?;
    }
    remove_stale(disk, root).await.at(|| format!("cleaning up {}", root.display()))
}

/// In the directory of a completed checkpoint only what its manifest names is of use.
async fn remove_unnamed(disk: &dyn Disk, directory: &Path) -> Result<()> {
    let manifest = read_manifest(disk, directory).await?;
    let named = |name: &str| manifest.files().any(|file| file.name == name);
    let removed = async {
        let entries = disk.list(directory).await?;
        let unnamed: Vec<_> = entries.iter().filter(|e| e.name != MANIFEST && !named(&e.name)).collect();
        for entry in &unnamed {
            remove(disk, &directory.join(&entry.name)).await?;
        }
        if unnamed.is_empty() { Ok(()) } else { disk.sync_dir(directory).await }
    };
    removed.await.at(|| format!("cleaning up {}", directory.display()))
}

/// Nobody writes into the directory itself but the one who holds its lock.
async fn remove_stale(disk: &dyn Disk, root: &Path) -> io::Result<()> {
    let entries = disk.list(root).await?;
    let newest = entries.iter().filter_map(|e| parse_term_file(&e.name)).max();
    let superseded = |name: &str| parse_term_file(name).is_some_and(|term| Some(term) < newest);
    for entry in entries.iter().filter(|e| e.name.ends_with(TEMPORARY_SUFFIX) || superseded(&e.name)) {
        remove(disk, &root.join(&entry.name)).await?;
    }
    // Without this, removed files come back after loss of power, and nobody looks again once the job has ended.
    disk.sync_dir(root).await
}

/// Removes a file that may be gone already.
async fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    or_gone(disk.remove_file(path).await)
}

fn or_gone(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checkpoint::{Manifest, SnapshotFile, SnapshotHandle, VertexManifest},
        connector::memory_disk::MemoryDisk,
        graph::local_executor::now,
        id::AttemptId,
        storage::encode_manifest,
    };

    fn manifest(checkpoint: u64) -> Vec<u8> {
        let written_for = CheckpointId(checkpoint);
        let file = SnapshotFile { name: "count-0-1.1.snapshot".into(), written_for, len: 0, digest: 0 };
        let snapshot = SnapshotHandle { files: vec![file] };
        let vertex = VertexManifest {
            name: "count".into(),
            operators: Vec::new(),
            snapshots: vec![snapshot],
            metrics: crate::metrics::CheckpointMetrics::default(),
        };
        encode_manifest(&Manifest {
            job: "WordCount".into(),
            checkpoint: CheckpointId(checkpoint),
            attempt: AttemptId { term: 1, number: 1 },
            is_final: false,
            max_parallelism: 128,
            vertices: vec![vertex],
            completed_at_ms: 0,
            duration_us: 0,
        })
    }

    /// Checkpoints 2, 4 and 5 have completed, 1 was half deleted, 3 was given up; the third term runs.
    fn littered() -> MemoryDisk {
        let disk = MemoryDisk::with([("/c/lock", ""), ("/c/job.json", "{}"), ("/c/finished.tmp", "")]);
        for id in 1..6 {
            disk.put(format!("/c/chk-{id}/count-0-1.1.snapshot"), b"");
        }
        for id in [2, 4, 5] {
            disk.put(format!("/c/chk-{id}/manifest"), &manifest(id));
        }
        for name in ["chk-3/count-0-1.1.snapshot.tmp", "chk-5/count-1-1.1.snapshot", "term-2", "term-3", "term-4.tmp"] {
            disk.put(Path::new("/c").join(name), b"");
        }
        disk
    }

    fn tidied(disk: &MemoryDisk, retained: u32) -> Result<()> {
        now(tidy(disk, Path::new("/c"), retained))
    }

    const KEPT: &[&str] = &[
        "/c/chk-4/",
        "/c/chk-4/count-0-1.1.snapshot",
        "/c/chk-4/manifest",
        "/c/chk-5/",
        "/c/chk-5/count-0-1.1.snapshot",
        "/c/chk-5/manifest",
        "/c/job.json",
        "/c/lock",
        "/c/term-3",
    ];

    fn kept(disk: &MemoryDisk) -> Vec<String> {
        disk.paths().into_iter().filter(|path| path.len() > "/c/".len()).collect()
    }

    #[test]
    fn what_a_finished_job_does_not_need_goes_for_good() {
        let disk = littered();
        tidied(&disk, 2).expect("nothing fails");
        assert_eq!(kept(&disk), KEPT);
        disk.lose_power();
        assert_eq!(kept(&disk), KEPT);
        tidied(&disk, 0).expect("nothing fails");
        assert!(kept(&disk).iter().any(|path| path == "/c/chk-5/manifest"), "one is always kept");
    }

    #[test]
    fn it_may_be_tried_again_whatever_failed() {
        for (operation, path) in
            [("remove_file", "chk-2/manifest"), ("remove_file", "term-2"), ("sync_dir", "chk-5"), ("list", "chk-3")]
        {
            let disk = littered();
            disk.fail_next(operation, path, ErrorKind::Other);
            let error = tidied(&disk, 2).expect_err("an operation fails");
            assert!(error.to_string().contains("/c"), "{error}");
            tidied(&disk, 2).expect("nothing fails any more");
            assert_eq!(kept(&disk), KEPT, "{operation} {path}");
        }
    }

    #[test]
    fn a_damaged_checkpoint_is_left_as_it_is() {
        let disk = littered();
        disk.put("/c/chk-4/manifest", b"torn");
        let error = tidied(&disk, 2).expect_err("nobody knows what it names");
        assert_eq!(error.kind, crate::error::ErrorKind::Damaged);
        assert!(kept(&disk).iter().any(|path| path == "/c/chk-4/count-0-1.1.snapshot"));
    }
}
