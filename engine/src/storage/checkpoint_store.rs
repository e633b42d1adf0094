//! The job manager's view of a checkpoint directory.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    atomic_file::{AtomicFile, parent, read_file, write_durably},
    layout::{
        FINISHED, JOB, LOCK, MANIFEST, TEMPORARY_SUFFIX, checkpoint_directory, parse_checkpoint_directory,
        parse_term_file, term_file,
    },
    manifest_file::{encode_manifest, read_manifest},
};
use crate::{
    checkpoint::Manifest,
    env::{Disk, DiskLock, EntryKind},
    error::{Context, Error, Result},
    id::CheckpointId,
    probe::{Reporter, Step},
};

/// The format of the directory as a whole.
const FORMAT: u32 = 1;

/// Whose directory it is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct JobFile {
    format: u32,
    job: String,
    max_parallelism: u32,
}

/// What rests in a checkpoint directory.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The highest number that was ever used.
    pub highest_id: Option<CheckpointId>,
    /// The completed checkpoints, ascending.
    pub completed: Vec<CheckpointId>,
    /// The manifest of the newest completed one.
    pub newest: Option<Manifest>,
    /// Whether the job has committed all its output.
    pub finished: bool,
}

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
        let ours = JobFile { format: FORMAT, job: job.to_owned(), max_parallelism };
        claim(&*disk, directory, &ours).await.at(place)?;
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
            for old in terms {
                // The new one outranks them; they only take up room.
                let _ = self.disk.remove_file(&self.root.join(term_file(old))).await;
            }
            Result::<_>::Ok(term)
        };
        claimed.await.at(|| self.place())
    }

    /// Looks at everything in the directory.
    ///
    /// # Errors
    /// Those of [`read_manifest`] for the newest completed checkpoint: it is never skipped (I20). `Unavailable` if the
    /// disk fails.
    pub async fn survey(&self) -> Result<Survey> {
        let entries = self.disk.list(&self.root).await.at(|| self.place())?;
        let mut ids: Vec<CheckpointId> = entries.iter().filter_map(|e| parse_checkpoint_directory(&e.name)).collect();
        ids.sort_unstable();
        let mut completed = Vec::new();
        for id in &ids {
            let manifest = checkpoint_directory(&self.root, *id).join(MANIFEST);
            match self.disk.metadata(&manifest).await {
                Ok(_) => completed.push(*id),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e).at(|| format!("manifest {}", manifest.display())),
            }
        }
        let newest = match completed.last() {
            Some(id) => Some(self.settle(*id).await?),
            None => None,
        };
        let finished = entries.iter().any(|e| e.name == FINISHED);
        Ok(Survey { highest_id: ids.last().copied(), completed, newest, finished })
    }

    /// Reads the manifest of a checkpoint that is about to be acted upon, and makes sure that it stays. The process that
    /// published it may have died between the rename and the sync: then everybody can see the manifest, and the next loss
    /// of power may still take it away, with output already committed on its word.
    async fn settle(&self, id: CheckpointId) -> Result<Manifest> {
        let directory = checkpoint_directory(&self.root, id);
        let manifest = read_manifest(&*self.disk, &directory).await?;
        self.disk.sync_dir(&directory).await.at(|| self.place())?;
        Ok(manifest)
    }

    /// Uses up a checkpoint's number, for ever.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails, or the number has been used.
    pub async fn create_checkpoint_directory(&self, id: CheckpointId) -> Result<()> {
        let path = checkpoint_directory(&self.root, id);
        let created = async {
            self.disk.create_dir(&path).await?;
            // Without this the directory, and all snapshots that tasks sync into it, could be gone after a loss of power,
            // and its number be used again.
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
            file.sync_directory().await
        };
        publish.await.at(place).map_err(PublishError::Indeterminate)
    }

    /// Deletes a checkpoint. The manifest goes first, durably, so that half of a checkpoint never looks like a whole one.
    /// May be tried again; what is gone is gone.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails.
    pub async fn retire(&self, id: CheckpointId) -> Result<()> {
        let path = checkpoint_directory(&self.root, id);
        let deleted = async {
            let entries = match self.disk.list(&path).await {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                entries => entries?,
            };
            if entries.iter().any(|e| e.name == MANIFEST) {
                self.disk.remove_file(&path.join(MANIFEST)).await?;
                self.disk.sync_dir(&path).await?;
            }
            for entry in entries.iter().filter(|e| e.name != MANIFEST) {
                self.disk.remove_file(&path.join(&entry.name)).await?;
            }
            self.disk.remove_dir(&path).await
        };
        deleted.await.at(|| format!("deleting {}", path.display()))
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

/// Creates a directory and those above it that are missing, durably.
async fn create_directories(disk: &dyn Disk, directory: &Path) -> Result<()> {
    let mut missing = Vec::new();
    let mut at = directory;
    loop {
        match disk.metadata(at).await {
            Ok(metadata) if metadata.kind == EntryKind::Directory => break,
            Ok(_) => return Err(Error::bad_input(format!("{} is not a directory: choose another one", at.display()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => missing.push(at),
            Err(e) => return Err(e.into()),
        }
        match at.parent() {
            Some(above) if !above.as_os_str().is_empty() => at = above,
            _ => break,
        }
    }
    for path in missing.into_iter().rev() {
        match disk.create_dir(path).await {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e.into()),
            _ => {}
        }
    }
    // Without this, the whole directory may be gone after a loss of power. All the way up, and also if nothing was missing:
    // whoever created a directory may have died before it came to this line.
    for below in directory.ancestors().filter(|path| path.parent().is_some()) {
        match disk.sync_dir(parent(below)).await {
            // Where we may not even look, we have not created anything.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// A directory without our mark must hold nothing: what others put there is not ours to mix with.
async fn refuse_foreign_files(disk: &dyn Disk, directory: &Path) -> Result<()> {
    let entries = disk.list(directory).await?;
    if entries.iter().any(|e| e.name == JOB) {
        return Ok(());
    }
    let unfinished = format!("{JOB}{TEMPORARY_SUFFIX}");
    match entries.iter().find(|e| e.name != LOCK && e.name != unfinished) {
        None => Ok(()),
        Some(foreign) => Err(Error::bad_input(format!(
            "it holds {}, which Tidegate did not put there: choose an empty or a new directory",
            foreign.name
        ))),
    }
}

/// Makes the directory this job's, or checks that it is.
async fn claim(disk: &dyn Disk, directory: &Path, ours: &JobFile) -> Result<()> {
    let path = directory.join(JOB);
    let bytes = match read_file(disk, &path).await {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let json = serde_json::to_vec_pretty(ours).expect("a job file is plain data");
            return Ok(write_durably(disk, &path, json.into()).await?);
        }
        Err(e) => return Err(e.into()),
    };
    let found: JobFile = serde_json::from_slice(&bytes).map_err(|e| {
        Error::damaged(format!("{JOB} cannot be read ({e}): choose another directory or repair the file"))
    })?;
    if found.format != FORMAT {
        let message = format!("its format is version {}, this build reads version {FORMAT}", found.format);
        return Err(Error::bad_input(message + ": use the build that wrote it"));
    }
    if found.job != ours.job {
        let message = format!("it belongs to job {}, not to job {}", found.job, ours.job);
        return Err(Error::bad_input(message + ": choose another directory"));
    }
    if found.max_parallelism != ours.max_parallelism {
        return Err(Error::bad_input(format!(
            "its checkpoints have a maximum parallelism of {}, which cannot be changed to {}",
            found.max_parallelism, ours.max_parallelism
        )));
    }
    Ok(())
}
