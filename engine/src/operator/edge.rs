//! The end of a chain: which record goes to which subtask of which consumer; `edge_writer` deals them out.

use std::{marker::PhantomData, sync::Arc};

use async_trait::async_trait;

use super::{
    SubtaskContext, SubtaskProgram,
    edge_writer::{EdgeWriter, Forward, HashPartitioner, Rebalance},
    keyed::{Keyed, KeyedCodec},
    program::OneInputProgram,
    snapshotting::OperatorTables,
    stage::{Erased, ErasedStage, Stage},
};
use crate::{
    checkpoint::CompletionNotification,
    error::Result,
    graph::Partitioning,
    id::CheckpointId,
    state::{FrozenOperator, RestoredState},
    stream::{BatchCodec, Data, Key, Outbox, PostcardCodec},
};

/// What is known of an edge before its subtasks exist: the type of its records, hidden.
pub(crate) trait EdgeTemplate: Send + Sync {
    /// The `EdgeWriter` of the producing subtask, for its output `output`.
    fn writer(&self, partitioning: Partitioning, output: usize, producer: &SubtaskContext) -> Erased;

    /// The end of the producer's chain, which sends to all of `writers`.
    fn tail(&self, writers: Vec<Erased>) -> ErasedStage;

    /// The program of a consuming subtask whose chain begins with `head`.
    fn program(&self, head: ErasedStage) -> Box<dyn SubtaskProgram>;

    /// How records cross the network.
    fn codec(&self) -> Arc<dyn BatchCodec>;
}

/// An edge that does not look at the records.
pub(crate) struct PlainEdge<T>(PhantomData<fn() -> T>);

impl<T> PlainEdge<T> {
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Data> EdgeTemplate for PlainEdge<T> {
    fn writer(&self, partitioning: Partitioning, output: usize, producer: &SubtaskContext) -> Erased {
        let index = producer.subtask.index;
        let writer: Box<dyn EdgeWriter<T>> = match partitioning {
            Partitioning::Forward => Box::new(Forward { output }),
            Partitioning::Rebalance => {
                let channels = producer.consumers[output] as usize;
                // Begin with different channels in different subtasks, or the first channels get more.
                Box::new(Rebalance { output, channels, next: index as usize % channels })
            }
            Partitioning::Hash => panic!("a stream without keys cannot be partitioned by key"),
        };
        Erased::new(writer)
    }

    fn tail(&self, writers: Vec<Erased>) -> ErasedStage {
        tail::<T>(writers)
    }

    fn program(&self, head: ErasedStage) -> Box<dyn SubtaskProgram> {
        Box::new(OneInputProgram::<T>::new(head.typed()))
    }

    fn codec(&self) -> Arc<dyn BatchCodec> {
        Arc::new(PostcardCodec::<T>::new())
    }
}

/// An edge that sends each record to the owner of its key. `F` is the user's own function, so that the loops over a batch
/// are compiled for it.
pub(crate) struct KeyedEdge<T, K, F> {
    key_of: F,
    types: PhantomData<fn(T) -> K>,
}

impl<T, K, F> KeyedEdge<T, K, F> {
    pub fn new(key_of: F) -> Self {
        Self { key_of, types: PhantomData }
    }
}

impl<T: Data, K: Key, F: Fn(&T) -> K + Clone + Send + Sync + 'static> EdgeTemplate for KeyedEdge<T, K, F> {
    fn writer(&self, partitioning: Partitioning, output: usize, producer: &SubtaskContext) -> Erased {
        assert_eq!(partitioning, Partitioning::Hash, "a keyed stream is always partitioned by key");
        let (parallelism, max) = (producer.consumers[output], producer.max_parallelism);
        let writer = HashPartitioner::<K, F>::new(output, self.key_of.clone(), parallelism, max);
        Erased::new::<Box<dyn EdgeWriter<T>>>(Box::new(writer))
    }

    fn tail(&self, writers: Vec<Erased>) -> ErasedStage {
        tail::<T>(writers)
    }

    fn program(&self, head: ErasedStage) -> Box<dyn SubtaskProgram> {
        Box::new(OneInputProgram::<Keyed<K, T>>::new(head.typed()))
    }

    fn codec(&self) -> Arc<dyn BatchCodec> {
        Arc::new(KeyedCodec::new(self.key_of.clone()))
    }
}

fn tail<T: Data>(writers: Vec<Erased>) -> ErasedStage {
    let edges = writers.into_iter().map(Erased::typed::<Box<dyn EdgeWriter<T>>>).collect();
    ErasedStage::new::<T>(Box::new(Tail { edges }))
}

/// The last stage of a chain: every outgoing edge gets every record.
struct Tail<T> {
    edges: Vec<Box<dyn EdgeWriter<T>>>,
}

