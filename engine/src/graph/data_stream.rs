//! A stream of records, and what can be made of it.

use std::{
    fmt::Debug,
    marker::PhantomData,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    KeyedStream, Partitioning,
    operator_graph::{NodeId, NodeInput, OperatorGraph, OperatorNode},
};
use crate::{
    connector::{PrintSink, Sink},
    operator::{Collector, Filter, FlatMap, Map, PlainEdge, Template, ToSink, Transform},
    stream::{Data, Key},
};

/// The recorded operators, shared by an environment and its streams.
pub(crate) type SharedGraph = Arc<Mutex<OperatorGraph>>;

/// The graph; a user's closure may have panicked while it was locked, which leaves it as it is.
pub(crate) fn locked(graph: &SharedGraph) -> MutexGuard<'_, OperatorGraph> {
    graph.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream of records. Methods that transform it record an operator and give the stream of its results; nothing runs
/// before the environment's `execute`. A clone is the same stream: each of its consumers gets every record.
pub struct DataStream<T> {
    graph: SharedGraph,
    node: NodeId,
    partitioning: Partitioning,
    record: PhantomData<fn() -> T>,
}

impl<T> Clone for DataStream<T> {
    fn clone(&self) -> Self {
        Self::new(self.graph.clone(), self.node, self.partitioning)
    }
}

impl<T> DataStream<T> {
    pub(crate) fn new(graph: SharedGraph, node: NodeId, partitioning: Partitioning) -> Self {
        Self { graph, node, partitioning, record: PhantomData }
    }

    pub(crate) fn into_parts(self) -> (SharedGraph, NodeId) {
        (self.graph, self.node)
    }

    fn change(self, change: impl FnOnce(&mut OperatorNode)) -> Self {
        change(&mut locked(&self.graph).nodes[self.node]);
        self
    }
}

impl<T: Data> DataStream<T> {
    /// Applies a function to each record. It must depend on the record alone: after a failure it is applied again.
    pub fn map<U: Data>(self, f: impl Fn(T) -> U + Send + Sync + 'static) -> DataStream<U> {
        let f = Arc::new(f);
        self.connect(
            "map",
            Transform::<T, U, _>::new(move |_| {
                let f = f.clone();
                Map(move |record| f(record))
            }),
        )
    }

    /// Keeps the records for which `f` holds.
    pub fn filter(self, f: impl Fn(&T) -> bool + Send + Sync + 'static) -> DataStream<T> {
        let f = Arc::new(f);
        self.connect(
            "filter",
            Transform::<T, T, _>::new(move |_| {
                let f = f.clone();
                Filter(move |record: &T| f(record))
            }),
        )
    }

    /// Emits all that `f` makes of each record, in order.
    pub fn flat_map<U: Data, I>(self, f: impl Fn(T) -> I + Send + Sync + 'static) -> DataStream<U>
    where
        I: IntoIterator<Item = U> + 'static,
    {
        self.flat_map_with(move |record, out| out.extend(f(record)))
    }

    /// Lets `f` emit any number of results for each record, in order. They may be made of pieces of the record, and need no
    /// collection of their own:
    ///
    /// ```
    /// # use tidegate::{graph::StreamExecutionEnvironment, stream::SmallString};
    /// # let env = StreamExecutionEnvironment::new();
    /// let words = env
    ///     .from_elements(["to be or not to be".to_owned()])
    ///     .flat_map_with(|line, out| line.split(' ').for_each(|word| out.collect(SmallString::from(word))));
    /// # words.print();
    /// # env.job_graph("words").unwrap();
    /// ```
    pub fn flat_map_with<U: Data>(self, f: impl Fn(T, &mut Collector<'_, U>) + Send + Sync + 'static) -> DataStream<U> {
        let f = Arc::new(f);
        self.connect(
            "flat_map",
            Transform::<T, U, _>::new(move |_| {
                let f = f.clone();
                FlatMap(move |record, out: &mut Collector<'_, U>| f(record, out))
            }),
        )
    }

    /// Partitions the stream by a key: all records of a key come to the same subtask of the next operator, in the order in
    /// which each subtask before it emits them.
    pub fn key_by<K: Key>(self, key: impl Fn(&T) -> K + Send + Sync + 'static) -> KeyedStream<K, T> {
        KeyedStream::new(self, key)
    }

    /// Deals the records, batch by batch, to all subtasks of the next operator in turn.
    #[must_use]
    pub fn rebalance(mut self) -> Self {
        self.partitioning = Partitioning::Rebalance;
        self
    }

    /// Prints each record to standard output, without any guarantee: after a failure, lines come again.
    pub fn print(self) -> DataStreamSink
    where
        T: Debug,
    {
        self.sink_to(PrintSink::stdout()).name("print")
    }

    /// Writes the stream to a sink.
    pub fn sink_to<S: Sink<T>>(self, sink: S) -> DataStreamSink {
        let template = Template::Sink(Arc::new(ToSink::<T, S>::new(sink)));
        let input =
            NodeInput { from: self.node, partitioning: self.partitioning, edge: Arc::new(PlainEdge::<T>::new()) };
        let node = locked(&self.graph).add("sink", Some(input), template);
        DataStreamSink { graph: self.graph, node }
    }

    fn connect<U: Data, F>(self, name: &str, transform: Transform<T, U, F>) -> DataStream<U>
    where
        Transform<T, U, F>: crate::operator::TransformTemplate + 'static,
    {
        let input =
            NodeInput { from: self.node, partitioning: self.partitioning, edge: Arc::new(PlainEdge::<T>::new()) };
        let node = locked(&self.graph).add(name, Some(input), Template::Transform(Arc::new(transform)));
        DataStream::new(self.graph, node, Partitioning::Forward)
    }

    /// How many subtasks the operator has that makes this stream; the environment's parallelism unless set.
    #[must_use]
    pub fn set_parallelism(self, parallelism: u32) -> Self {
        self.change(|node| node.parallelism = Some(parallelism))
    }

    /// Under which name the state of the operator that makes this stream is found again, also by a changed program. Unique
    /// in the job; letters, digits, `-` and `_`. Without it, state is found by the operator's position in the program.
    #[must_use]
    pub fn uid(self, uid: impl Into<String>) -> Self {
        self.change(|node| node.uid = Some(uid.into()))
    }

    /// What the operator that makes this stream is called in messages.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        self.change(|node| node.name = name.into())
    }
}

/// The end of a stream.
pub struct DataStreamSink {
    graph: SharedGraph,
    node: NodeId,
}

impl DataStreamSink {
    fn change(self, change: impl FnOnce(&mut OperatorNode)) -> Self {
        change(&mut locked(&self.graph).nodes[self.node]);
        self
    }

    /// See [`DataStream::set_parallelism`].
    pub fn set_parallelism(self, parallelism: u32) -> Self {
        self.change(|node| node.parallelism = Some(parallelism))
    }

    /// See [`DataStream::uid`].
    pub fn uid(self, uid: impl Into<String>) -> Self {
        self.change(|node| node.uid = Some(uid.into()))
    }

    /// See [`DataStream::name`].
    pub fn name(self, name: impl Into<String>) -> Self {
        self.change(|node| node.name = name.into())
    }
}
