//! The snapshot files of one task, which are used again.
//!
//! ```text
//!   new:    create ─► write ─► sync ─► sync the directory
//!   again:             write ─► sync
//! ```
//!
//! A file whose contents nobody needs any more (see [`SnapshotLedger`]) is written over: neither its name nor, as a rule, its
//! length changes, so that a snapshot costs a write and a sync. The name tells the attempt, so that no other task ever
//! writes there. Handles stay open: operations of one handle do not overlap, so that a write which nobody waits for any more
//! never lands on top of a later one.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;

use super::{
    layout::{snapshot_directory, snapshot_file},
    snapshot_file::{decode_snapshot, snapshot_digest},
};
use crate::{
    checkpoint::{SnapshotFile, SnapshotLedger},
    env::{Disk, DiskFile, OpenMode},
    error::{Context, Result},
    id::{CheckpointId, TaskId},
    probe::{Reporter, Step},
    state::{EncodedSnapshot, OperatorSnapshot},
    stream::CheckpointBarrier,
};

/// The files of one task. Cheap to clone; clones are the same files.
#[derive(Clone)]
pub struct SnapshotFiles {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    vertex: Arc<str>,
    task: TaskId,
    pool: Arc<Mutex<Pool>>,
}

#[derive(Default)]
struct Pool {
    ledger: SnapshotLedger,
    /// All but those that are being written, in the order of their numbers.
    files: Vec<OpenFile>,
    /// How many names were used.
    named: u64,
}

struct OpenFile {
    number: u64,
    name: String,
    handle: Box<dyn DiskFile>,
    /// It may be so long.
    len: u64,
    /// Whether its name would survive a loss of power.
    is_durable: bool,
}

impl SnapshotFiles {
    /// The files of this task, none so far, in a job's checkpoint directory.
    pub fn new(disk: Arc<dyn Disk>, checkpoint_directory: &Path, vertex: &str, task: TaskId) -> Self {
        let directory = snapshot_directory(checkpoint_directory);
        Self { disk, directory, vertex: vertex.into(), task, pool: Arc::default() }
    }

    /// A new checkpoint begins, and with it some files may be written over.
    pub fn begin(&self, barrier: CheckpointBarrier) {
        self.pool().ledger.begin(barrier);
    }

    /// Whether the snapshot for a checkpoint rests in these files, so that another may build on it.
    #[must_use]
    pub fn hold(&self, checkpoint: CheckpointId) -> bool {
        self.pool().ledger.holds(checkpoint)
    }

    /// Makes an encoded snapshot durable, and gives the files that hold it. Reports each step. If the future is dropped, the snapshot does not count.
    ///
    /// # Errors
    /// `Unavailable`, naming the path, if the disk fails at any step.
    ///
    /// # Panics
    /// If the snapshot builds on one that may be gone.
    pub async fn write(
        &self,
        checkpoint: CheckpointId,
        encoded: EncodedSnapshot,
        reporter: &Reporter,
    ) -> Result<Vec<SnapshotFile>> {
        let EncodedSnapshot { contents, builds_on } = encoded;
        let mut lent = self.lend(contents.len() as u64).await?;
        let file = lent.file();
        let (name, reused) = (file.name.clone(), file.len > 0);
        reporter.report_for(checkpoint, Step::SnapshotFileTaken { file: name.clone(), reused }).await;
        let path = self.directory.join(&name);
        let (len, digest) = (contents.len() as u64, snapshot_digest(&contents));
        let is_empty = |o: &OperatorSnapshot| o.keyed.is_empty() && o.lists.iter().all(|l| l.items.is_empty());
        let holds_nothing = || decode_snapshot(&contents, &path).is_ok_and(|(_, s)| s.operators.iter().all(is_empty));
        if !(planted!(EmptyPrepareNotPersisted) && holds_nothing()) {
            // RisingWave 26492
            file.len = file.len.max(len);
            if let Err(error) = self.fill(file, checkpoint, contents, reporter).await {
                lent.discard().await;
                return Err(error).at(|| format!("writing snapshot file {}", path.display()));
            }
        }
        let written = SnapshotFile { name, written_for: checkpoint, len, digest };
        Ok(lent.give_back_as(checkpoint, builds_on, written))
    }

