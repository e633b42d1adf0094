//! What a checkpoint directory keeps and what it loses: checkpoints while the job runs, all that is not needed when it has
//! ended.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
    path::Path,
};

use super::{
    atomic_file::{read_file, temporary},
    layout::{
        TEMPORARY_SUFFIX, manifest_path, parse_reservation_file, parse_snapshot_file, parse_term_file,
        snapshot_directory,
    },
    manifest_file::decode_manifest,
    survey,
};
use crate::{
    env::Disk,
    error::{Context, Result},
    id::{AttemptId, CheckpointId},
};

/// What was found of attempts that are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleFiles {
    /// How many of their files were deleted.
    pub removed: usize,
    /// How many are still needed.
    pub left: usize,
}

/// Takes away the names of these checkpoints' manifests, and gives those that are not there any more: they are gone for good
/// once the directory is synced. What fails may be tried again.
pub(super) async fn unlink_manifests(disk: &dyn Disk, root: &Path, ids: &[CheckpointId]) -> Vec<CheckpointId> {
    let mut unlinked = Vec::new();
    for id in ids {
        if unlink_manifest(disk, &manifest_path(root, *id)).await.is_ok() {
            unlinked.push(*id);
        }
    }
    unlinked
}

async fn unlink_manifest(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path).await {
        // Its publication may have failed before it had its name.
        Err(e) if e.kind() == ErrorKind::NotFound => remove(disk, &temporary(path)).await,
        removed => removed,
    }
}

/// Removes what a process has left that died while it wrote files of the directory itself. Only who holds the directory's
/// lock writes there.
pub(super) async fn remove_unfinished(disk: &dyn Disk, root: &Path) -> io::Result<()> {
    for entry in disk.list(root).await?.iter().filter(|e| e.name.ends_with(TEMPORARY_SUFFIX)) {
        remove(disk, &root.join(&entry.name)).await?;
    }
    Ok(())
}

/// See `CheckpointStore::remove_stale_files`.
pub(super) async fn remove_stale_files(disk: &dyn Disk, root: &Path, current: AttemptId) -> Result<StaleFiles> {
    let directory = snapshot_directory(root);
    let place = || format!("cleaning up {}", directory.display());
    let is_over = |attempt| attempt < current || (planted!(LiveFilesCollected) && attempt == current); // ZeroFS 453
    let stale = files_of(disk, &directory, is_over).await.at(place)?;
    if stale.is_empty() {
        return Ok(StaleFiles { removed: 0, left: 0 });
    }
    let completed = survey(disk, root).await?.completed;
    let known = if planted!(OlderCheckpointsForgotten) { completed.len().saturating_sub(1) } else { 0 }; // SlateDB 355
    let named = named_files(disk, root, &completed[known..]).await?;
    // Whoever unlinked a manifest that is not there may not have synced that yet, or died before: then it could come back,
    // and with it its claim. So only now, when all have been looked for.
    disk.sync_dir(root).await.at(place)?;
    let (needed, unneeded): (Vec<_>, Vec<_>) = stale.into_iter().partition(|name| named.contains(name));
    for name in &unneeded {
        remove(disk, &directory.join(name)).await.at(place)?;
    }
    Ok(StaleFiles { removed: unneeded.len(), left: needed.len() })
}

/// See `CheckpointStore::tidy`.
pub(super) async fn tidy(disk: &dyn Disk, root: &Path, retained: u32) -> Result<()> {
    let place = || format!("cleaning up {}", root.display());
    let completed = survey(disk, root).await?.completed;
    let (obsolete, kept) = completed.split_at(completed.len().saturating_sub(retained.max(1) as usize));
    for id in obsolete {
        remove(disk, &manifest_path(root, *id)).await.at(place)?;
    }
    remove_unfinished(disk, root).await.at(place)?;
    remove_superseded(disk, root).await.at(place)?;
    // Without this, removed files come back after loss of power, and nobody looks again once the job has ended; manifests
    // would come back without the files that they name. Also if all was gone already.
    disk.sync_dir(root).await.at(place)?;
    let named = named_files(disk, root, kept).await?;
    remove_unnamed(disk, root, &named).await.at(place)
}

