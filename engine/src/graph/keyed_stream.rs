//! A stream that is partitioned by key.

use std::{marker::PhantomData, sync::Arc};

use super::{DataStream, Partitioning, data_stream::locked, operator_graph::NodeInput};
use crate::{
    operator::{
        Aggregate, EdgeTemplate, Keyed, KeyedEdge, KeyedProcess, KeyedProcessFunction, Summand, Template, Transform,
        TransformTemplate, add,
    },
    state::ValueStateDescriptor,
    stream::{Data, Key},
};

/// A stream of records of type `T`, partitioned by a key of type `K`. Operators on it keep state for each key.
pub struct KeyedStream<K, T> {
    stream: DataStream<T>,
    /// Knows the function that gives a record's key.
    edge: Arc<dyn EdgeTemplate>,
    key: PhantomData<fn() -> K>,
}

impl<K, T> Clone for KeyedStream<K, T> {
    fn clone(&self) -> Self {
        Self { stream: self.stream.clone(), edge: self.edge.clone(), key: PhantomData }
    }
}

impl<K: Key, T: Data> KeyedStream<K, T> {
    pub(crate) fn new(stream: DataStream<T>, key_of: impl Fn(&T) -> K + Send + Sync + 'static) -> Self {
        // Shared by pointer, because a user's function need not be `Clone`; called directly nevertheless.
        let key_of = Arc::new(key_of);
        let edge = KeyedEdge::<T, K, _>::new(move |record: &T| key_of(record));
        Self { stream, edge: Arc::new(edge), key: PhantomData }
    }

    /// The running sum of what `summand` gives for each record; every update is emitted. A sum that leaves the number's
    /// range fails the job.
    pub fn sum<N: Summand>(self, summand: impl Fn(&T) -> N + Send + Sync + 'static) -> DataStream<(K, N)> {
        let summand = Arc::new(summand);
        let transform = Transform::<Keyed<K, T>, (K, N), _>::new(move |context| {
            let (first, fold) = (summand.clone(), summand.clone());
            Aggregate::new(
                context,
                ValueStateDescriptor::<N>::new("sum"),
                move |record: T| first(&record),
                move |sum: &mut N, record: T| add(sum, &fold(&record)),
                |key: K, sum: &N| (key, sum.clone()),
            )
        });
        self.connect("sum", transform)
    }

    /// Folds the records of each key into one of the same type; every update is emitted. The first argument of `f` is the
    /// value so far, the second the new record.
    pub fn reduce(self, f: impl Fn(&T, T) -> T + Send + Sync + 'static) -> DataStream<T> {
        let f = Arc::new(f);
        let transform = Transform::<Keyed<K, T>, T, _>::new(move |context| {
            let f = f.clone();
            Aggregate::new(
                context,
                ValueStateDescriptor::<T>::new("reduce"),
                |record: T| record,
                move |value: &mut T, record: T| {
                    *value = f(value, record);
                    Ok(())
                },
                |_: K, value: &T| value.clone(),
            )
        });
        self.connect("reduce", transform)
    }

    /// Runs a function with state of its own for each record; every subtask works on a clone of it.
    pub fn process<U: Data, F>(self, function: F) -> DataStream<U>
    where
        F: KeyedProcessFunction<K, T, U> + Clone + Sync,
    {
        let transform =
            Transform::<Keyed<K, T>, U, _>::new(move |context| KeyedProcess::new(context, function.clone()));
        self.connect("process", transform)
    }

    fn connect<U: Data>(self, name: &str, transform: impl TransformTemplate + 'static) -> DataStream<U> {
        let (graph, from) = self.stream.into_parts();
        let input = NodeInput { from, partitioning: Partitioning::Hash, edge: self.edge };
        let node = locked(&graph).add(name, Some(input), Template::Transform(Arc::new(transform)));
        DataStream::new(graph, node, Partitioning::Forward)
    }
}