    async fn fill(
        &self,
        file: &mut OpenFile,
        checkpoint: CheckpointId,
        contents: Bytes,
        reporter: &Reporter,
    ) -> io::Result<()> {
        file.handle.write_at(0, contents).await?;
        reporter.report_for(checkpoint, Step::SnapshotWritten).await;
        if !planted!(AcknowledgedBeforeSync) {
            file.handle.sync().await?; // SlateDB 433
        }
        reporter.report_for(checkpoint, Step::SnapshotSynced).await;
        if !file.is_durable {
            if !planted!(SnapshotDirectoryNotSynced) {
                self.disk.sync_dir(&self.directory).await?; // RocksDB 5287
            }
            file.is_durable = true;
            reporter.report_for(checkpoint, Step::SnapshotDirectorySynced).await;
        }
        Ok(())
    }

    /// A file for so many bytes that nobody needs, or a new one.
    async fn lend(&self, len: u64) -> Result<Lent> {
        let lent = |file| Lent { files: self.clone(), file: Some(file) };
        let number = {
            let mut pool = self.pool();
            if let Some(file) = pool.take_free(len) {
                return Ok(lent(file));
            }
            pool.named += 1;
            pool.named
        };
        let name = snapshot_file(&self.vertex, self.task, number);
        let path = self.directory.join(&name);
        match self.disk.open(&path, OpenMode::CreateNew).await {
            Ok(handle) => Ok(lent(OpenFile { number, name, handle, len: 0, is_durable: false })),
            Err(error) => {
                // It may be there all the same, and nobody would look for it.
                let _ = self.disk.remove_file(&path).await;
                Err(error).at(|| format!("creating snapshot file {}", path.display()))
            }
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().expect("nobody panics while holding this lock")
    }
}

impl Pool {
    /// The smallest file that has the room already, or else the largest.
    fn take_free(&mut self, len: u64) -> Option<OpenFile> {
        let free = |(_, file): &(usize, &OpenFile)| !self.ledger.needs(&file.name);
        let fit = |(_, file): &(usize, &OpenFile)| (file.len < len, file.len.abs_diff(len));
        let (index, _) = self.files.iter().enumerate().filter(free).min_by_key(fit)?;
        Some(self.files.remove(index))
    }

    fn give_back(&mut self, file: OpenFile) {
        let index = self.files.partition_point(|other| other.number < file.number);
        self.files.insert(index, file);
    }
}

/// A file that is being written, in the hands of one writer. It comes back even if the writer does not live to see that.
struct Lent {
    files: SnapshotFiles,
    file: Option<OpenFile>,
}

impl Lent {
    fn file(&mut self) -> &mut OpenFile {
        self.file.as_mut().expect("it is given back or discarded only once")
    }

    /// It holds a snapshot now.
    fn give_back_as(
        mut self,
        checkpoint: CheckpointId,
        builds_on: Option<CheckpointId>,
        written: SnapshotFile,
    ) -> Vec<SnapshotFile> {
        let file = self.file.take().expect("it is given back or discarded only once");
        let mut pool = self.files.pool();
        pool.give_back(file);
        pool.ledger.written(checkpoint, builds_on, written)
    }

    /// The disk has failed: what the file holds is unknown, and a later sync may say that all is well. It is not used again.
    async fn discard(mut self) {
        let file = self.file.take().expect("it is given back or discarded only once");
        // What stays behind is removed with what else its attempt has left.
        let _ = self.files.disk.remove_file(&self.files.directory.join(file.name)).await;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.files.pool().give_back(file);
        }
    }
}
