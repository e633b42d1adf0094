//! Books what disk, network and nodes do while a run lasts.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use serde::{Serialize, Serializer};
use tidegate::{
    exchange::FrameKind,
    id::CheckpointId,
    instant::Instant,
    metrics::{CheckpointMetrics, Measurement},
    probe::{Fact, Step},
};

use super::{Bill, FileOp, Item, Region};
use crate::fault::FileKind;

/// What a run has cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Costs {
    /// The checkpoints that completed.
    pub completed: BTreeMap<CheckpointId, Checkpoint>,
    /// Those that were aborted, or whose attempt ended before them.
    pub given_up: BTreeMap<CheckpointId, Checkpoint>,
    /// Files of checkpoints and names of output that were looked at or tidied up while no attempt ran.
    pub recovery: Bill,
    /// What records have cost.
    pub records: Bill,
    /// What the cluster has cost.
    pub cluster: Bill,
    /// Checkpoints that were wanted while an earlier one was under way, and not made up for.
    pub skipped: u64,
    /// The most batches that had been sent on one connection, and not yet been taken out for processing.
    pub most_under_way: u64,
}

/// What one checkpoint has cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checkpoint {
    /// What was counted.
    #[serde(flatten)]
    pub bill: Bill,
    /// Virtual time from the trigger until the checkpoint existed.
    #[serde(rename = "virtual_time_us", serialize_with = "as_micros", skip_serializing_if = "Option::is_none")]
    pub took: Option<Duration>,
    /// What its subtasks say that it has cost, if it completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<CheckpointMetrics>,
}

fn as_micros<S: Serializer>(took: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_some(&took.unwrap_or_default().as_micros())
}

/// The books of a run that goes on.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Books>);

#[derive(Default)]
struct Books {
    checkpoint_directory: PathBuf,
    output_directory: PathBuf,
    /// The checkpoint begun last, while an attempt runs that has begun one.
    current: Option<CheckpointId>,
    is_running: bool,
    checkpoints: BTreeMap<CheckpointId, Checkpoint>,
    triggered: BTreeMap<CheckpointId, Instant>,
    recovery: Bill,
    records: Bill,
    cluster: Bill,
    skipped: u64,
    most_under_way: u64,
}

impl Ledger {
    /// Says where checkpoints rest and where output goes.
    pub(crate) fn lay_out(&self, checkpoint_directory: &Path, output_directory: &Path) {
        let mut books = self.books();
        books.checkpoint_directory = checkpoint_directory.to_owned();
        books.output_directory = output_directory.to_owned();
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().expect("nobody panics while holding this lock")
    }

    /// A step was taken.
    pub(crate) fn step(&self, at: Instant, fact: &Fact) {
        let mut books = self.books();
        match fact.step {
            Step::AttemptRunning { .. } => books.is_running = true,
            Step::JobManagerStarted
            | Step::AttemptStarted { .. }
            | Step::RestartScheduled { .. }
            | Step::TaskFinished
            | Step::JobEnded { .. } => (books.is_running, books.current) = (false, None),
            _ => {}
        }
        let Some(id) = fact.checkpoint else { return };
        books.checkpoint(id).bill.count(Item::Step, 0);
        match fact.step {
            Step::CheckpointTriggered { .. } => drop(books.triggered.insert(id, at)),
            Step::BarrierForwarded { .. } => books.checkpoint(id).bill.count(Item::Barrier, 0),
            Step::CheckpointCompleted => {
                let took = books.triggered.get(&id).map(|triggered| at.since(*triggered));
                books.checkpoint(id).took = took;
            }
            _ => {}
        }
    }

    /// Something was measured.
    pub(crate) fn measure(&self, measurement: &Measurement) {
        let mut books = self.books();
        match measurement {
            Measurement::Checkpoint { checkpoint, metrics, .. } => {
                books.checkpoint(*checkpoint).metrics = Some(*metrics);
            }
            Measurement::Skipped { checkpoints } => books.skipped += checkpoints,
            // No price of a checkpoint, but of a failure.
            Measurement::Replayed { .. } => {}
        }
    }

    /// Where a file of this kind belongs, or a directory.
    pub(crate) fn place(&self, path: &Path, kind: Option<FileKind>) -> Region {
        self.books().place(path, kind)
    }

    /// An operation on a file or a directory that belongs there was carried out.
    pub(crate) fn file(&self, region: Region, op: FileOp, bytes: usize) {
        let mut books = self.books();
        let item = Item::File(region, op);
        let of_records = match region {
            Region::Input => true,
            Region::Output => matches!(op, FileOp::Read | FileOp::Write),
            Region::Snapshot | Region::Manifest | Region::Layout => false,
        };
        let bill = match books.current.filter(|_| books.is_running) {
            _ if of_records => &mut books.records,
            Some(id) => &mut books.checkpoint(id).bill,
            None => &mut books.recovery,
        };
        bill.count(item, bytes as u64);
    }

    /// A frame was sent; the checkpoint is that of a barrier.
    pub(crate) fn frame(&self, kind: FrameKind, checkpoint: Option<CheckpointId>, bytes: usize) {
        let mut books = self.books();
        let item = match kind {
            FrameKind::Batch => Item::BatchFrame,
            FrameKind::Barrier => Item::BarrierFrame,
            FrameKind::EndOfInput => Item::EndFrame,
            FrameKind::Credit => Item::CreditFrame,
        };
        let bill = match checkpoint {
            Some(id) => &mut books.checkpoint(id).bill,
            None => &mut books.records,
        };
        bill.count(item, bytes as u64);
    }

    /// So many batches are under way on one connection.
    pub(crate) fn under_way(&self, batches: u64) {
        let mut books = self.books();
        books.most_under_way = books.most_under_way.max(batches);
    }

    /// A control message was sent, which may belong to a checkpoint.
    pub(crate) fn message(&self, checkpoint: Option<CheckpointId>, bytes: usize) {
        let mut books = self.books();
        let bill = match checkpoint {
            Some(id) => &mut books.checkpoint(id).bill,
            None => &mut books.cluster,
        };
        bill.count(Item::Message, bytes as u64);
    }

    /// A part of what a connection begins with was sent.
    pub(crate) fn handshake(&self, bytes: usize) {
        self.books().cluster.count(Item::Handshake, bytes as u64);
    }

    /// What the run has cost so far.
    pub(crate) fn costs(&self) -> Costs {
        let books = self.books();
        let (completed, given_up) = books.checkpoints.clone().into_iter().partition(|(_, c)| c.took.is_some());
        Costs {
            completed,
            given_up,
            recovery: books.recovery.clone(),
            records: books.records.clone(),
            cluster: books.cluster.clone(),
            skipped: books.skipped,
            most_under_way: books.most_under_way,
        }
    }
}

impl Books {
    /// The account of a checkpoint, which begins with the first thing that names it.
    fn checkpoint(&mut self, id: CheckpointId) -> &mut Checkpoint {
        if self.is_running {
            self.current = self.current.max(Some(id));
        }
        self.checkpoints.entry(id).or_default()
    }

    fn place(&self, path: &Path, kind: Option<FileKind>) -> Region {
        match kind {
            _ if path.starts_with(&self.output_directory) => Region::Output,
            _ if !path.starts_with(&self.checkpoint_directory) => Region::Input,
            Some(FileKind::Snapshot) => Region::Snapshot,
            Some(FileKind::Manifest) => Region::Manifest,
            None => Region::Layout,
        }
    }
}
