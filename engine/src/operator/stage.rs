//! How the operators of a chain are put together: each owns the next, and a batch runs through them as nested calls.
//!
//! A loop over a batch is monomorphised for the operator and its types; dynamic dispatch happens once per batch, where one
//! stage calls the next. Buffers between stages are kept and used again.

use std::{
    any::{Any, type_name},
    marker::PhantomData,
};

use async_trait::async_trait;

use super::{SubtaskContext, collector::Emitter, restoring::restore_tables, snapshotting::OperatorTables};
use crate::{
    checkpoint::CompletionNotification,
    error::{Context, Result},
    id::CheckpointId,
    state::{AnyTable, FrozenOperator, RestoredOperator, RestoredState},
    stream::Outbox,
};

/// Where an operator lives.
#[derive(Clone)]
pub(crate) struct OperatorContext {
    /// The operator's uid.
    pub uid: String,
    /// The subtask whose chain it is in.
    pub subtask: SubtaskContext,
}

impl OperatorContext {
    /// For error messages: which operator, in which subtask.
    pub fn place(&self) -> String {
        format!("operator {}, subtask {}", self.uid, self.subtask.subtask.index)
    }
}

/// The rest of a chain, from some operator to its end. The methods mean what they mean in `SubtaskProgram`; each stage
/// does its own part and passes the call on.
#[async_trait]
pub(crate) trait Stage<In>: Send {
    /// Takes this operator's part out of the restored state.
    async fn open(&mut self, restored: &mut RestoredState) -> Result<()>;

    /// Runs a batch through the rest of the chain. Leaves `batch` empty, and its memory to the caller where possible.
    fn process(&mut self, batch: &mut Vec<In>, out: &mut Outbox) -> Result<()>;

    /// All input has been processed.
    fn end_of_input(&mut self, out: &mut Outbox) -> Result<()>;

    /// See `SubtaskProgram::flush`.
    async fn flush(&mut self) -> Result<()>;

    /// See `SubtaskProgram::prepare_commit`.
    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<()>;

    /// Adds the keyed states of the rest of the chain.
    fn tables<'a>(&'a mut self, into: &mut Vec<OperatorTables<'a>>);

    /// Adds the list states of the rest of the chain, as they are now.
    fn lists(&mut self, checkpoint: CheckpointId, into: &mut Vec<FrozenOperator>) -> Result<()>;

    /// See `SubtaskProgram::notify_complete`.
    async fn notify_complete(&mut self, notification: CompletionNotification) -> Result<()>;

    /// See `SubtaskProgram::notify_aborted`.
    fn notify_aborted(&mut self, checkpoint: CheckpointId);
}

/// What an operator with one input and one output does, apart from being a link of a chain.
pub(crate) trait Operator<In, Out>: Send + 'static {
    /// Registers its states with what there is to restore; the `Link` then has that decoded.
    fn open(&mut self, restored: Option<RestoredOperator>) -> Result<()>;

    /// Takes all records of the batch. Must leave it empty.
    fn process(&mut self, batch: &mut Vec<In>, out: &mut Emitter<'_, Out>) -> Result<()>;

    /// Its keyed states; `None` for an operator that keeps none.
    fn tables(&mut self) -> Option<Vec<&mut dyn AnyTable>> {
        None
    }
}

/// One operator and the rest of the chain after it.
pub(crate) struct Link<In, Out, Op> {
    operator: Op,
    input: PhantomData<fn(In)>,
    context: OperatorContext,
    buffer: Vec<Out>,
    next: Box<dyn Stage<Out>>,
}

impl<In, Out, Op> Link<In, Out, Op> {
    /// Puts `operator` before `next`.
    pub fn new(operator: Op, context: &OperatorContext, next: Box<dyn Stage<Out>>) -> Self {
        Self { operator, input: PhantomData, context: context.clone(), buffer: Vec::new(), next }
    }
}