/// The snapshot files that these checkpoints name. One of them may be gone meanwhile; but as long as one cannot be read, nobody
/// knows what it names.
async fn named_files(disk: &dyn Disk, root: &Path, completed: &[CheckpointId]) -> Result<BTreeSet<String>> {
    let mut named = BTreeSet::new();
    for id in completed {
        let path = manifest_path(root, *id);
        let bytes = match read_file(disk, &path).await {
            Err(e) if e.kind() == ErrorKind::NotFound || planted!(UnreadableNamesNothing) => continue, // FLINK-7783
            read => read.at(|| format!("reading manifest {}", path.display()))?,
        };
        named.extend(decode_manifest(&bytes, &path)?.files().map(|file| file.name.clone()));
    }
    Ok(named)
}

/// The snapshot files of certain attempts.
async fn files_of(disk: &dyn Disk, directory: &Path, matches: impl Fn(AttemptId) -> bool) -> io::Result<Vec<String>> {
    let entries = disk.list(directory).await?;
    let names = entries.into_iter().map(|entry| entry.name);
    Ok(names.filter(|name| parse_snapshot_file(name).is_some_and(&matches)).collect())
}

async fn remove_unnamed(disk: &dyn Disk, root: &Path, named: &BTreeSet<String>) -> io::Result<()> {
    let directory = snapshot_directory(root);
    for name in files_of(disk, &directory, |_| true).await? {
        if !named.contains(&name) {
            remove(disk, &directory.join(name)).await?;
        }
    }
    disk.sync_dir(&directory).await
}

/// Removes claims that newer ones outrank.
pub(super) async fn remove_superseded(disk: &dyn Disk, root: &Path) -> io::Result<()> {
    let entries = disk.list(root).await?;
    let term = entries.iter().filter_map(|e| parse_term_file(&e.name)).max();
    let reserved = entries.iter().filter_map(|e| parse_reservation_file(&e.name)).max();
    let is_superseded = |name: &str| {
        let outranked = parse_reservation_file(name).is_some_and(|through| Some(through) < reserved);
        outranked || parse_term_file(name).is_some_and(|old| Some(old) < term)
    };
    for entry in entries.iter().filter(|e| is_superseded(&e.name)) {
        remove(disk, &root.join(&entry.name)).await?;
    }
    Ok(())
}

