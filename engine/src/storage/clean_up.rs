//! What a checkpoint directory keeps and what it loses: checkpoints while the job runs, all that is not needed when it has
//! ended.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
    path::Path,
};

use bytes::Bytes;

use super::{
    ManifestSlots, Slot,
    atomic_file::read_file,
    layout::{
        TEMPORARY_SUFFIX, parse_reservation_file, parse_slot, parse_snapshot_file, parse_term_file, snapshot_directory,
    },
    manifest_file::decode_manifest,
    survey::survey,
};
use crate::{
    env::Disk,
    error::{Context, Result},
    id::AttemptId,
};

/// What was found of attempts that are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleFiles {
    /// How many of their files were deleted.
    pub removed: usize,
    /// How many are still needed.
    pub left: usize,
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
    let manifests = Manifests::read(disk, root).await?;
    let newest = manifests.slots.completed().pop().filter(|_| planted!(OlderCheckpointsForgotten)); // SlateDB 355
    let named = manifests.named_files(|slot| newest.is_none_or(|id| slot.holds(id)))?;
    // Whoever removed a manifest that is not there may not have synced that yet, or died before: then it could come back,
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
    let slots = survey(disk, root).await?.slots;
    let completed = slots.completed();
    let kept = &completed[completed.len().saturating_sub(retained.max(1) as usize)..];
    let is_kept = |slot: &&Slot| slot.header.as_ref().map_or(true, |header| kept.contains(&header.checkpoint));
    for slot in slots.iter().filter(|slot| !is_kept(slot)) {
        remove(disk, &slot.path).await.at(place)?;
    }
    remove_unfinished(disk, root).await.at(place)?;
    remove_superseded(disk, root).await.at(place)?;
    // Without this, removed files come back after loss of power, and nobody looks again once the job has ended; manifests
    // would come back without the files that they name. Also if all was gone already.
    disk.sync_dir(root).await.at(place)?;
    let named = Manifests::read(disk, root).await?.named_files(|_| true)?;
    remove_unnamed(disk, root, &named).await.at(place)
}

/// All slots, and what stands in each.
struct Manifests {
    slots: ManifestSlots,
    contents: Vec<Bytes>,
}

impl Manifests {
    /// One of them may be gone meanwhile; but as long as one cannot be read, nobody knows what it names.
    async fn read(disk: &dyn Disk, root: &Path) -> Result<Self> {
        let (mut slots, mut contents) = (Vec::new(), Vec::new());
        for entry in disk.list(root).await.at(|| format!("checkpoint directory {}", root.display()))? {
            if parse_slot(&entry.name).is_none() {
                continue;
            }
            let path = root.join(&entry.name);
            match read_file(disk, &path).await {
                Err(e) if e.kind() == ErrorKind::NotFound || planted!(UnreadableNamesNothing) => {} // FLINK-7783
                read => {
                    let bytes = read.at(|| format!("reading manifest {}", path.display()))?;
                    slots.push(Slot::new(path, &bytes));
                    contents.push(bytes);
                }
            }
        }
        Ok(Self { slots: ManifestSlots::new(slots), contents })
    }