#[async_trait]
impl<In: Send + 'static, Out: Send + 'static, Op: Operator<In, Out>> Stage<In> for Link<In, Out, Op> {
    async fn open(&mut self, restored: &mut RestoredState) -> Result<()> {
        self.operator.open(restored.operators.remove(&self.context.uid))?;
        if let Some(tables) = self.operator.tables() {
            restore_tables(tables, &self.context).await.at(|| self.context.place())?;
        }
        self.next.open(restored).await
    }

    fn process(&mut self, batch: &mut Vec<In>, outbox: &mut Outbox) -> Result<()> {
        let mut out = Emitter::new(&mut self.buffer, &mut *self.next, outbox);
        self.operator.process(batch, &mut out)?;
        out.pass_on()
    }

    fn end_of_input(&mut self, out: &mut Outbox) -> Result<()> {
        self.next.end_of_input(out)
    }

    async fn flush(&mut self) -> Result<()> {
        self.next.flush().await
    }

    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<()> {
        self.next.prepare_commit(checkpoint).await
    }

    fn tables<'a>(&'a mut self, into: &mut Vec<OperatorTables<'a>>) {
        let (uid, key_groups) = (&*self.context.uid, self.context.subtask.key_groups());
        into.extend(self.operator.tables().map(|tables| OperatorTables { uid, key_groups, tables }));
        self.next.tables(into);
    }

    fn lists(&mut self, checkpoint: CheckpointId, into: &mut Vec<FrozenOperator>) -> Result<()> {
        self.next.lists(checkpoint, into)
    }

    async fn notify_complete(&mut self, notification: CompletionNotification) -> Result<()> {
        self.next.notify_complete(notification).await
    }

    fn notify_aborted(&mut self, checkpoint: CheckpointId) {
        self.next.notify_aborted(checkpoint);
    }
}

/// A value of a type that both ends of a chain link agree on by construction; the type is hidden while the graph is built.
pub(crate) struct Erased(Box<dyn Any + Send>);

impl Erased {
    /// Hides the type.
    pub fn new<T: Any + Send>(value: T) -> Self {
        Self(Box::new(value))
    }

    /// The value again. Panics if it is of another type, which only a bug of this crate can cause.
    pub fn typed<T: Any>(self) -> T {
        *self.0.downcast().unwrap_or_else(|_| panic!("the graph put something else where {} belongs", type_name::<T>()))
    }
}

/// A stage whose input type is hidden while the graph is built.
pub(crate) struct ErasedStage(Erased);

impl ErasedStage {
    /// Hides the type.
    pub fn new<In: 'static>(stage: Box<dyn Stage<In>>) -> Self {
        Self(Erased::new(stage))
    }

    /// The stage again.
    pub fn typed<In: 'static>(self) -> Box<dyn Stage<In>> {
        self.0.typed()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{
        graph::{DataStream, StreamExecutionEnvironment, local_executor::sizes_of_batches},
        stream::Data,
    };

    fn sizes<T: Data>(batch_size: usize, program: impl FnOnce(DataStream<u32>) -> DataStream<T>) -> Vec<usize> {
        let env = StreamExecutionEnvironment::new();
        program(env.from_elements(0..20_u32)).map(|_| 0_u8).print();
        sizes_of_batches(env.job_graph("sizes").unwrap(), batch_size)
    }

    proptest! {
        /// A record may become thousands: no batch grows with them, and none is empty.
        #[test]
        fn batches_stay_within_their_bound(batch_size in 1usize..9, fan_out in 0u32..30) {
            let sizes = sizes(batch_size, |numbers| numbers.flat_map(move |n| 0..n * fan_out).filter(|n| n % 2 == 0));
            prop_assert!(sizes.iter().all(|n| (1..=batch_size).contains(n)), "{sizes:?}");
            let expected: u32 = (0..20).map(|n| (n * fan_out).div_ceil(2)).sum();
            prop_assert_eq!(sizes.iter().sum::<usize>(), expected as usize);
        }
    }
}
