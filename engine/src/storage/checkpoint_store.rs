//! The job manager's view of a checkpoint directory.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;

use super::{
    ManifestSlots, Survey,
    atomic_file::write_durably,
    clean_up::{self, StaleFiles},
    directories::create_directories,
    job_file::{JobFile, refuse_foreign_files},
    layout::{FINISHED, LOCK, parse_term_file, reservation_file, snapshot_directory, term_file},
    manifest_slots::Publication,
    survey::survey,
};
use crate::{
    checkpoint::Manifest,
    env::{Disk, DiskLock},
    error::{Context, Error, Result},
    id::{AttemptId, CheckpointId},
    probe::{Reporter, Step},
};

/// Why a manifest was not published.
#[derive(Debug)]
pub enum PublishError {
    /// It surely is not there.
    NotPublished(Error),
    /// It may be there or not, now or after a crash: only recovery may decide, from the files.
    Indeterminate(Error),
}

/// A checkpoint directory in the hands of its one job manager.
pub struct CheckpointStore {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// Settled. `None` while a manifest is published, and where it is not known what came of one.
    slots: Mutex<Option<ManifestSlots>>,
    _lock: Box<dyn DiskLock>,
}

impl CheckpointStore {
    /// Opens the directory, creating it if it is not there, and keeps others out until this is dropped.
    ///
    /// # Errors
    /// `BadInput`, naming the directory, if it belongs to another job, holds files that are not Tidegate's, or is in use
    /// by another process; nothing is changed then. `Unavailable` if the disk fails.
    pub async fn open(disk: Arc<dyn Disk>, directory: &Path, job: &str, max_parallelism: u32) -> Result<Self> {
        let place = || format!("checkpoint directory {}", directory.display());
        create_directories(&*disk, directory).await.at(place)?;
        refuse_foreign_files(&*disk, directory).await.at(place)?;
        let Some(lock) = disk.try_lock(&directory.join(LOCK)).await.at(place)? else {
            let message = "another process runs a job in it: wait until that has ended, or choose another directory";
            return Err(Error::bad_input(message).at(place()));
        };
        JobFile::new(job, max_parallelism).claim(&*disk, directory).await.at(place)?;
        // After the job's file, without which no directory is ours.
        match disk.create_dir(&snapshot_directory(directory)).await {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            created => created.at(place)?,
        }
        // What an earlier process has not finished only takes up room.
        let _ = clean_up::remove_unfinished(&*disk, directory).await;
        // Also if it was there: whoever created it may have died before it came to this line.
        disk.sync_dir(directory).await.at(place)?;
        Ok(Self { disk, root: directory.to_owned(), slots: Mutex::default(), _lock: lock })
    }