#[async_trait]
impl<T: Data> Stage<T> for Tail<T> {
    async fn open(&mut self, _: &mut RestoredState) -> Result<()> {
        Ok(())
    }

    fn process(&mut self, batch: &mut Vec<T>, out: &mut Outbox) -> Result<()> {
        out.sample(batch);
        let (last, others) = self.edges.split_last_mut().expect("a chain ends in a sink or in an edge");
        for edge in others {
            edge.send(&mut batch.clone(), out);
        }
        last.send(batch, out);
        Ok(())
    }

    fn end_of_input(&mut self, _: &mut Outbox) -> Result<()> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn prepare_commit(&mut self, _: CheckpointId) -> Result<()> {
        Ok(())
    }

    fn tables<'a>(&'a mut self, _: &mut Vec<OperatorTables<'a>>) {}

    fn lists(&mut self, _: CheckpointId, _: &mut Vec<FrozenOperator>) -> Result<()> {
        Ok(())
    }

    async fn notify_complete(&mut self, _: CompletionNotification) -> Result<()> {
        Ok(())
    }

    fn notify_aborted(&mut self, _: CheckpointId) {}
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{id::SubtaskId, key_group::KeyGroup};

    fn producer(index: u32, consumers: &[u32]) -> SubtaskContext {
        let alone = SubtaskContext::alone();
        let subtask = SubtaskId { index, ..alone.subtask };
        SubtaskContext { subtask, parallelism: 4, consumers: consumers.to_vec(), ..alone }
    }

    /// What batches of `T` leave in the outbox: edge, channel, records.
    fn sent<T: Data, Out: Data>(tail: ErasedStage, batches: Vec<Vec<T>>) -> Vec<(usize, usize, Vec<Out>)> {
        let (mut tail, mut outbox) = (tail.typed::<T>(), Outbox::new(2));
        for mut batch in batches {
            tail.process(&mut batch, &mut outbox).unwrap();
            assert!(batch.is_empty());
        }
        outbox.flush();
        outbox.drain().map(|out| (out.edge, out.channel, out.batch.downcast())).collect()
    }

    #[test]
    fn every_edge_gets_every_batch_its_own_way() {
        let edge = PlainEdge::<u8>::new();
        let producer = producer(1, &[4, 3]);
        let writers =
            vec![edge.writer(Partitioning::Forward, 0, &producer), edge.writer(Partitioning::Rebalance, 1, &producer)];
        let sent = sent::<u8, u8>(edge.tail(writers), vec![vec![1, 2], vec![], vec![3], vec![4]]);
        let expected = [
            (0, 0, vec![1, 2]),
            (1, 1, vec![1, 2]),
            (0, 0, vec![3]),
            (1, 2, vec![3]),
            (0, 0, vec![4]),
            (1, 0, vec![4]),
        ];
        assert_eq!(sent, expected);
    }

    #[test]
    fn rebalancing_begins_with_a_channel_of_its_own_in_each_subtask() {
        let first = |index| {
            let edge = PlainEdge::<u8>::new();
            let writer = edge.writer(Partitioning::Rebalance, 0, &producer(index, &[2]));
            sent::<u8, u8>(edge.tail(vec![writer]), vec![vec![7]])[0].1
        };
        assert_eq!([0, 1, 2, 3].map(first), [0, 1, 0, 1]);
    }

    proptest! {
        /// I10, and Feldera 6085f616d: each record goes to the owner of its key and to nobody else, in order.
        #[test]
        fn records_go_to_the_owner_of_their_key_in_order(
            batches in proptest::collection::vec(proptest::collection::vec(any::<(u8, u16)>(), 0..20), 0..6), parallelism in 1u32..9,
        ) {
            let edge = KeyedEdge::new(|r: &(u8, u16)| r.0);
            let writer = edge.writer(Partitioning::Hash, 0, &producer(0, &[parallelism]));
            let (mut tail, mut outbox) = (edge.tail(vec![writer]).typed::<(u8, u16)>(), Outbox::new(4));
            for batch in &batches {
                tail.process(&mut batch.clone(), &mut outbox).unwrap();
            }
            outbox.flush();
            let mut channels = vec![Vec::new(); parallelism as usize];
            for out in outbox.drain() {
                channels[out.channel].extend(out.batch.downcast::<Keyed<u8, (u8, u16)>>());
            }
            for (channel, records) in channels.iter().enumerate() {
                let owner = |key: &u8| KeyGroup::of(key.key_hash(), 128).owner(parallelism, 128) as usize;
                let expected = batches.concat().into_iter().filter(|r| owner(&r.0) == channel);
                prop_assert_eq!(records.clone(), expected.map(|r| Keyed::new(r.0, r)).collect::<Vec<_>>());
            }
        }
    }
}
