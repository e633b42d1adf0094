//! A job's checkpoints, as the job manager keeps them.

use std::{io, path::Path, sync::Arc};

use super::{
    PublishError, Survey,
    atomic_file::{self, StepNames},
    job_file::{self, FinishedFile, JobFile},
    layout::{self, Layout, TopEntry, parent_of},
    read_file::read_file,
    read_manifest,
};
use crate::{
    checkpoint::Manifest,
    env::{Disk, DiskLock, EntryKind, OpenMode},
    error::{Context, Error, Result},
    id::CheckpointId,
    probe::{Reporter, Step},
};

/// The directory in which one job's checkpoints rest. Holds its lock until dropped.
pub struct CheckpointStore {
    disk: Arc<dyn Disk>,
    layout: Layout,
    identity: JobFile,
    _lock: Box<dyn DiskLock>,
}

impl CheckpointStore {
    /// Opens the directory for a job, and makes it if it is absent. Nothing that is there is changed.
    ///
    /// # Errors
    /// `BadInput`, naming the path and the remedy, if another process uses the directory, if it belongs to another job, or
    /// if it holds files and is no checkpoint directory; `Damaged` if `job.json` is; `Unavailable` if the disk fails.
    pub async fn open(disk: Arc<dyn Disk>, directory: &Path, job: &str, max_parallelism: u32) -> Result<Self> {
        let layout = Layout::new(directory);
        let place = || format!("checkpoint directory {}", directory.display());
        create_durably(&*disk, directory).await.at(place)?;
        refuse_foreign(&*disk, &layout).await.at(place)?;

        let lock = disk.try_lock(&layout.path(layout::LOCK)).await.at(place)?.ok_or_else(|| {
            Error::bad_input(format!(
                "another process, still alive, uses the checkpoint directory {}: end it, or choose another directory",
                directory.display()
            ))
        })?;

        let identity = JobFile { job: job.to_owned(), max_parallelism };
        let store = Self { disk, layout, identity, _lock: lock };
        store.write_or_check_identity().await.at(place)?;
        Ok(store)
    }

    /// The directory of one checkpoint.
    #[must_use]
    pub fn checkpoint_directory(&self, id: CheckpointId) -> std::path::PathBuf {
        self.layout.checkpoint(id)
    }

    async fn write_or_check_identity(&self) -> Result<()> {
        let path = self.layout.path(layout::JOB);
        let bytes = match read_file(&*self.disk, &path).await {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let temporary = self.layout.path(&layout::temporary(layout::JOB));
                let content = [job_file::encode(&self.identity)];
                return Ok(atomic_file::write(&*self.disk, &path, &temporary, &content, None).await?);
            }
            other => other.at(|| format!("reading {}", path.display()))?,
        };
        // Whoever wrote it may have been killed between rename and sync; all that follows rests on this name.
        self.disk.sync_dir(&self.layout.top).await?;