/// Removes a file that may be gone already.
async fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path).await {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checkpoint::{Manifest, SnapshotFile, SnapshotHandle, VertexManifest},
        connector::memory_disk::MemoryDisk,
        graph::local_executor::now,
        storage::encode_manifest,
    };

    /// The first two are of attempt 1.1, the next two of 1.2, and so on.
    fn file_of(checkpoint: u64) -> String {
        format!("count-0-1.{}-{checkpoint}.state", checkpoint.div_ceil(2))
    }

    /// Names the file that was written for it, and the one before, on which that builds.
    fn manifest(checkpoint: u64) -> Vec<u8> {
        let file = |id| SnapshotFile { name: file_of(id), written_for: CheckpointId(id), len: 0, digest: 0 };
        let snapshot = SnapshotHandle::Files(vec![file(checkpoint - 1), file(checkpoint)]);
        let metrics = crate::metrics::CheckpointMetrics::default();
        let vertex = VertexManifest { name: "count".into(), operators: Vec::new(), snapshots: vec![snapshot], metrics };
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

    /// Checkpoints 2, 4 and 6 have completed, 5 was given up while its manifest was written; the third term runs.
    fn littered() -> MemoryDisk {
        let disk = MemoryDisk::with([("/c/lock", ""), ("/c/job.json", "{}"), ("/c/finished.tmp", "")]);
        for id in 1..7 {
            disk.put(format!("/c/state/{}", file_of(id)), b"");
        }
        for id in [2, 4, 6] {
            disk.put(format!("/c/chk-{id}"), &manifest(id));
        }
        let more = ["chk-5.tmp", "state/count-1-1.3-1.state", "term-2", "term-3", "term-4.tmp"];
        for name in more.into_iter().chain(["reserved-9", "reserved-16", "reserved-32.tmp"]) {
            disk.put(Path::new("/c").join(name), b"");
        }
        disk
    }

    fn tidied(disk: &MemoryDisk, retained: u32) -> Result<()> {
        now(tidy(disk, Path::new("/c"), retained))
    }

    const KEPT: &[&str] = &[
        "/c/chk-4",
        "/c/chk-6",
        "/c/job.json",
        "/c/lock",
        "/c/reserved-16",
        "/c/state/",
        "/c/state/count-0-1.2-3.state",
        "/c/state/count-0-1.2-4.state",
        "/c/state/count-0-1.3-5.state",
        "/c/state/count-0-1.3-6.state",
        "/c/term-3",
    ];

    fn files(disk: &MemoryDisk) -> String {
        let named = disk.paths().into_iter().filter_map(|path| Some(path.strip_prefix("/c/state/count-")?.to_owned()));
        named.collect::<Vec<_>>().join(" ")
    }

    fn removed(disk: &MemoryDisk, number: u32) -> Result<StaleFiles> {
        now(remove_stale_files(disk, Path::new("/c"), AttemptId { term: 1, number }))
    }

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
        assert!(kept(&disk).iter().any(|path| path == "/c/chk-6"), "one is always kept");
    }

    #[test]
    fn it_may_be_tried_again_whatever_failed() {
        for (operation, path) in
            [("remove_file", "chk-2"), ("remove_file", "reserved-9"), ("sync_dir", "/c"), ("list", "state")]
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
        disk.put("/c/chk-4", b"torn");
        for error in [tidied(&disk, 2), removed(&disk, 9).map(drop)].map(|r| r.expect_err("nobody knows what it names"))
        {
            assert_eq!(error.kind, crate::error::ErrorKind::Damaged);
        }
        assert!(files(&disk).contains("0-1.2-4.state"));
    }

    /// FLINK-24611: what one checkpoint does not need, another one may.
    #[test]
    fn what_earlier_attempts_have_left_goes_but_for_what_checkpoints_name() {
        let disk = littered();
        assert_eq!(removed(&disk, 1).expect("nothing fails"), StaleFiles { removed: 0, left: 0 });
        assert_eq!(removed(&disk, 3).expect("nothing fails"), StaleFiles { removed: 0, left: 4 });
        assert_eq!(now(unlink_manifests(&disk, Path::new("/c"), &[CheckpointId(2)])), [CheckpointId(2)]);
        assert_eq!(files(&disk).split(' ').count(), 7, "whoever retires a checkpoint deletes no snapshot file");
        assert_eq!(removed(&disk, 3).expect("nothing fails"), StaleFiles { removed: 2, left: 2 });
        assert_eq!(files(&disk), "0-1.2-3.state 0-1.2-4.state 0-1.3-5.state 0-1.3-6.state 1-1.3-1.state");
        assert_eq!(removed(&disk, 4).expect("nothing fails"), StaleFiles { removed: 1, left: 4 });
    }

    /// What a process has removed and not synced may come back, and with it a claim on files.
    #[test]
    fn files_go_only_after_the_manifest_is_gone_for_good() {
        let disk = littered();
        now(unlink_manifests(&disk, Path::new("/c"), &[CheckpointId(2)]));
        for clean_up in [|disk: &_| removed(disk, 3).map(drop), |disk: &_| tidied(disk, 2)] {
            disk.fail_next("sync_dir", "/c", ErrorKind::Other);
            clean_up(&disk).expect_err("an operation fails");
            disk.lose_power();
            assert!(kept(&disk).iter().any(|path| path == "/c/chk-2"));
            assert!(files(&disk).contains("0-1.1-2.state"), "{}", files(&disk));
            now(unlink_manifests(&disk, Path::new("/c"), &[CheckpointId(2)]));
        }
        assert_eq!(removed(&disk, 3).expect("nothing fails"), StaleFiles { removed: 2, left: 2 });
        disk.lose_power();
        assert!(kept(&disk).iter().all(|path| path != "/c/chk-2"));
    }

    /// Which may be none: one whose publication failed, or that another has unlinked.
    #[test]
    fn an_unlink_that_fails_is_told_and_may_be_tried_again() {
        let disk = littered();
        let ids = [2, 3, 4, 5].map(CheckpointId);
        disk.fail_next("remove_file", "chk-4", ErrorKind::Other);
        assert_eq!(now(unlink_manifests(&disk, Path::new("/c"), &ids)), [2, 3, 5].map(CheckpointId));
        assert_eq!(now(unlink_manifests(&disk, Path::new("/c"), &ids)), ids);
        let manifests = |path: &String| path.starts_with("/c/chk-");
        assert_eq!(kept(&disk).into_iter().filter(manifests).collect::<Vec<_>>(), ["/c/chk-6"]);
    }
}
