//! A sink that drops what it gets, but for its number and sum. Both are in its checkpoints, so that every run can be judged,
//! also one that failed and recovered.

use std::{sync::Arc, time::Instant};

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

use super::{board::Board, run::Totals};

/// Shows on the board what comes.
pub struct MeasuredSink(pub Arc<Board>);

#[async_trait]
impl<K: Data> Sink<(K, u64)> for MeasuredSink {
    fn needs_checkpoints(&self) -> bool {
        false
    }

    async fn prepare(&self, _: &PrepareContext, _: &str) -> Result<()> {
        Ok(())
    }

    async fn clean_up(&self, _: &PrepareContext, _: &str) -> Result<()> {
        Ok(())
    }

    fn create_writer(&self, context: &SubtaskContext) -> Box<dyn SinkWriter<(K, u64)>> {
        let (board, subtask) = (self.0.clone(), context.subtask.index);
        let is_restart = board.failed.get().is_some();
        let watching = is_restart || (board.fail_at > 0 && subtask == 0);
        Box::new(Writer { board, subtask, watching, is_restart, totals: Totals::default() })
    }
}

struct Writer {
    board: Arc<Board>,
    subtask: u32,
    /// Whether it has still to fail, or to tell that records come again.
    watching: bool,
    is_restart: bool,
    totals: Totals,
}

impl Writer {
    fn watch(&mut self) -> Result<()> {
        if self.is_restart {
            self.watching = false;
            // Another subtask may have been first.
            let _ = self.board.first_after.set(Instant::now());
        } else if self.totals.records >= self.board.fail_at {
            let _ = self.board.failed.set(Instant::now());
            return Err(Error::user_code("the failure that was asked for"));
        }
        Ok(())
    }
}

#[async_trait]
impl<K: Data> SinkWriter<(K, u64)> for Writer {
    async fn open(&mut self, _: Option<CheckpointId>, items: Vec<Vec<u8>>) -> Result<()> {
        for item in items {
            let totals = Totals::decode(&item)
                .ok_or_else(|| Error::damaged(format!("{} bytes are no totals of the sink", item.len())))?;
            self.totals.add(totals.records, totals.sum);
        }
        self.board.show(self.subtask, self.totals);
        Ok(())
    }

    fn write(&mut self, batch: &mut Vec<(K, u64)>) -> Result<()> {
        if self.watching {
            self.watch()?;
        }
        let records = batch.len() as u64;
        let sum = batch.drain(..).fold(0, |sum: u64, (_, value)| sum.wrapping_add(value));
        self.totals.add(records, sum);
        self.board.show(self.subtask, self.totals);
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
