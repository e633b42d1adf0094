//! What is known of an operator before its subtasks exist: how to make it, with its types hidden.

use std::{marker::PhantomData, sync::Arc};

use async_trait::async_trait;

use super::{
    SubtaskProgram,
    program::SourceProgram,
    sink_stage::SinkStage,
    stage::{ErasedStage, Link, Operator, OperatorContext},
};
use crate::{
    connector::{Sink, Source},
    error::Result,
    graph::{PrepareContext, SplitAssignment},
    stream::Data,
};

/// Makes the first operator of a chain that reads from outside.
#[async_trait]
pub(crate) trait SourceTemplate: Send + Sync {
    /// The splits for each subtask of a job that starts afresh.
    async fn assign_splits(&self, context: &PrepareContext) -> Result<SplitAssignment>;

    /// The program of a subtask.
    fn program(&self, context: OperatorContext, chain: ErasedStage) -> Box<dyn SubtaskProgram>;
}

/// Makes an operator with one input and one output.
pub(crate) trait TransformTemplate: Send + Sync {
    /// The operator of a subtask, before `next`.
    fn stage(&self, context: OperatorContext, next: ErasedStage) -> ErasedStage;
}

/// Makes the last operator of a chain that writes to the outside.
#[async_trait]
pub(crate) trait SinkTemplate: Send + Sync {
    /// See `VertexFactory::prepare`.
    async fn prepare(&self, context: &PrepareContext, uid: &str) -> Result<()>;

    /// See `VertexFactory::clean_up`.
    async fn clean_up(&self, context: &PrepareContext, uid: &str) -> Result<()>;

    /// The operator of a subtask.
    fn stage(&self, context: OperatorContext) -> ErasedStage;

    /// Whether the sink does nothing visible until a checkpoint completes.
    fn needs_checkpoints(&self) -> bool;
}

/// What kind of operator it is.
#[derive(Clone)]
pub(crate) enum Template {
    Source(Arc<dyn SourceTemplate>),
    Transform(Arc<dyn TransformTemplate>),
    Sink(Arc<dyn SinkTemplate>),
}

/// The template of a `Source`.
pub(crate) struct FromSource<T, S> {
    source: S,
    record: PhantomData<fn() -> T>,
}

impl<T, S> FromSource<T, S> {
    pub fn new(source: S) -> Self {
        Self { source, record: PhantomData }
    }
}

#[async_trait]
impl<T: Data, S: Source<T>> SourceTemplate for FromSource<T, S> {
    async fn assign_splits(&self, context: &PrepareContext) -> Result<SplitAssignment> {
        let splits = self.source.list_splits(context).await?;
        let mut dealt = vec![Vec::new(); context.parallelism as usize];
        for (i, split) in splits.into_iter().enumerate() {
            dealt[i % context.parallelism as usize].push(split);
        }
        Ok(dealt)
    }

    fn program(&self, context: OperatorContext, chain: ErasedStage) -> Box<dyn SubtaskProgram> {
        let reader = self.source.create_reader(&context.subtask);
        Box::new(SourceProgram::<T>::new(context, reader, chain.typed()))
    }
}

/// The template of an operator that `make` makes for each subtask.
pub(crate) struct Transform<In, Out, F> {
    make: F,
    types: PhantomData<fn(In) -> Out>,
}

impl<In, Out, F> Transform<In, Out, F> {
    pub fn new<Op>(make: F) -> Self
    where
        F: Fn(&OperatorContext) -> Op,
        Op: Operator<In, Out>,
    {
        Self { make, types: PhantomData }
    }
}

impl<In, Out, Op, F> TransformTemplate for Transform<In, Out, F>
where
    In: Send + 'static,
    Out: Send + 'static,
    Op: Operator<In, Out>,
    F: Fn(&OperatorContext) -> Op + Send + Sync,
{
    fn stage(&self, context: OperatorContext, next: ErasedStage) -> ErasedStage {
        let operator = (self.make)(&context);
        ErasedStage::new::<In>(Box::new(Link::new(operator, &context, next.typed::<Out>())))
    }
}

/// The template of a `Sink`.
pub(crate) struct ToSink<T, S> {
    sink: S,
    record: PhantomData<fn(T)>,
}

impl<T, S> ToSink<T, S> {
    pub fn new(sink: S) -> Self {
        Self { sink, record: PhantomData }
    }
}

#[async_trait]
impl<T: Data, S: Sink<T>> SinkTemplate for ToSink<T, S> {
    async fn prepare(&self, context: &PrepareContext, uid: &str) -> Result<()> {
        self.sink.prepare(context, uid).await
    }

    async fn clean_up(&self, context: &PrepareContext, uid: &str) -> Result<()> {
        self.sink.clean_up(context, uid).await
    }

    fn stage(&self, context: OperatorContext) -> ErasedStage {
        let writer = self.sink.create_writer(&context.subtask);
        ErasedStage::new::<T>(Box::new(SinkStage::new(context, writer)))
    }

    fn needs_checkpoints(&self) -> bool {
        self.sink.needs_checkpoints()
    }
}