    /// The snapshot files that those name that are asked for. What is not kept counts, too, until it is written over: the header
    /// that says so may not be durable yet.
    fn named_files(&self, of: impl Fn(&Slot) -> bool) -> Result<BTreeSet<String>> {
        let mut named = BTreeSet::new();
        for (slot, bytes) in self.slots.iter().zip(&self.contents).filter(|(slot, _)| of(slot)) {
            match decode_manifest(bytes, &slot.path) {
                Ok(manifest) => named.extend(manifest.files().map(|file| file.name.clone())),
                // It is being written over, which happens only to what a durable header does not keep.
                Err(_) if self.slots.is_free(slot) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(named)
    }
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
        id::CheckpointId,
        storage::encode_manifest,
    };

    /// The first two are of attempt 1.1, the next two of 1.2, and so on.
    fn file_of(checkpoint: u64) -> String {
        format!("count-0-1.{}-{checkpoint}.state", checkpoint.div_ceil(2))
    }

    /// Names the file that was written for it, and the one before, on which that builds.
    fn manifest(checkpoint: u64, oldest: u64) -> Vec<u8> {
        let file = |id| SnapshotFile { name: file_of(id), written_for: CheckpointId(id), len: 0, digest: 0 };
        let snapshot = SnapshotHandle::Files(vec![file(checkpoint - 1), file(checkpoint)]);
        let metrics = crate::metrics::CheckpointMetrics::default();
        let vertex = VertexManifest { name: "count".into(), operators: Vec::new(), snapshots: vec![snapshot], metrics };
        encode_manifest(&Manifest {
            job: "WordCount".into(),
            checkpoint: CheckpointId(checkpoint),
            oldest: CheckpointId(oldest),
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
        for (slot, id) in [2, 4, 6].into_iter().enumerate() {
            disk.put(format!("/c/manifest-{slot}"), &manifest(id, 2));
        }
        let more = ["manifest-3.tmp", "state/count-1-1.3-1.state", "term-2", "term-3", "term-4.tmp"];
        for name in more.into_iter().chain(["reserved-9", "reserved-16", "reserved-32.tmp"]) {
            disk.put(Path::new("/c").join(name), b"");
        }
        disk
    }

    fn tidied(disk: &MemoryDisk, retained: u32) -> Result<()> {
        now(tidy(disk, Path::new("/c"), retained))
    }

    const KEPT: &[&str] = &[
        "/c/job.json",
        "/c/lock",
        "/c/manifest-1",
        "/c/manifest-2",
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
        assert!(kept(&disk).iter().any(|path| path == "/c/manifest-2"), "one is always kept");
    }

    #[test]
    fn it_may_be_tried_again_whatever_failed() {
        for (operation, path) in
            [("remove_file", "manifest-0"), ("remove_file", "reserved-9"), ("sync_dir", "/c"), ("list", "state")]
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
        disk.put("/c/manifest-1", b"torn");
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
        disk.put("/c/manifest-3", &manifest(8, 4));
        assert_eq!(
            removed(&disk, 3).expect("nothing fails"),
            StaleFiles { removed: 0, left: 4 },
            "8 may not be durable"
        );
        let mut torn = manifest(2, 2);
        *torn.last_mut().expect("it is not empty") = b'x';
        disk.put("/c/manifest-0", &torn);
        assert_eq!(removed(&disk, 3).expect("nothing fails"), StaleFiles { removed: 2, left: 2 });
        assert_eq!(files(&disk), "0-1.2-3.state 0-1.2-4.state 0-1.3-5.state 0-1.3-6.state 1-1.3-1.state");
        assert_eq!(removed(&disk, 4).expect("nothing fails"), StaleFiles { removed: 1, left: 4 });
    }

    /// What a process has removed and not synced may come back, and with it a claim on files.
    #[test]
    fn files_go_only_after_the_manifest_is_gone_for_good() {
        let disk = littered();
        let unlink = || now(disk.remove_file(Path::new("/c/manifest-0"))).expect("it is there");
        unlink();
        for clean_up in [|disk: &_| removed(disk, 3).map(drop), |disk: &_| tidied(disk, 2)] {
            disk.fail_next("sync_dir", "/c", ErrorKind::Other);
            clean_up(&disk).expect_err("an operation fails");
            disk.lose_power();
            assert!(kept(&disk).iter().any(|path| path == "/c/manifest-0"));
            assert!(files(&disk).contains("0-1.1-2.state"), "{}", files(&disk));
            unlink();
        }
        assert_eq!(removed(&disk, 3).expect("nothing fails"), StaleFiles { removed: 2, left: 2 });
        disk.lose_power();
        assert!(kept(&disk).iter().all(|path| path != "/c/manifest-0"));
    }
}
