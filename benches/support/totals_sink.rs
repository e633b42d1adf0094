//! A sink that keeps two numbers of all that it gets: no output device is measured, and yet every run can be checked.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// How many updates.
    pub records: u64,
    /// The sum of the updated values, wrapping.
    pub sum: u64,
}

/// Drops updates and keeps their totals, of all subtasks together. Without any guarantee after a failure: a run that
/// recovered shows too many.
#[derive(Default)]
pub struct TotalsSink {
    records: AtomicU64,
    sum: AtomicU64,
}

impl TotalsSink {
    /// What has been seen so far.
    pub fn get(&self) -> Totals {
        Totals { records: self.records.load(Ordering::Acquire), sum: self.sum.load(Ordering::Acquire) }
    }
}

/// The sink in the hands of the job, and of its subtasks.
pub struct Shared(pub Arc<TotalsSink>);

#[async_trait]
impl<K: Data> Sink<(K, u64)> for Shared {
    fn needs_checkpoints(&self) -> bool {
        false
    }

    async fn prepare(&self, _: &PrepareContext, _: &str) -> Result<()> {
        Ok(())
    }

    async fn clean_up(&self, _: &PrepareContext, _: &str) -> Result<()> {
        Ok(())
    }

    fn create_writer(&self, _: &SubtaskContext) -> Box<dyn SinkWriter<(K, u64)>> {
        Box::new(Self(self.0.clone()))
    }
}

#[async_trait]
impl<K: Data> SinkWriter<(K, u64)> for Shared {
    async fn open(&mut self, _: Option<CheckpointId>, _: Vec<Vec<u8>>) -> Result<()> {
        Ok(())
    }

    fn write(&mut self, batch: &mut Vec<(K, u64)>) -> Result<()> {
        // One addition a batch: subtasks must not fight for these numbers.
        self.0.records.fetch_add(batch.len() as u64, Ordering::AcqRel);
        let sum = batch.drain(..).fold(0, |sum: u64, (_, value)| sum.wrapping_add(value));
        self.0.sum.fetch_add(sum, Ordering::AcqRel);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn prepare_commit(&mut self, _: CheckpointId) -> Result<()> {
        Ok(())
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }

    async fn notify_complete(&mut self, _: CompletionNotification) -> Result<()> {
        Ok(())
    }

    fn notify_aborted(&mut self, _: CheckpointId) {}
}
