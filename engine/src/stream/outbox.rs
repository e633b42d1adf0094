//! Where a chain leaves its output until the task sends it.

use super::AnyBatch;

/// A batch and where it goes.
#[derive(Debug)]
pub struct OutBatch {
    /// Which of the vertex's outgoing edges, in the order of `JobGraph::outputs`.
    pub edge: usize,
    /// Which of the edge's channels, in the order of `JobGraph::consumers`: the consuming subtask's index, but for a
    /// forward edge, which has one channel only.
    pub channel: usize,
    /// The records.
    pub batch: AnyBatch,
}

/// Chains are plain loops that cannot wait; so they leave batches here, in order, and the task sends them between two
/// batches, waiting for credit as needed. Bounded because a task sends all of it before it takes the next input.
#[derive(Debug, Default)]
pub struct Outbox {
    batches: Vec<OutBatch>,
}

impl Outbox {
    /// Leaves a batch. Empty ones are dropped.
    pub fn push(&mut self, edge: usize, channel: usize, batch: AnyBatch) {
        if !batch.is_empty() {
            self.batches.push(OutBatch { edge, channel, batch });
        }
    }

    /// Takes all batches, oldest first. Keeps the memory.
    pub fn drain(&mut self) -> impl Iterator<Item = OutBatch> + '_ {
        self.batches.drain(..)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}
