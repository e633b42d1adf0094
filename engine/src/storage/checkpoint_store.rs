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
mod tests;
