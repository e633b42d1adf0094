//! A sink that keeps two numbers of all that it gets: no output device is measured, and yet every run can be checked.

use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use tidegate::{
    checkpoint::CompletionNotification,
    connector::{Sink, SinkWriter},
    error::Result,
    graph::PrepareContext,
    id::CheckpointId,
    operator::SubtaskContext,
    stream::Data,
};

/// What a sink has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many updates.
    pub records: u64,
    /// The sum of the updated values, wrapping.
    pub sum: u64,
}

impl Totals {
    fn and(self, other: Self) -> Self {
        Self { records: self.records + other.records, sum: self.sum.wrapping_add(other.sum) }
    }

    fn encode(self) -> Vec<u8> {
        [self.records.to_le_bytes(), self.sum.to_le_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Self {
        let (records, sum) = bytes.split_at(8);
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("a snapshot holds two numbers"));
        Self { records: number(records), sum: number(sum) }
    }
}

/// The totals of each subtask, for those outside of the job to see.
pub struct TotalsBoard(Vec<[AtomicU64; 2]>);

impl TotalsBoard {
    /// For so many subtasks.
    pub fn new(parallelism: u32) -> Self {
        Self((0..parallelism).map(|_| Default::default()).collect())
    }

    /// What all subtasks have seen so far.
    pub fn get(&self) -> Totals {
        let load = |n: &AtomicU64| n.load(Ordering::Acquire);
        let all = self.0.iter().map(|[records, sum]| Totals { records: load(records), sum: load(sum) });
        all.fold(Totals::default(), Totals::and)
    }

    /// A subtask has one writer at a time, so that it only stores.
    fn set(&self, subtask: u32, totals: Totals) {
        let [records, sum] = &self.0[subtask as usize];
        records.store(totals.records, Ordering::Release);
        sum.store(totals.sum, Ordering::Release);
    }
}

/// Drops updates and keeps their totals. They are part of each checkpoint, so that they are exact after a failure as well.
pub struct TotalsSink<F> {
    board: Arc<TotalsBoard>,
    number: Arc<F>,
}

impl<F> TotalsSink<F> {
    /// A sink that sums up what `number` gives for each update.
    pub fn new(board: Arc<TotalsBoard>, number: F) -> Self {
        Self { board, number: Arc::new(number) }
    }
}

#[async_trait]
impl<T: Data, F: Fn(&T) -> u64 + Send + Sync + 'static> Sink<T> for TotalsSink<F> {
    fn needs_checkpoints(&self) -> bool {
        false
    }

    async fn prepare(&self, _: &PrepareContext, _: &str) -> Result<()> {
        Ok(())
    }

    async fn clean_up(&self, _: &PrepareContext, _: &str) -> Result<()> {
        Ok(())
    }

    fn create_writer(&self, context: &SubtaskContext) -> Box<dyn SinkWriter<T>> {
        Box::new(TotalsWriter {
            board: self.board.clone(),
            number: self.number.clone(),
            subtask: context.subtask.index,
            totals: Totals::default(),
            record: PhantomData,
        })
    }
}

struct TotalsWriter<T, F> {
    board: Arc<TotalsBoard>,
    number: Arc<F>,
    subtask: u32,
    totals: Totals,
    record: PhantomData<fn(T)>,
}

#[async_trait]
impl<T: Data, F: Fn(&T) -> u64 + Send + Sync> SinkWriter<T> for TotalsWriter<T, F> {
    async fn open(&mut self, _: Option<CheckpointId>, items: Vec<Vec<u8>>) -> Result<()> {
        self.totals = items.iter().map(|bytes| Totals::decode(bytes)).fold(Totals::default(), Totals::and);
        self.board.set(self.subtask, self.totals);
        Ok(())
    }

    fn write(&mut self, batch: &mut Vec<T>) -> Result<()> {
        let sum = batch.iter().fold(0, |sum: u64, update| sum.wrapping_add((self.number)(update)));
        self.totals = self.totals.and(Totals { records: batch.len() as u64, sum });
        batch.clear();
        self.board.set(self.subtask, self.totals);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn prepare_commit(&mut self, _: CheckpointId) -> Result<()> {
        Ok(())
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<Vec<u8>>> {
        Ok(vec![self.totals.encode()])
    }

    async fn notify_complete(&mut self, _: CompletionNotification) -> Result<()> {
        Ok(())
    }

    fn notify_aborted(&mut self, _: CheckpointId) {}
}
