//! How the records of one outgoing edge are dealt to its channels.

use std::marker::PhantomData;

use crate::{
    key_group::KeyGroup,
    operator::keyed::Keyed,
    stream::{Data, Key, Outbox},
};

/// Distributes batches over the channels of one outgoing edge.
pub(crate) trait EdgeWriter<T>: Send {
    /// Leaves all records in the outbox, in order. Leaves the batch empty.
    fn send(&mut self, batch: &mut Vec<T>, out: &mut Outbox);
}

/// Subtask i to subtask i: the edge has a single channel.
pub(super) struct Forward {
    pub output: usize,
}

impl<T: Data> EdgeWriter<T> for Forward {
    fn send(&mut self, batch: &mut Vec<T>, out: &mut Outbox) {
        out.edge(self.output, 1).append(0, batch);
    }
}

/// Each batch to the next channel.
pub(super) struct Rebalance {
    pub output: usize,
    pub channels: usize,
    /// The channel of the next batch.
    pub next: usize,
}

impl<T: Data> EdgeWriter<T> for Rebalance {
    fn send(&mut self, batch: &mut Vec<T>, out: &mut Outbox) {
        if batch.is_empty() {
            return;
        }
        out.edge(self.output, self.channels).append(self.next, batch);
        self.next = (self.next + 1) % self.channels;
    }
}

/// Each record to the subtask that owns its key group.
pub(super) struct HashPartitioner<K, F> {
    output: usize,
    key_of: F,
    key: PhantomData<fn() -> K>,
    parallelism: usize,
    max_parallelism: u32,
    /// The owner of each key group: `KeyGroup::owner`, without a division per record.
    owners: Vec<u32>,
}

impl<K, F> HashPartitioner<K, F> {
    pub fn new(output: usize, key_of: F, parallelism: u32, max_parallelism: u32) -> Self {
        let owners = (0..max_parallelism).map(|group| KeyGroup(group).owner(parallelism, max_parallelism)).collect();
        Self { output, key_of, key: PhantomData, parallelism: parallelism as usize, max_parallelism, owners }
    }
}

impl<T: Data, K: Key, F: Fn(&T) -> K + Send> EdgeWriter<T> for HashPartitioner<K, F> {
    fn send(&mut self, batch: &mut Vec<T>, out: &mut Outbox) {
        let mut out = out.edge(self.output, self.parallelism);
        let keyed = batch.drain(..).map(|record| Keyed::new((self.key_of)(&record), record));
        if self.parallelism == 1 {
            return out.extend(0, keyed);
        }
        out.route(keyed.map(|keyed| {
            let group = KeyGroup::of(keyed.hash, self.max_parallelism);
            (self.owners[group.0 as usize] as usize, keyed)
        }));
    }
}