        let found: JobFile = job_file::decode(&bytes, &path)?;
        let remedy = "choose another checkpoint directory";
        if found.job != self.identity.job {
            return Err(Error::bad_input(format!(
                "{} says that it belongs to the job {:?}, not to {:?}: {remedy}",
                path.display(),
                found.job,
                self.identity.job
            )));
        }
        if found.max_parallelism != self.identity.max_parallelism {
            return Err(Error::bad_input(format!(
                "{} says that the job has a maximum parallelism of {}, but it was started with {}, which cannot be changed \
                 once the job has state: start it with {0} as before, or {remedy}",
                path.display(),
                found.max_parallelism,
                self.identity.max_parallelism
            )));
        }
        Ok(())
    }

    /// Claims a term higher than any before, durably.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails; claiming again is safe and gives a higher term.
    pub async fn claim_term(&self) -> Result<u32> {
        let place = || format!("claiming a term in {}", self.layout.top.display());
        loop {
            let used = self.terms().await.at(place)?;
            let exhausted = || Error::damaged("the highest possible term is claimed already: choose another directory");
            let term = used.last().copied().unwrap_or(0).checked_add(1).ok_or_else(exhausted).at(place)?;
            // Creating a file that must not exist is the claim: of two job managers that see the same terms, one fails here.
            let path = self.layout.path(&layout::term(term));
            match self.disk.open(&path, OpenMode::CreateNew).await {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                other => drop(other.at(place)?),
            }
            // The name is all there is to the file. Without this sync a loss of power would give the term to a second one.
            self.disk.sync_dir(&self.layout.top).await.at(place)?;

            // Only now, as the highest one is durable, may the others go. Their removal needs no sync: a lower term that
            // comes back changes nothing.
            for lower in used {
                let _ = self.disk.remove_file(&self.layout.path(&layout::term(lower))).await;
            }
            return Ok(term);
        }
    }

    async fn terms(&self) -> io::Result<Vec<u32>> {
        let entries = self.disk.list(&self.layout.top).await?;
        let mut terms: Vec<u32> = entries
            .iter()
            .filter_map(|e| match layout::parse_top(&e.name)? {
                TopEntry::Term(term) => Some(term),
                _ => None,
            })
            .collect();
        terms.sort_unstable();
        Ok(terms)
    }

    /// What rests in the directory.
    ///
    /// # Errors
    /// `Damaged` or `BadInput`, naming the path, if the newest completed checkpoint's manifest is there but cannot be
    /// trusted or understood: it is never skipped (I20). `Unavailable` if the disk fails.
    pub async fn survey(&self) -> Result<Survey> {
        let place = || format!("checkpoint directory {}", self.layout.top.display());
        // Names that a killed predecessor left may be visible but not durable. Whatever is decided from them must still
        // be true after the next loss of power; so they are made durable before they are read.
        self.disk.sync_dir(&self.layout.top).await.at(place)?;
        let ids = self.used_ids().await.at(place)?;

        let (mut completed, mut incomplete) = (Vec::new(), Vec::new());
        for id in ids.iter().copied() {
            let kind = if self.is_complete(id).await? { &mut completed } else { &mut incomplete };
            kind.push(id);
        }
        let newest = match completed.last() {
            Some(id) => Some(self.newest_manifest(*id).await?),
            None => None,
        };
        let finished = self.finished().await?;
        Ok(Survey { highest_used: ids.last().copied(), completed, incomplete, newest, finished })
    }

    async fn used_ids(&self) -> io::Result<Vec<CheckpointId>> {
        let entries = self.disk.list(&self.layout.top).await?;
        let mut ids: Vec<CheckpointId> = entries
            .iter()
            .filter_map(|e| match layout::parse_top(&e.name)? {
                TopEntry::Checkpoint(id) => Some(id),
                _ => None,
            })
            .collect();
        // As numbers: the list has chk-10 before chk-9.
        ids.sort_unstable();
        Ok(ids)
    }

    /// Whether the checkpoint has a manifest, which is then durable.
    async fn is_complete(&self, id: CheckpointId) -> Result<bool> {
        let directory = self.layout.checkpoint(id);
        let manifest = directory.join(layout::MANIFEST);
        match self.disk.metadata(&manifest).await {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(false),
            other => other.at(|| manifest.display().to_string())?,
        };
        // A killed predecessor may have renamed the manifest without syncing the directory. A job that restores from it
        // commits its output: it must not cease to exist after that (I17).
        self.disk.sync_dir(&directory).await.at(|| format!("syncing directory {}", directory.display()))?;
        Ok(true)
    }

    async fn newest_manifest(&self, id: CheckpointId) -> Result<Manifest> {
        let directory = self.layout.checkpoint(id);
        let hint = |e: Error| {
            let choose = "to start from an older checkpoint, name its directory with --restore PATH";
            Error { message: format!("{}; {choose}", e.message), ..e }
        };
        let manifest = read_manifest(&*self.disk, &directory).await.map_err(hint)?;
        let ours = (&manifest.job, manifest.max_parallelism) == (&self.identity.job, self.identity.max_parallelism);
        if manifest.checkpoint != id || !ours {
            return Err(hint(Error::damaged(format!(
                "the manifest in {} is not its own: it is of checkpoint {} of the job {:?} with maximum parallelism {}",
                directory.display(),
                manifest.checkpoint,
                manifest.job,
                manifest.max_parallelism
            ))));
        }
        Ok(manifest)
    }

    async fn finished(&self) -> Result<Option<CheckpointId>> {
        let path = self.layout.path(layout::FINISHED);
        match read_file(&*self.disk, &path).await {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            other => {
                let bytes = other.at(|| format!("reading {}", path.display()))?;
                Ok(Some(job_file::decode::<FinishedFile>(&bytes, &path)?.checkpoint))
            }
        }
    }

    /// Makes the directory of a new checkpoint, durably: its number is used for ever.
    ///
    /// # Errors
    /// `Unavailable` if the number has been used before, or if the disk fails; the next checkpoint must take a higher number.
    pub async fn create_checkpoint_directory(&self, id: CheckpointId) -> Result<()> {
        let path = self.layout.checkpoint(id);
        let place = || format!("creating {}", path.display());
        match self.disk.create_dir(&path).await {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::unavailable("it exists already, so that its number must not be used again").at(place()))
            }
            other => other.at(place),
        }?;
        // Before the checkpoint is triggered: otherwise a loss of power could take the directory away with all snapshots
        // in it, synced or not, and give its number to another checkpoint (I8).
        self.disk.sync_dir(&self.layout.top).await.at(|| format!("syncing directory {}", self.layout.top.display()))
    }

    /// Publishes a manifest: when this returns, the checkpoint exists. Reports `ManifestWritten`, `ManifestSynced` and
    /// `ManifestRenamed`; the caller reports `CheckpointCompleted`.
    ///
    /// # Errors
    /// Whether the checkpoint may exist all the same; see [`PublishError`].
    pub async fn publish_manifest(&self, manifest: &Manifest, reporter: &Reporter) -> Result<(), PublishError> {
        let directory = self.layout.checkpoint(manifest.checkpoint);
        let names = StepNames {
            reporter,
            checkpoint: manifest.checkpoint,
            written: Step::ManifestWritten,
            synced: Step::ManifestSynced,
            renamed: Step::ManifestRenamed,
            directory_synced: None,
        };
        let target = directory.join(layout::MANIFEST);
        let temporary = directory.join(layout::temporary_manifest(manifest.attempt));
        Ok(atomic_file::write(&*self.disk, &target, &temporary, &[manifest.encode()], Some(&names)).await?)
    }

    /// Deletes a checkpoint, completed or not. Nothing need be there any more. Two things stay: the directory, if no higher
    /// number has been used, because it remembers the highest; and files that are not ours, with their directory.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails; retiring again goes on where this stopped.
    pub async fn retire(&self, id: CheckpointId) -> Result<()> {
        let directory = self.layout.checkpoint(id);
        let place = || format!("deleting {}", directory.display());
        let entries = match self.disk.list(&directory).await {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.at(place)?,
        };
        gone_is_fine(self.disk.remove_file(&directory.join(layout::MANIFEST)).await).at(place)?;
        // Before the first snapshot goes: otherwise a loss of power could bring the manifest back without the snapshots
        // that it names, and the checkpoint would look complete. Also if there was no manifest: a predecessor may have
        // removed it and been killed before this sync.
        self.disk.sync_dir(&directory).await.at(place)?;
        let ours = |name: &str| layout::parse_in_checkpoint(name).is_some();
        for entry in entries.iter().filter(|e| e.kind == EntryKind::File && ours(&e.name)) {
            gone_is_fine(self.disk.remove_file(&directory.join(&entry.name)).await).at(place)?;
        }
        if self.used_ids().await.at(place)?.last() == Some(&id) {
            return Ok(());
        }
        // The last removals need no sync: what comes back has no manifest, and the next survey finds it `incomplete`.
        match self.disk.remove_dir(&directory).await {
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            other => gone_is_fine(other).at(place),
        }
    }

    /// Records durably that the job has committed all it will ever commit.
    ///
    /// # Errors
    /// `Unavailable` if the disk fails; recording again is safe.
    pub async fn record_finished(&self, manifest_id: CheckpointId) -> Result<()> {
        let path = self.layout.path(layout::FINISHED);
        let temporary = self.layout.path(&layout::temporary(layout::FINISHED));
        let content = [job_file::encode(FinishedFile { checkpoint: manifest_id })];
        Ok(atomic_file::write(&*self.disk, &path, &temporary, &content, None).await?)
    }
}

