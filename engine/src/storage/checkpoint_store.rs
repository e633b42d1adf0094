//! The job manager's view of a checkpoint directory.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    Survey,
    atomic_file::{AtomicFile, write_durably},
    clean_up::{self, StaleFiles},
    directories::create_directories,
    job_file::{JobFile, refuse_foreign_files},
    layout::{FINISHED, LOCK, MANIFEST, checkpoint_directory, parse_term_file, snapshot_directory, term_file},
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

    /// Uses up a checkpoint's number, for ever.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails, or the number has been used.
    pub async fn create_checkpoint_directory(&self, id: CheckpointId) -> Result<()> {
        let path = checkpoint_directory(&self.root, id);
        let created = async {
            match self.disk.create_dir(&path).await {
                Err(e) if planted!(IdsStartAgain) && e.kind() == io::ErrorKind::AlreadyExists => {} // FLINK-2354
                created => created?,
            }
            // Without this the directory could be gone after a loss of power, and its number be used again.
            self.disk.sync_dir(&self.root).await
        };
        created.await.at(|| format!("creating {}", path.display()))
    }

    /// Makes the checkpoint exist. Reports each step but the last, which is the caller's to report.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_manifest(&self, manifest: &Manifest, reporter: &Reporter) -> Result<(), PublishError> {
        let id = manifest.checkpoint;
        let path = checkpoint_directory(&self.root, id).join(MANIFEST);
        let place = || format!("writing manifest {}", path.display());
        let prepare = async {
            let mut file = AtomicFile::write(&*self.disk, &path, encode_manifest(manifest).into()).await?;
            reporter.report_for(id, Step::ManifestWritten).await;
            file.sync().await?;
            reporter.report_for(id, Step::ManifestSynced).await;
            Ok::<_, io::Error>(file)
        };
        let mut file = prepare.await.at(place).map_err(PublishError::NotPublished)?;
        let publish = async {
            file.rename().await?;
            reporter.report_for(id, Step::ManifestRenamed).await;
            // mongo-rocks 35
            if planted!(ManifestDirectoryNotSynced) { Ok(()) } else { file.sync_directory().await }
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

    /// Deletes a checkpoint: once this is done, its manifest is gone for good. Its snapshot files stay: others may need them.
    /// May be tried again, and by two at once: what is gone is gone.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails.
    pub async fn retire(&self, id: CheckpointId) -> Result<()> {
        clean_up::retire(&*self.disk, &self.root, id).await
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
    /// what their manifests do not name, files that never got their names, and the claims of earlier terms. Decides from the
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
