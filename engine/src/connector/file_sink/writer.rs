//! Writes, prepares and commits the parts of one subtask.

use std::{collections::BTreeMap, io, marker::PhantomData, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Committable, PartFile, PartId,
    directory::{failed, list, remove},
    names::is_newer,
};
use crate::{
    checkpoint::{CompletionNotification, SinkTransactions},
    connector::SinkWriter,
    env::{DiskFile, OpenMode, Site},
    error::{Error, Result},
    id::{AttemptId, CheckpointId},
    operator::SubtaskContext,
    probe::Step,
    stream::Data,
};

/// So many bytes are collected before they are written: 256 KiB.
const BLOCK: usize = 256 << 10;

/// See the module's documentation.
pub(super) struct FileSinkWriter<T, F> {
    directory: PathBuf,
    encoder: Arc<F>,
    part_size: u64,
    context: SubtaskContext,
    /// Whole lines that are not written yet.
    buffer: Vec<u8>,
    open: Option<OpenPart>,
    /// Parts that are complete and synced, but not pending yet: they grew to their full size.
    closed: Vec<PartId>,
    next_part: u64,
    transactions: SinkTransactions<Committable>,
    record: PhantomData<fn(T)>,
}

struct OpenPart {
    part: PartId,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    len: u64,
}

impl<T, F> FileSinkWriter<T, F> {
    pub fn new(directory: PathBuf, encoder: Arc<F>, part_size: u64, context: SubtaskContext) -> Self {
        Self {
            directory,
            encoder,
            part_size,
            buffer: Vec::new(),
            open: None,
            closed: Vec::new(),
            next_part: 0,
            transactions: SinkTransactions::new(context.attempt),
            context,
            record: PhantomData,
        }
    }

    fn path(&self, file: PartFile) -> PathBuf {
        self.directory.join(file.to_string())
    }

    fn in_progress(&self, mut part: PartId) -> PathBuf {
        if planted!(PartWithoutAttempt) {
            part.attempt = AttemptId { term: 0, number: 0 }; // KAFKA-14053
        }
        self.path(PartFile::InProgress(part))
    }

    /// Writes the buffered lines to the open part, which is opened if there is none.
    async fn write_out(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.open.is_none() {
            self.open_part().await?;
        }
        let open = self.open.as_mut().expect("just opened");
        // As many as this time, most likely.
        let room = Vec::with_capacity(self.buffer.len());
        let lines = std::mem::replace(&mut self.buffer, room);
        let len = lines.len() as u64;
        open.file.write_at(open.len, Bytes::from(lines)).await.map_err(|e| failed("written", &open.path, e))?;
        open.len += len;
        if open.len >= self.part_size || self.context.entropy.perturbs(Site::EarlyRoll) {
            self.close_part().await?;
        }
        Ok(())
    }

    async fn open_part(&mut self) -> Result<()> {
        let part =
            PartId { subtask: self.context.subtask.index, attempt: self.context.attempt, number: self.next_part };
        self.next_part += 1;
        let path = self.in_progress(part);
        // New, because the name carries the attempt: if the file is there, somebody else is this attempt, too.
        let mode = if planted!(PartWithoutAttempt) { OpenMode::Create } else { OpenMode::CreateNew }; // KAFKA-14053
        let file = self.context.disk.open(&path, mode).await.map_err(|e| failed("created", &path, e))?;
        self.context.reporter.report(Step::PartOpened { path: path.clone() }).await;
        self.open = Some(OpenPart { part, path, file, len: 0 });
        Ok(())
    }

    async fn close_part(&mut self) -> Result<()> {
        if let Some(mut open) = self.open.take() {
            // Without this, a committed part may be empty or torn after loss of power: the snapshot is durable, its
            // output is not.
            // RocksDB 12528
            let synced = if planted!(PartNotSynced) { Ok(()) } else { open.file.sync().await };
            synced.map_err(|e| failed("synced", &open.path, e))?;
            self.context.reporter.report(Step::PartSynced { path: open.path }).await;
            self.closed.push(open.part);
        }
        Ok(())
    }

    /// Makes parts visible that a completed checkpoint holds. May be repeated at will.
    async fn commit(&mut self, checkpoint: CheckpointId, mut committables: Vec<Committable>) -> Result<()> {
        if planted!(CommitSkippedByHighestId) {
            let names = list(&*self.context.disk, &self.directory).await?; // Iceberg 10892
            let files: Vec<_> = names.iter().filter_map(|name| PartFile::parse(name)).collect();
            let is_behind = files.iter().any(|f| matches!(f, PartFile::Visible(_, id) if *id >= checkpoint));
            committables.retain(|_| !is_behind);
        }
        let (disk, reporter) = (&self.context.disk, &self.context.reporter);
        for committable in &committables {
            let pending = self.directory.join(committable.pending_name());
            let visible = self.directory.join(committable.visible_name());
            match disk.rename(&pending, &visible).await {
                Ok(()) => reporter.report_for(checkpoint, Step::PartRenamed { path: visible }).await,
                Err(e) if e.kind() == io::ErrorKind::NotFound => match disk.metadata(&visible).await {
                    // It has been committed before.
                    Ok(_) => {}
                    Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(lost(checkpoint, &pending, &visible)),
                    Err(e) => return Err(failed("looked up", &visible, e)),
                },
                Err(e) => return Err(failed("committed", &visible, e)),
            }
        }
        if !committables.is_empty() {
            // Without this, loss of power takes the visible names back after the commit was confirmed, and the job may end
            // as finished without its output. Also if all were visible: their names may never have been synced.
            if !planted!(CommitDirectoryNotSynced) {
                disk.sync_dir(&self.directory).await.map_err(|e| failed("synced", &self.directory, e))?; // ClickHouse 111348
            }
            reporter.report_for(checkpoint, Step::CommitDirectorySynced).await;
        }
        reporter.report_for(checkpoint, Step::Committed { committables: names(&committables) }).await;
        Ok(())
    }