fn gone_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes the directory, and those above it, unless they exist.
async fn create_durably(disk: &dyn Disk, directory: &Path) -> Result<()> {
    let mut missing = Vec::new();
    let mut existing = directory;
    let mut found = disk.metadata(existing).await;
    while found.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotFound) && parent_of(existing) != existing {
        missing.push(existing);
        existing = parent_of(existing);
        found = disk.metadata(existing).await;
    }
    if found?.kind != EntryKind::Directory {
        return Err(Error::bad_input(format!("{} is not a directory: choose another path", existing.display())));
    }
    // The deepest directory that exists may be one that a killed predecessor made but had not synced yet. Who may not even
    // look into its parent has not made it.
    match disk.sync_dir(parent_of(existing)).await {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
        other => other?,
    }
    for directory in missing.into_iter().rev() {
        match disk.create_dir(directory).await {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
        // Without this a loss of power takes the directory away with everything in it, however well that was synced.
        disk.sync_dir(parent_of(directory)).await?;
    }
    Ok(())
}

/// A directory without `job.json` must be empty, but for what an interrupted `open` leaves.
async fn refuse_foreign(disk: &dyn Disk, layout: &Layout) -> Result<()> {
    let entries = disk.list(&layout.top).await?;
    let parsed = |name: &str| layout::parse_top(name);
    if entries.iter().any(|e| parsed(&e.name) == Some(TopEntry::Job)) {
        return Ok(());
    }
    let foreign = |name: &str| !matches!(parsed(name), Some(TopEntry::Lock | TopEntry::Temporary));
    match entries.iter().find(|e| foreign(&e.name)) {
        None => Ok(()),
        Some(first) => Err(Error::bad_input(format!(
            "{} is not a checkpoint directory: it has no job.json, but it holds {:?}; choose an empty directory, or one \
             that does not exist yet",
            layout.top.display(),
            first.name
        ))),
    }
}
