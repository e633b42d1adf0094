//! The job manager's view of a checkpoint directory.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    Survey,
    atomic_file::{AtomicFile, discard, write_durably},
    clean_up::{self, StaleFiles},
    directories::create_directories,
    job_file::{JobFile, refuse_foreign_files},
    layout::{FINISHED, LOCK, manifest_path, parse_term_file, reservation_file, snapshot_directory, term_file},
    manifest_file::encode_manifest,
    survey,
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
        Ok(Self { disk, root: directory.to_owned(), _lock: lock })
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

    /// Looks at what the directory holds.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails.
    pub async fn survey(&self) -> Result<Survey> {
        survey(&*self.disk, &self.root).await
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

    /// Makes the checkpoint exist, and with the same sync of the directory lets obsolete ones go. Gives those that are gone
    /// for good: their snapshot files stay, because others may need them. What could not be unlinked fails nothing, and may
    /// be tried again; what is gone is gone. Reports each step but the last, which is the caller's to report.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_manifest(
        &self,
        manifest: &Manifest,
        obsolete: &[CheckpointId],
        reporter: &Reporter,
    ) -> Result<Vec<CheckpointId>, PublishError> {
        let id = manifest.checkpoint;
        let path = manifest_path(&self.root, id);
        let place = || format!("writing manifest {}", path.display());
        let prepare = async {
            let mut file = AtomicFile::write(&*self.disk, &path, encode_manifest(manifest).into()).await?;
            reporter.report_for(id, Step::ManifestWritten).await;
            file.sync().await?;
            reporter.report_for(id, Step::ManifestSynced).await;
            Ok::<_, io::Error>(file)
        };
        let mut file = match prepare.await.at(place) {
            Ok(file) => file,
            Err(error) => {
                discard(&*self.disk, &path).await;
                return Err(PublishError::NotPublished(error));
            }
        };
        let publish = async {
            file.rename().await?;
            reporter.report_for(id, Step::ManifestRenamed).await;
            // Whatever a loss of power leaves of both, the newest that completed before this one stays.
            let unlinked = clean_up::unlink_manifests(&*self.disk, &self.root, obsolete).await;
            if !unlinked.is_empty() {
                let checkpoints = unlinked.clone();
                reporter.report_for(id, Step::ObsoleteUnlinked { checkpoints }).await;
            }
            // mongo-rocks 35
            if !planted!(ManifestDirectoryNotSynced) {
                file.sync_directory().await?;
            }
            Ok::<_, io::Error>(unlinked)
        };
        let published = publish.await.at(place);
        if planted!(IndeterminateManifestDiscarded) && published.is_err() {
            for file in manifest.files() {
                let _ = self.disk.remove_file(&snapshot_directory(&self.root).join(&file.name)).await; // FLINK-22494
            }
            return published.map_err(PublishError::NotPublished);
        }
        published.map_err(PublishError::Indeterminate)
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

    fn published(
        store: &CheckpointStore,
        id: u64,
        obsolete: &[CheckpointId],
    ) -> (Option<Vec<CheckpointId>>, Vec<Step>) {
        let manifest = Manifest {
            job: "Words".into(),
            checkpoint: CheckpointId(id),
            attempt: AttemptId { term: 1, number: 1 },
            is_final: false,
            max_parallelism: 128,
            vertices: Vec::new(),
            completed_at_ms: 0,
            duration_us: 0,
        };
        let recorder = Recorder::default();
        let reporter = Reporter::new(Arc::new(recorder.clone()), Actor::JobManager);
        (now(store.publish_manifest(&manifest, obsolete, &reporter)).ok(), recorder.take_steps())
    }

    fn two_published(store: &CheckpointStore) {
        for id in [1, 2] {
            published(store, id, &[]).0.expect("nothing fails");
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

    /// Of the three that could be there it is always the newest two that are, or the two before them.
    #[test]
    fn what_is_obsolete_goes_with_the_manifest_that_comes() {
        for (operations, power) in (0..20).flat_map(|n| [(n, false), (n, true)]) {
            let disk = MemoryDisk::default();
            let store = opened(&disk);
            two_published(&store);
            disk.set_life(Some(operations));
            let (retired, steps) = published(&store, 3, &ids([1]));
            let left = found(&disk, power).completed;
            let case = format!("{operations} {power}: {retired:?}, {left:?} after {steps:?}");
            assert!(left.contains(&CheckpointId(2)), "{case}");
            match retired {
                Some(retired) => assert_eq!((&*retired, &*left), (&ids([1])[..], &ids([2, 3])[..]), "{case}"),
                None if power => assert_eq!(left, ids([1, 2]), "nothing of it was synced: {case}"),
                None => {}
            }
            assert!(operations < 10 || steps.len() == 4, "there are fewer operations: {case}");
        }
    }

    #[test]
    fn a_manifest_that_cannot_be_unlinked_is_in_nobodys_way() {
        let disk = MemoryDisk::default();
        let store = opened(&disk);
        two_published(&store);
        disk.fail_next("remove_file", "chk-1", io::ErrorKind::Other);
        assert_eq!(published(&store, 3, &ids([1])).0, Some(Vec::new()));
        assert_eq!(published(&store, 4, &ids([1, 2])).0, Some(ids([1, 2]).into()));
        assert_eq!(found(&disk, true).completed, ids([3, 4]));
    }

    /// On a disk that is full, what is left of a publication would be in the way of all to come.
    #[test]
    fn nothing_is_left_of_a_publication_that_failed_or_died() {
        let disk = MemoryDisk::default();
        let store = opened(&disk);
        let before = disk.paths();
        disk.set_space(Some(10));
        assert_eq!(published(&store, 1, &[]).0, None);
        disk.set_space(None);
        assert_eq!(disk.paths(), before);
        disk.set_life(Some(2));
        assert_eq!(published(&store, 2, &[]).0, None);
        assert!(disk.paths().iter().any(|path| path == "/c/chk-2.tmp"));
        assert_eq!(found(&disk, false).completed, []);
        assert_eq!(disk.paths(), before);
    }

    #[test]
    fn an_older_layout_is_refused_by_name() {
        let disk = MemoryDisk::default();
        let store = opened(&disk);
        disk.put("/c/chk-3/manifest", b"");
        let refused = now(store.survey()).expect_err("it is of an older layout").to_string();
        let open = CheckpointStore::open(Arc::new(disk), Path::new("/c"), "Words", 128);
        let Err(error) = now(open) else { panic!("it was opened") };
        assert_eq!(error.to_string(), format!("checkpoint directory /c: {refused}"));
        assert!(refused.starts_with("/c/chk-3 is a directory, as an older build made one"), "{refused}");
    }
}
