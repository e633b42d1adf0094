//! The end of a chain: which record goes to which subtask of which consumer.

use std::{marker::PhantomData, sync::Arc};

use async_trait::async_trait;

use super::{
    CompletionNotification, SubtaskContext, SubtaskProgram,
    keyed::{KeySelector, Keyed, KeyedCodec},
    program::OneInputProgram,
    stage::{Erased, ErasedStage, Stage},
};
use crate::{
    error::Result,
    graph::Partitioning,
    id::CheckpointId,
    key_group::KeyGroup,
    state::{RestoredState, SubtaskSnapshot},
    stream::{AnyBatch, BatchCodec, Data, Key, Outbox, PostcardCodec},
};

/// Distributes batches over the channels of one outgoing edge.
pub(crate) trait EdgeWriter<T>: Send {
    /// Sends all records on, in order. Leaves the batch empty.
    fn send(&mut self, batch: &mut Vec<T>, out: &mut Outbox);
}

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

/// An edge that sends each record to the owner of its key.
pub(crate) struct KeyedEdge<T, K> {
    pub key_of: KeySelector<T, K>,
}

impl<T: Data, K: Key> EdgeTemplate for KeyedEdge<T, K> {
    fn writer(&self, partitioning: Partitioning, output: usize, producer: &SubtaskContext) -> Erased {
        assert_eq!(partitioning, Partitioning::Hash, "a keyed stream is always partitioned by key");
        let (parallelism, max) = (producer.consumers[output], producer.max_parallelism);
        let writer: Box<dyn EdgeWriter<T>> = Box::new(HashPartitioner {
            output,
            key_of: self.key_of.clone(),
            max_parallelism: max,
            owners: (0..max).map(|group| KeyGroup(group).owner(parallelism, max)).collect(),
            batches: (0..parallelism).map(|_| Vec::new()).collect(),
        });
        Erased::new(writer)
    }

    fn tail(&self, writers: Vec<Erased>) -> ErasedStage {
        tail::<T>(writers)
    }

    fn program(&self, head: ErasedStage) -> Box<dyn SubtaskProgram> {
        Box::new(OneInputProgram::<Keyed<K, T>>::new(head.typed()))
    }

    fn codec(&self) -> Arc<dyn BatchCodec> {
        Arc::new(KeyedCodec { key_of: self.key_of.clone() })
    }
}

/// Subtask i to subtask i: the edge has a single channel.
struct Forward {
    output: usize,
}

impl<T: Data> EdgeWriter<T> for Forward {
    fn send(&mut self, batch: &mut Vec<T>, out: &mut Outbox) {
        out.push(self.output, 0, AnyBatch::new(std::mem::take(batch)));
    }
}

/// Each batch to the next channel.
struct Rebalance {
    output: usize,
    channels: usize,
    next: usize,
}

impl<T: Data> EdgeWriter<T> for Rebalance {
    fn send(&mut self, batch: &mut Vec<T>, out: &mut Outbox) {
        if batch.is_empty() {
            return;
        }
        out.push(self.output, self.next, AnyBatch::new(std::mem::take(batch)));
        self.next = (self.next + 1) % self.channels;
    }
}

/// Each record to the subtask that owns its key group.
struct HashPartitioner<T, K> {
    output: usize,
    key_of: KeySelector<T, K>,
    max_parallelism: u32,
    /// The owner of each key group: `KeyGroup::owner`, without a division per record.
    owners: Vec<u32>,
    batches: Vec<Vec<Keyed<K, T>>>,
}

impl<T: Data, K: Key> EdgeWriter<T> for HashPartitioner<T, K> {
    fn send(&mut self, batch: &mut Vec<T>, out: &mut Outbox) {
        // Some room above the even share, so that most batches are allocated once.
        let share = batch.len() / self.batches.len();
        let room = share + share / 4 + 1;
        for records in &mut self.batches {
            records.reserve(room);
        }
        for record in batch.drain(..) {
            let keyed = Keyed::new((self.key_of)(&record), record);
            let owner = self.owners[KeyGroup::of(keyed.hash, self.max_parallelism).0 as usize];
            self.batches[owner as usize].push(keyed);
        }
        for (channel, records) in self.batches.iter_mut().enumerate() {
            if !records.is_empty() {
                out.push(self.output, channel, AnyBatch::new(std::mem::take(records)));
            }
        }
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

    fn snapshot(&mut self, _: CheckpointId, _: &mut SubtaskSnapshot) -> Result<()> {
        Ok(())
    }

    async fn notify_complete(&mut self, _: CompletionNotification) -> Result<()> {
        Ok(())
    }

    fn notify_aborted(&mut self, _: CheckpointId) {}
}