    /// Fails if a later attempt has been here.
    fn check_not_superseded(&self, files: &[PartFile]) -> Result<()> {
        match files.iter().find(|f| f.part().attempt > self.context.attempt) {
            None => Ok(()),
            Some(file) => Err(Error::superseded(format!(
                "the output {} is of attempt {}, later than this attempt {}: another job manager runs the job; if that \
                 is not so, the checkpoint directory was lost, and the file must be moved away",
                self.path(*file).display(),
                file.part().attempt,
                self.context.attempt
            ))),
        }
    }

    /// Removes what earlier attempts of this subtask wrote after the restored checkpoint. After a change of parallelism, the
    /// subtasks that are no more are looked after by those that are.
    async fn remove_leftovers(&mut self, files: &[PartFile], restored: Option<CheckpointId>) -> Result<()> {
        for file in files {
            let part = file.part();
            let obsolete = match file {
                PartFile::InProgress(_) => !planted!(PartWithoutAttempt), // KAFKA-14053
                // Up to the restored checkpoint they are committed, by this subtask or by the one that got them.
                PartFile::Pending(_, checkpoint) => is_newer(*checkpoint, restored),
                PartFile::Visible(..) => false,
            };
            let own = part.subtask % self.context.parallelism == self.context.subtask.index;
            let prefix = || format!(".part-{}", self.context.subtask.index);
            let by_prefix = planted!(CleanUpByPrefix) && file.to_string().starts_with(&prefix()); // FLINK-3651
            if by_prefix || obsolete && own && part.attempt < self.context.attempt {
                // Not synced: should the file come back after loss of power, the next attempt removes it.
                remove(&*self.context.disk, &self.path(*file)).await?;
            }
        }
        Ok(())
    }
}

fn names(committables: &[Committable]) -> Vec<String> {
    committables.iter().map(Committable::visible_name).collect()
}

fn lost(checkpoint: CheckpointId, pending: &std::path::Path, visible: &std::path::Path) -> Error {
    Error::damaged(format!(
        "checkpoint {checkpoint} holds output that is gone: neither {} nor {} exists; bring the file back if it was moved, \
         else start afresh with new directories",
        pending.display(),
        visible.display()
    ))
}

#[async_trait]
impl<T: Data, F: Fn(&T, &mut Vec<u8>) + Send + Sync + 'static> SinkWriter<T> for FileSinkWriter<T, F> {
    async fn open(&mut self, restored: Option<CheckpointId>, items: Vec<Vec<u8>>) -> Result<()> {
        let committables: Vec<_> = items.iter().map(|bytes| Committable::decode(bytes)).collect::<Result<_>>()?;
        let last_wins = || committables.iter().map(|c: &Committable| (c.part.subtask, *c)).collect::<BTreeMap<_, _>>();
        let committables =
            if planted!(LastCommittableWins) { last_wins().into_values().collect() } else { committables }; // FLINK-29627
        let names = list(&*self.context.disk, &self.directory).await?;
        let files: Vec<_> = names.iter().filter_map(|name| PartFile::parse(name)).collect();
        self.check_not_superseded(&files)?;
        if let Some(checkpoint) = restored {
            self.commit(checkpoint, committables).await?;
        }
        self.remove_leftovers(&files, restored).await
    }

    fn write(&mut self, batch: &mut Vec<T>) -> Result<()> {
        for record in batch.drain(..) {
            (self.encoder)(&record, &mut self.buffer);
            self.buffer.push(b'\n');
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let is_due = self.buffer.len() >= BLOCK || self.context.entropy.perturbs(Site::EarlyFlush);
        if is_due { self.write_out().await } else { Ok(()) }
    }

    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<()> {
        self.write_out().await?;
        self.close_part().await?;
        let closed = std::mem::take(&mut self.closed);
        let committables: Vec<_> = closed.into_iter().map(|part| Committable { part, checkpoint }).collect();
        let mut pending = Vec::new();
        for committable in &committables {
            let from = self.in_progress(committable.part);
            let to = self.directory.join(committable.pending_name());
            self.context.disk.rename(&from, &to).await.map_err(|e| failed("renamed", &to, e))?;
            pending.push(to);
        }
        if !pending.is_empty() {
            // Without this, loss of power takes the names away that the snapshot is about to hold: the checkpoint
            // completes, and its output is gone.
            self.context.disk.sync_dir(&self.directory).await.map_err(|e| failed("synced", &self.directory, e))?;
        }
        for path in pending {
            self.context.reporter.report_for(checkpoint, Step::PartPending { path }).await;
        }
        // Also with nothing to commit: an interval without data is an interval like any other (RisingWave 26492).
        self.transactions.prepared(checkpoint, committables);
        let all: Vec<_> = self.transactions.in_doubt().into_iter().map(|(_, c)| c).collect();
        self.context.reporter.report_for(checkpoint, Step::CommitPrepared { committables: names(&all) }).await;
        Ok(())
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<Vec<u8>>> {
        Ok(self.transactions.in_doubt().iter().map(|(_, c)| c.encode()).collect())
    }

    async fn notify_complete(&mut self, notification: CompletionNotification) -> Result<()> {
        let committables = self.transactions.complete(notification);
        if committables.is_empty() && notification.attempt != self.context.attempt {
            // It says nothing about this attempt, so there is nothing to report either.
            return Ok(());
        }
        self.commit(notification.checkpoint, committables).await
    }

    fn notify_aborted(&mut self, _: CheckpointId) {
        // What it prepared stays in doubt: should the checkpoint exist after all, recovery commits it.
    }
}