    fn slots(&self) -> MutexGuard<'_, Option<ManifestSlots>> {
        self.slots.lock().expect("nobody panics while holding this lock")
    }

    fn place(&self) -> String {
        format!("checkpoint directory {}", self.root.display())
    }

    /// Claims a term higher than all before, durably.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails.
    pub async fn claim_term(&self) -> Result<u32> {
        let claimed = async {
            let entries = self.disk.list(&self.root).await?;
            let terms: Vec<u32> = entries.iter().filter_map(|e| parse_term_file(&e.name)).collect();
            let term = terms.iter().max().map_or(1, |newest| newest + 1);
            write_durably(&*self.disk, &self.root.join(term_file(term)), Bytes::new()).await?;
            for old in terms.into_iter().chain(planted!(FenceCollected).then_some(term)) {
                // SlateDB 352
                // The new one outranks them; they only take up room.
                let _ = self.disk.remove_file(&self.root.join(term_file(old))).await;
            }
            Result::<_>::Ok(term)
        };
        claimed.await.at(|| self.place())
    }

    /// Looks at what the directory holds, and makes sure that the newest checkpoint stays.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails.
    pub async fn survey(&self) -> Result<Survey> {
        let survey = survey(&*self.disk, &self.root).await?;
        survey.slots.settle(&*self.disk, &self.root).await?;
        *self.slots() = Some(survey.slots.clone());
        Ok(survey)
    }

    /// Claims the numbers of checkpoints up to this one, durably: from here on all of them may have been used.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails; the claim may then be made or not.
    pub async fn reserve_numbers(&self, through: CheckpointId) -> Result<()> {
        let path = self.root.join(reservation_file(through));
        write_durably(&*self.disk, &path, Bytes::new()).await.at(|| format!("creating {}", path.display()))?;
        // The new one outranks them; they only take up room.
        let _ = clean_up::remove_superseded(&*self.disk, &self.root).await;
        Ok(())
    }

    /// Makes the checkpoint exist, and in the same instant those go that it does not keep ([`Manifest::oldest`]): their snapshot
    /// files stay, because others may need them. Reports each step but the last, which is the caller's to report.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_manifest(&self, manifest: &Manifest, reporter: &Reporter) -> Result<(), PublishError> {
        let id = manifest.checkpoint;
        let place = || format!("writing the manifest of checkpoint {id} into {}", self.place());
        // Not put back unless it is known to be right.
        let known = self.slots().take();
        let prepare = async {
            let slots = match known {
                Some(slots) => slots,
                None => self.survey().await?.slots,
            };
            let mut publication = Publication::write(&*self.disk, &self.root, &slots, manifest).await?;
            reporter.report_for(id, Step::ManifestWritten).await;
            if planted!(HeaderBeforeBody) {
                return Ok((publication, slots)); // Pillai et al. 2014
            }
            if let Err(error) = publication.sync().await {
                publication.discard(&*self.disk).await;
                return Err(error.into());
            }
            reporter.report_for(id, Step::ManifestSynced).await;
            Result::<_>::Ok((publication, slots))
        };
        let (mut publication, mut slots) = prepare.await.at(place).map_err(PublishError::NotPublished)?;
        let publish = async {
            publication.show().await?;
            reporter.report_for(id, Step::ManifestShown).await;
            // mongo-rocks 35
            if !planted!(ManifestNotSettled) {
                publication.sync_shown().await?;
            }
            Ok::<_, io::Error>(())
        };
        let published = publish.await.at(place);
        if planted!(IndeterminateManifestDiscarded) && published.is_err() {
            for file in manifest.files() {
                let _ = self.disk.remove_file(&snapshot_directory(&self.root).join(&file.name)).await; // FLINK-22494
            }
            return published.map_err(PublishError::NotPublished);
        }
        published.map_err(PublishError::Indeterminate)?;
        slots.published(publication, &*self.disk).await;
        *self.slots() = Some(slots);
        Ok(())
    }

    /// Deletes the snapshot files of attempts before the current one that no checkpoint names. No manifest that an earlier
    /// attempt has made may be on its way. May be tried again.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails; `Damaged` or `BadInput` if a manifest cannot be read: then nothing is deleted.
    pub async fn remove_stale_files(&self, current: AttemptId) -> Result<StaleFiles> {
        clean_up::remove_stale_files(&*self.disk, &self.root, current).await
    }

    /// Deletes all that a finished job does not need, durably: every checkpoint but the newest `retained` that completed,
    /// what their manifests do not name, files that never got their names, and claims that are superseded. Decides from the
    /// files alone, so that it also finds what earlier processes have left. May be tried again.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails; `Damaged` or `BadInput` if a manifest cannot be read.
    pub async fn tidy(&self, retained: u32) -> Result<()> {
        clean_up::tidy(&*self.disk, &self.root, retained).await
    }

    /// Records that the job has committed all its output, durably.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails.
    pub async fn record_finished(&self, last: CheckpointId) -> Result<()> {
        let contents = format!("the job finished with checkpoint {last}\n");
        write_durably(&*self.disk, &self.root.join(FINISHED), contents.into()).await.at(|| self.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        connector::memory_disk::MemoryDisk,
        graph::local_executor::{Recorder, now},
        probe::Actor,
        storage::{checkpoint_path, read_manifest},
    };

    fn opened(disk: &MemoryDisk) -> CheckpointStore {
        let store = CheckpointStore::open(Arc::new(disk.clone()), Path::new("/c"), "Words", 128);
        now(store).expect("nothing fails")
    }

    /// What a job manager finds that starts after a loss of power, or after a kill.
    fn found(disk: &MemoryDisk, power: bool) -> Survey {
        disk.set_life(None);
        if power {
            disk.lose_power();
        }
        now(opened(disk).survey()).expect("nothing fails")
    }

    fn ids<const N: usize>(ids: [u64; N]) -> [CheckpointId; N] {
        ids.map(CheckpointId)
    }

    fn published(store: &CheckpointStore, id: u64, oldest: u64) -> (Result<(), PublishError>, Vec<Step>) {
        let manifest = Manifest {
            job: "Words".into(),
            checkpoint: CheckpointId(id),
            oldest: CheckpointId(oldest),
            attempt: AttemptId { term: 1, number: 1 },
            is_final: false,
            max_parallelism: 128,
            vertices: Vec::new(),
            completed_at_ms: 0,
            duration_us: 0,
        };
        let recorder = Recorder::default();
        let reporter = Reporter::new(Arc::new(recorder.clone()), Actor::JobManager);
        (now(store.publish_manifest(&manifest, &reporter)), recorder.take_steps())
    }

    /// Each keeps the one before.
    fn published_through(store: &CheckpointStore, last: u64) {
        for id in 1..=last {
            published(store, id, (id - 1).max(1)).0.expect("nothing fails");
        }
    }

    /// FLINK-2354, and Pillai et al. 2014: wherever it dies, who comes next knows all numbers that somebody may have heard of.
    #[test]
    fn what_is_reserved_is_so_for_ever_wherever_it_dies() {
        for (operations, power) in (0..20).flat_map(|n| [(n, false), (n, true)]) {
            let disk = MemoryDisk::default();
            now(opened(&disk).reserve_numbers(CheckpointId(16))).expect("nothing fails");
            let store = opened(&disk);
            disk.set_life(Some(operations));
            let reserved = now(store.reserve_numbers(CheckpointId(32)));
            let found = found(&disk, power).reserved;
            assert!(found >= Some(CheckpointId(16)), "{operations} {power}: {found:?}");
            assert!(reserved.is_err() || found == Some(CheckpointId(32)), "{operations} {power}: {found:?}");
            assert!(operations < 10 || reserved.is_ok(), "there are fewer operations");
        }
        let disk = MemoryDisk::default();
        let store = opened(&disk);
        for through in [16, 32].map(CheckpointId) {
            now(store.reserve_numbers(through)).expect("nothing fails");
        }
        let claims: Vec<_> = disk.paths().into_iter().filter(|path| path.starts_with("/c/reserved")).collect();
        assert_eq!(claims, ["/c/reserved-32"], "what is superseded is gone");
    }

    /// Wherever it dies, it is the newest two that are there, or the two before them; in a new slot, and over an old one.
    #[test]
    fn what_is_obsolete_goes_with_the_manifest_that_comes() {
        for (last, operations, power) in (2..6).flat_map(|l| (0..20).flat_map(move |n| [(l, n, false), (l, n, true)])) {
            let disk = MemoryDisk::default();
            let store = opened(&disk);
            published_through(&store, last);
            disk.set_life(Some(operations));
            let (result, steps) = published(&store, last + 1, last);
            let left = found(&disk, power).completed;
            let case = format!("{last} {operations} {power}: {result:?}, {left:?} after {steps:?}");
            let (before, after) = (ids([last - 1, last]), ids([last, last + 1]));
            match result {
                Ok(()) => assert_eq!(left, after, "{case}"),
                Err(PublishError::NotPublished(_)) => assert_eq!(left, before, "{case}"),
                Err(PublishError::Indeterminate(_)) if power => assert_eq!(left, before, "it was not synced: {case}"),
                Err(PublishError::Indeterminate(_)) => assert!(left == before || left == after, "{case}"),
            }
            assert!(operations < 10 || steps.len() == 3, "there are fewer operations: {case}");
        }
    }

    /// One more than are kept, however many are published; and what an earlier process has left is used again.
    #[test]
    fn there_are_as_many_slots_as_it_takes() {
        let disk = MemoryDisk::default();
        published_through(&opened(&disk), 9);
        let slots = || disk.paths().into_iter().filter(|path| path.starts_with("/c/manifest-")).count();
        assert_eq!(slots(), 3);
        let store = opened(&disk);
        published(&store, 10, 7).0.expect("nothing fails");
        published(&store, 11, 11).0.expect("nothing fails");
        assert_eq!((slots(), now(store.survey()).expect("nothing fails").completed), (4, vec![CheckpointId(11)]));
        for id in 12..20 {
            published(&store, id, id).0.expect("nothing fails");
        }
        assert_eq!(slots(), 4);
    }

    /// After an error of a sync everybody sees what a loss of power may take away: before anything is written over on its word,
    /// it is made durable.
    #[test]
    fn what_was_shown_and_not_synced_is_settled_before_anything_else() {
        for operations in 0..60 {
            let disk = MemoryDisk::default();
            let store = opened(&disk);
            published_through(&store, 4);
            disk.fail_after(1, "sync", "/c/manifest-1", io::ErrorKind::Other);
            let result = published(&store, 5, 5).0;
            assert!(matches!(result, Err(PublishError::Indeterminate(_))), "{result:?}");
            disk.set_life(Some(operations));
            let result = published(&store, 6, 6).0;
            let left = found(&disk, true).completed;
            assert!(left.last() >= Some(&CheckpointId(4)), "{operations} {result:?} {left:?}");
            for id in left {
                let manifest = now(read_manifest(&disk, &checkpoint_path(Path::new("/c"), id)));
                assert_eq!(manifest.expect("it is kept").checkpoint, id, "{operations} {result:?}");
            }
            assert!(operations < 50 || result.is_ok(), "there are fewer operations");
        }
    }

    /// Who has named another checkpoint is past what cannot be read once a newer one exists, and not before.
    #[test]
    fn what_cannot_be_read_goes_with_the_next_publication() {
        let disk = MemoryDisk::default();
        let store = opened(&disk);
        published_through(&store, 2);
        disk.put("/c/manifest-9", b"rotten");
        let unreadable = || now(store.survey()).expect("nothing fails").unreadable;
        assert!(unreadable().expect("nobody knows what it holds").to_string().contains("/c/manifest-9 is damaged"));
        disk.fail_next("sync", "/c/manifest-2.tmp", io::ErrorKind::Other);
        published(&store, 3, 2).0.expect_err("an operation fails");
        assert!(unreadable().is_some());
        disk.fail_next("remove_file", "/c/manifest-9", io::ErrorKind::Other);
        published(&store, 4, 2).0.expect("the checkpoint exists");
        assert!(unreadable().is_some());
        published(&store, 5, 4).0.expect("nothing fails");
        assert_eq!(unreadable(), None);
        assert!(!disk.paths().iter().any(|path| path == "/c/manifest-9"));
        assert_eq!(found(&disk, true).completed, ids([4, 5]));
    }

    /// On a disk that is full, what is left of a publication would be in the way of all to come.
    #[test]
    fn nothing_is_left_of_a_publication_that_failed_or_died() {
        let disk = MemoryDisk::default();
        let store = opened(&disk);
        let before = disk.paths();
        disk.set_space(Some(10));
        assert!(matches!(published(&store, 1, 1).0, Err(PublishError::NotPublished(_))));
        disk.set_space(None);
        assert_eq!(disk.paths(), before);
        // A listing, an attempt to open what is not there, and the creation of what is.
        disk.set_life(Some(4));
        published(&store, 2, 2).0.expect_err("the node dies");
        assert!(disk.paths().iter().any(|path| path == "/c/manifest-0.tmp"));
        assert_eq!(found(&disk, false).completed, []);
        assert_eq!(disk.paths(), before);
    }

    #[test]
    fn an_older_layout_is_refused_by_name() {
        for manifest in ["/c/chk-3", "/c/chk-3/manifest"] {
            let disk = MemoryDisk::default();
            let store = opened(&disk);
            disk.put(manifest, b"");
            let refused = now(store.survey()).expect_err("it is of an older layout").to_string();
            let open = CheckpointStore::open(Arc::new(disk), Path::new("/c"), "Words", 128);
            let Err(error) = now(open) else { panic!("it was opened") };
            assert_eq!(error.to_string(), format!("checkpoint directory /c: {refused}"));
            assert!(refused.starts_with("/c/chk-3 was made by an older build"), "{refused}");
        }
    }
}
