//! The last stage of a chain that writes to the outside.

use async_trait::async_trait;

use super::{
    snapshotting::OperatorTables,
    stage::{OperatorContext, Stage},
};
use crate::{
    checkpoint::CompletionNotification,
    connector::SinkWriter,
    error::{Context, Result},
    id::CheckpointId,
    state::{FrozenOperator, ListStateSnapshot, RestoredState},
    stream::{Data, Outbox},
};

/// The name of the list state in which a sink keeps what is prepared but not surely committed.
pub const COMMITTABLES_STATE: &str = "committables";

/// Hands records to a `SinkWriter`.
pub(crate) struct SinkStage<T> {
    context: OperatorContext,
    writer: Box<dyn SinkWriter<T>>,
}

impl<T> SinkStage<T> {
    pub fn new(context: OperatorContext, writer: Box<dyn SinkWriter<T>>) -> Self {
        Self { context, writer }
    }
}

#[async_trait]
impl<T: Data> Stage<T> for SinkStage<T> {
    async fn open(&mut self, restored: &mut RestoredState) -> Result<()> {
        let mut operator = restored.operators.remove(&self.context.uid).unwrap_or_default();
        let items = operator.lists.remove(COMMITTABLES_STATE).unwrap_or_default();
        self.writer.open(restored.checkpoint, items).await.at(|| self.context.place())
    }

    fn process(&mut self, batch: &mut Vec<T>, _: &mut Outbox) -> Result<()> {
        self.writer.write(batch).at(|| self.context.place())?;
        assert!(batch.is_empty(), "sink {} left records in its input batch", self.context.uid);
        Ok(())
    }

    fn end_of_input(&mut self, _: &mut Outbox) -> Result<()> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        self.writer.flush().await.at(|| self.context.place())
    }

    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<()> {
        self.writer.prepare_commit(checkpoint).await.at(|| self.context.place())
    }

    fn tables<'a>(&'a mut self, _: &mut Vec<OperatorTables<'a>>) {}

    fn lists(&mut self, checkpoint: CheckpointId, into: &mut Vec<FrozenOperator>) -> Result<()> {
        let items = self.writer.snapshot(checkpoint).at(|| self.context.place())?;
        into.push(FrozenOperator {
            uid: self.context.uid.clone(),
            key_groups: None,
            keyed: Vec::new(),
            lists: vec![ListStateSnapshot { name: COMMITTABLES_STATE.to_owned(), items }],
        });
        Ok(())
    }

    async fn notify_complete(&mut self, notification: CompletionNotification) -> Result<()> {
        self.writer.notify_complete(notification).await.at(|| self.context.place())
    }

    fn notify_aborted(&mut self, checkpoint: CheckpointId) {
        self.writer.notify_aborted(checkpoint);
    }
}
