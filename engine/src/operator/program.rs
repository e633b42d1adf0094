//! A chain as the runtime sees it: with its types hidden.

use async_trait::async_trait;

use super::{
    SourceStatus, SubtaskProgram,
    chain::Chain,
    stage::{OperatorContext, Stage},
};
use crate::{
    checkpoint::CompletionNotification,
    connector::SourceReader,
    env::Site,
    error::{Context, Error, Result},
    id::CheckpointId,
    probe::GivenState,
    state::{Freeze, FrozenOperator, FrozenSnapshot, ListStateSnapshot, RestoredState, StateSize},
    stream::{AnyBatch, Data, Outbox},
};

/// The name of the list state in which a source keeps its splits and their positions.
pub const SPLITS_STATE: &str = "splits";

/// A chain that begins with an input channel.
pub(crate) struct OneInputProgram<In> {
    chain: Chain<In>,
}

impl<In> OneInputProgram<In> {
    pub fn new(head: Box<dyn Stage<In>>) -> Self {
        Self { chain: Chain::new(head) }
    }
}

#[async_trait]
impl<In: Send + 'static> SubtaskProgram for OneInputProgram<In> {
    async fn open(&mut self, mut restored: RestoredState) -> Result<()> {
        self.chain.head.open(&mut restored).await
    }

    async fn poll_source(&mut self, _: usize) -> Result<SourceStatus> {
        panic!("a subtask with an input channel was polled as a source")
    }

    fn process_polled(&mut self, _: &mut Outbox) -> Result<usize> {
        panic!("a subtask with an input channel was polled as a source")
    }

    fn process(&mut self, batch: &mut AnyBatch, out: &mut Outbox) -> Result<()> {
        self.chain.head.process(batch.as_vec_mut::<In>(), out)
    }

    fn end_of_input(&mut self, out: &mut Outbox) -> Result<()> {
        self.chain.head.end_of_input(out)
    }

    async fn flush(&mut self) -> Result<()> {
        self.chain.head.flush().await
    }

    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<()> {
        self.chain.head.prepare_commit(checkpoint).await
    }

    fn state_size(&mut self) -> StateSize {
        self.chain.state_size()
    }

    fn content(&mut self) -> Result<Vec<GivenState>> {
        self.chain.content()
    }

    fn freeze(&mut self, freeze: Freeze) -> Result<Vec<GivenState>> {
        self.chain.freeze(Vec::new(), freeze)
    }

    fn sweep(&mut self, budget: u64) -> Result<Option<FrozenSnapshot>> {
        self.chain.sweep(budget)
    }

    fn abandon_snapshot(&mut self) {
        self.chain.abandon_snapshot();
    }

    async fn notify_complete(&mut self, notification: CompletionNotification) -> Result<()> {
        self.chain.head.notify_complete(notification).await
    }

    fn notify_aborted(&mut self, checkpoint: CheckpointId) {
        self.chain.head.notify_aborted(checkpoint);
    }
}

/// A chain that begins with a source.
pub(crate) struct SourceProgram<T> {
    context: OperatorContext,
    reader: Box<dyn SourceReader<T>>,
    chain: Chain<T>,
    batch: Vec<T>,
}

impl<T: Data> SourceProgram<T> {
    pub fn new(context: OperatorContext, reader: Box<dyn SourceReader<T>>, head: Box<dyn Stage<T>>) -> Self {
        Self { context, reader, chain: Chain::new(head), batch: Vec::new() }
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
        self.chain.head.open(&mut restored).await
    }

    async fn poll_source(&mut self, max: usize) -> Result<SourceStatus> {
        let max = if self.context.subtask.entropy.perturbs(Site::SmallBatch) { 1 } else { max };
        self.reader.read(&mut self.batch, max).await.at(|| self.context.place())
    }

    fn process_polled(&mut self, out: &mut Outbox) -> Result<usize> {
        let records = self.batch.len();
        if records > 0 {
            self.chain.head.process(&mut self.batch, out)?;
        }
        Ok(records)
    }

    fn process(&mut self, _: &mut AnyBatch, _: &mut Outbox) -> Result<()> {
        panic!("a source was given an input batch")
    }

    fn end_of_input(&mut self, out: &mut Outbox) -> Result<()> {
        self.chain.head.end_of_input(out)
    }

    async fn flush(&mut self) -> Result<()> {
        self.chain.head.flush().await
    }

    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<()> {
        self.chain.head.prepare_commit(checkpoint).await
    }

    fn state_size(&mut self) -> StateSize {
        self.chain.state_size()
    }

    fn content(&mut self) -> Result<Vec<GivenState>> {
        self.chain.content()
    }

    fn freeze(&mut self, freeze: Freeze) -> Result<Vec<GivenState>> {
        let splits = ListStateSnapshot { name: SPLITS_STATE.to_owned(), items: self.reader.snapshot() };
        let (uid, lists) = (self.context.uid.clone(), vec![splits]);
        let source = FrozenOperator { uid, key_groups: None, keyed: Vec::new(), lists };
        self.chain.freeze(vec![source], freeze)
    }

    fn sweep(&mut self, budget: u64) -> Result<Option<FrozenSnapshot>> {
        self.chain.sweep(budget)
    }

    fn abandon_snapshot(&mut self) {
        self.chain.abandon_snapshot();
    }

    async fn notify_complete(&mut self, notification: CompletionNotification) -> Result<()> {
        self.chain.head.notify_complete(notification).await
    }

    fn notify_aborted(&mut self, checkpoint: CheckpointId) {
        self.chain.head.notify_aborted(checkpoint);
    }
}
