//! A chain as the runtime sees it: with its types hidden.

use async_trait::async_trait;

use super::{
    SourceStatus, SubtaskProgram,
    snapshotting::{self, OperatorTables},
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

/// The keyed states of a chain.
fn tables<In>(chain: &mut dyn Stage<In>) -> Vec<OperatorTables<'_>> {
    let mut tables = Vec::new();
    chain.tables(&mut tables);
    tables
}

/// A chain that begins with an input channel.
pub(crate) struct OneInputProgram<In> {
    chain: Box<dyn Stage<In>>,
    /// What is being swept.
    frozen: Option<FrozenSnapshot>,
}

impl<In> OneInputProgram<In> {
    pub fn new(chain: Box<dyn Stage<In>>) -> Self {
        Self { chain, frozen: None }
    }
}

#[async_trait]
impl<In: Send + 'static> SubtaskProgram for OneInputProgram<In> {
    async fn open(&mut self, mut restored: RestoredState) -> Result<()> {
        self.chain.open(&mut restored).await
    }

    async fn poll_source(&mut self, _: &mut Outbox) -> Result<SourceStatus> {
        panic!("a subtask with an input channel was polled as a source")
    }

    fn process(&mut self, batch: AnyBatch, out: &mut Outbox) -> Result<()> {
        self.chain.process(&mut batch.downcast::<In>(), out)
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

    fn state_size(&mut self) -> StateSize {
        snapshotting::size_of(&tables(&mut *self.chain))
    }

    fn content(&mut self) -> Result<Vec<GivenState>> {
        snapshotting::content_of(&tables(&mut *self.chain))
    }

    fn freeze(&mut self, freeze: Freeze) -> Result<Vec<GivenState>> {
        let mut lists = Vec::new();
        self.chain.lists(freeze.checkpoint, &mut lists)?;
        let (frozen, content) = snapshotting::freeze(tables(&mut *self.chain), lists, freeze)?;
        self.frozen = Some(frozen);
        Ok(content)
    }

    fn sweep(&mut self, budget: u64) -> Result<Option<FrozenSnapshot>> {
        let Some(frozen) = &mut self.frozen else { return Ok(None) };
        let is_over = snapshotting::sweep(tables(&mut *self.chain), frozen, budget)?;
        Ok(if is_over { self.frozen.take() } else { None })
    }

    fn abandon_snapshot(&mut self) {
        self.frozen = None;
        tables(&mut *self.chain).iter_mut().flat_map(|o| &mut o.tables).for_each(|table| table.abandon());
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
    /// What is being swept.
    frozen: Option<FrozenSnapshot>,
}

impl<T: Data> SourceProgram<T> {
    pub fn new(context: OperatorContext, reader: Box<dyn SourceReader<T>>, chain: Box<dyn Stage<T>>) -> Self {
        Self { context, reader, chain, batch: Vec::new(), frozen: None }
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

    async fn poll_source(&mut self, out: &mut Outbox) -> Result<SourceStatus> {
        let subtask = &self.context.subtask;
        let max = if subtask.entropy.perturbs(Site::SmallBatch) { 1 } else { subtask.batch_size.max(1) };
        let status = self.reader.read(&mut self.batch, max).await.at(|| self.context.place())?;
        if !self.batch.is_empty() {
            self.chain.process(&mut self.batch, out)?;
        }
        Ok(status)
    }

    fn process(&mut self, _: AnyBatch, _: &mut Outbox) -> Result<()> {
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

    fn state_size(&mut self) -> StateSize {
        snapshotting::size_of(&tables(&mut *self.chain))
    }

    fn content(&mut self) -> Result<Vec<GivenState>> {
        snapshotting::content_of(&tables(&mut *self.chain))
    }

    fn freeze(&mut self, freeze: Freeze) -> Result<Vec<GivenState>> {
        let splits = ListStateSnapshot { name: SPLITS_STATE.to_owned(), items: self.reader.snapshot() };
        let mut lists = vec![FrozenOperator {
            uid: self.context.uid.clone(),
            key_groups: None,
            keyed: Vec::new(),
            lists: vec![splits],
        }];
        self.chain.lists(freeze.checkpoint, &mut lists)?;
        let (frozen, content) = snapshotting::freeze(tables(&mut *self.chain), lists, freeze)?;
        self.frozen = Some(frozen);
        Ok(content)
    }

    fn sweep(&mut self, budget: u64) -> Result<Option<FrozenSnapshot>> {
        let Some(frozen) = &mut self.frozen else { return Ok(None) };
        let is_over = snapshotting::sweep(tables(&mut *self.chain), frozen, budget)?;
        Ok(if is_over { self.frozen.take() } else { None })
    }

    fn abandon_snapshot(&mut self) {
        self.frozen = None;
        tables(&mut *self.chain).iter_mut().flat_map(|o| &mut o.tables).for_each(|table| table.abandon());
    }

    async fn notify_complete(&mut self, notification: CompletionNotification) -> Result<()> {
        self.chain.notify_complete(notification).await
    }

    fn notify_aborted(&mut self, checkpoint: CheckpointId) {
        self.chain.notify_aborted(checkpoint);
    }
}
