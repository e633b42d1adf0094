//! A chain as the runtime sees it: with its types hidden.

use async_trait::async_trait;

use super::{
    SourceStatus, SubtaskProgram,
    stage::{OperatorContext, Stage},
};
use crate::{
    checkpoint::CompletionNotification,
    connector::SourceReader,
    env::Site,
    error::{Context, Error, Result},
    id::CheckpointId,
    state::{ListStateSnapshot, OperatorSnapshot, RestoredState, SubtaskSnapshot},
    stream::{AnyBatch, Data, Outbox},
};

/// The name of the list state in which a source keeps its splits and their positions.
pub const SPLITS_STATE: &str = "splits";

/// A chain that begins with an input channel.
pub(crate) struct OneInputProgram<In> {
    chain: Box<dyn Stage<In>>,
}

impl<In> OneInputProgram<In> {
    pub fn new(chain: Box<dyn Stage<In>>) -> Self {
        Self { chain }
    }
}

#[async_trait]
impl<In: Send + 'static> SubtaskProgram for OneInputProgram<In> {
    async fn open(&mut self, mut restored: RestoredState) -> Result<()> {
        self.chain.open(&mut restored).await
    }

    async fn poll_source(&mut self, _: usize) -> Result<SourceStatus> {
        panic!("a subtask with an input channel was polled as a source")
    }

    fn process_polled(&mut self, _: &mut Outbox) -> Result<usize> {
        panic!("a subtask with an input channel was polled as a source")
    }

    fn process(&mut self, batch: &mut AnyBatch, out: &mut Outbox) -> Result<()> {
        self.chain.process(batch.as_vec_mut::<In>(), out)
    }

    fn end_of_input(&mut self, out: &mut Outbox) -> Result<()> {
        self.chain.end_of_input(out)
    }

    async fn flush(&mut self) -> Result<()> {
        self.chain.flush().await
    }

    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<()> {
        self.chain.prepare_commit(checkpoint).await
    }

    fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<SubtaskSnapshot> {
        let mut snapshot = SubtaskSnapshot::default();
        self.chain.snapshot(checkpoint, &mut snapshot)?;
        Ok(snapshot)
    }

    async fn notify_complete(&mut self, notification: CompletionNotification) -> Result<()> {
        self.chain.notify_complete(notification).await
    }

    fn notify_aborted(&mut self, checkpoint: CheckpointId) {
        self.chain.notify_aborted(checkpoint);
    }
}

/// A chain that begins with a source.
pub(crate) struct SourceProgram<T> {
    context: OperatorContext,
    reader: Box<dyn SourceReader<T>>,
    chain: Box<dyn Stage<T>>,
    batch: Vec<T>,
}

impl<T: Data> SourceProgram<T> {
    pub fn new(context: OperatorContext, reader: Box<dyn SourceReader<T>>, chain: Box<dyn Stage<T>>) -> Self {
        Self { context, reader, chain, batch: Vec::new() }
    }
}

#[async_trait]
impl<T: Data> SubtaskProgram for SourceProgram<T> {
    async fn open(&mut self, mut restored: RestoredState) -> Result<()> {
        let splits = match (restored.operators.remove(&self.context.uid), restored.checkpoint) {
            (Some(mut operator), _) => operator.lists.remove(SPLITS_STATE).unwrap_or_default(),
            (None, None) => std::mem::take(&mut restored.splits),
            // It would read nothing, and nobody would notice.
            (None, Some(checkpoint)) => {
                let message = format!(
                    "checkpoint {checkpoint} knows no source with the uid {}: restore it with the program that took it, \
                     or give the source the uid that it had",
                    self.context.uid
                );
                return Err(Error::bad_input(message).at(self.context.place()));
            }
        };
        self.reader.open(splits).await.at(|| self.context.place())?;
        self.chain.open(&mut restored).await
    }

    async fn poll_source(&mut self, max: usize) -> Result<SourceStatus> {
        let max = if self.context.subtask.entropy.perturbs(Site::SmallBatch) { 1 } else { max };
        self.reader.read(&mut self.batch, max).await.at(|| self.context.place())
    }

    fn process_polled(&mut self, out: &mut Outbox) -> Result<usize> {
        let records = self.batch.len();
        if records > 0 {
            self.chain.process(&mut self.batch, out)?;
        }
        Ok(records)
    }

    fn process(&mut self, _: &mut AnyBatch, _: &mut Outbox) -> Result<()> {
        panic!("a source was given an input batch")
    }

    fn end_of_input(&mut self, out: &mut Outbox) -> Result<()> {
        self.chain.end_of_input(out)
    }

    async fn flush(&mut self) -> Result<()> {
        self.chain.flush().await
    }

    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<()> {
        self.chain.prepare_commit(checkpoint).await
    }

    fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<SubtaskSnapshot> {
        let splits = ListStateSnapshot { name: SPLITS_STATE.to_owned(), items: self.reader.snapshot() };
        let source = OperatorSnapshot {
            uid: self.context.uid.clone(),
            key_groups: None,
            keyed: Vec::new(),
            lists: vec![splits],
        };
        let mut snapshot = SubtaskSnapshot { operators: vec![source] };
        self.chain.snapshot(checkpoint, &mut snapshot)?;
        Ok(snapshot)
    }

    async fn notify_complete(&mut self, notification: CompletionNotification) -> Result<()> {
        self.chain.notify_complete(notification).await
    }

    fn notify_aborted(&mut self, checkpoint: CheckpointId) {
        self.chain.notify_aborted(checkpoint);
    }
}
