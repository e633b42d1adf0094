//! A sink that keeps two numbers of all that it gets: no output device is measured, and yet every run can be checked.

use std::{marker::PhantomData, sync::Arc, time::Instant};

use async_trait::async_trait;
use tidegate::{
    checkpoint::CompletionNotification,
    connector::{Sink, SinkWriter},
    error::{Error, Result},
    graph::PrepareContext,
    id::CheckpointId,
    operator::SubtaskContext,
    stream::Data,
};

use super::board::{Totals, TotalsBoard};

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
        let is_restart = self.board.failed.get().is_some();
        Box::new(TotalsWriter {
            is_restart,
            watching: is_restart || (self.board.fail_at.is_some() && context.subtask.index == 0),
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
    is_restart: bool,
    /// Whether it has still to fail, or to tell that records come again.
    watching: bool,
    record: PhantomData<fn(T)>,
}

impl<T, F> TotalsWriter<T, F> {
    fn watch(&mut self) -> Result<()> {
        if self.is_restart {
            self.watching = false;
            // Another subtask may have been first.
            let _ = self.board.first_after.set(Instant::now());
        } else if self.board.fail_at.is_some_and(|record| self.totals.records >= record) {
            let _ = self.board.failed.set(Instant::now());
            return Err(Error::user_code("the failure that was asked for"));
        }
        Ok(())
    }
}

#[async_trait]
impl<T: Data, F: Fn(&T) -> u64 + Send + Sync> SinkWriter<T> for TotalsWriter<T, F> {
    async fn open(&mut self, _: Option<CheckpointId>, items: Vec<Vec<u8>>) -> Result<()> {
        for item in items {
            let totals = Totals::decode(&item);
            let wrong = || Error::damaged(format!("{} bytes are no totals of the sink", item.len()));
            self.totals = self.totals.and(totals.ok_or_else(wrong)?);
        }
        self.board.set(self.subtask, self.totals);
        Ok(())
    }

    fn write(&mut self, batch: &mut Vec<T>) -> Result<()> {
        if self.watching {
            self.watch()?;
        }
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
