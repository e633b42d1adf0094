//! Where a chain leaves its output until the task sends it.

use std::any::Any;

use super::{AnyBatch, Data, codec::record_bytes};

/// How many bytes a batch should have at most: 1 MiB.
pub const BATCH_BYTES: usize = 1 << 20;

/// So many records of a batch are looked at to know how large they are: a few of thousands cost nothing.
const SAMPLES: usize = 8;

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

/// Chains are plain loops that cannot wait; so they leave their output here, in order, and the task sends it between two
/// batches, waiting for credit as needed.
///
/// A channel's records are held back until they fill a batch, or until the task flushes them: what is split over many
/// channels, or what a filter leaves over, would make many small batches otherwise. Bounded: less than a batch is held for
/// each channel, and what is ready is sent before the task takes its next input.
pub struct Outbox {
    ready: Vec<OutBatch>,
    /// What is held back, by edge.
    held: Vec<Option<Box<dyn Held>>>,
    limit: usize,
    records: usize,
    /// The mean of a record, in the batch of the largest ones since the last call of `take_record_bytes`.
    record_bytes: usize,
}

/// What one edge holds back, without its type.
trait Held: Any + Send {
    fn is_empty(&self) -> bool;
    fn flush(&mut self, edge: usize, ready: &mut Vec<OutBatch>);
    fn recycle(&mut self, batch: AnyBatch);
}

struct HeldRecords<T> {
    /// By channel.
    open: Vec<Vec<T>>,
    /// Empty, but with memory.
    spare: Vec<Vec<T>>,
}

impl<T: Send + 'static> HeldRecords<T> {
    /// Ends the open batch of a channel.
    fn close(&mut self, edge: usize, channel: usize, ready: &mut Vec<OutBatch>) {
        let empty = self.empty_batch(self.open[channel].len());
        let batch = AnyBatch::new(std::mem::replace(&mut self.open[channel], empty));
        ready.push(OutBatch { edge, channel, batch });
    }

    fn empty_batch(&mut self, room: usize) -> Vec<T> {
        self.spare.pop().unwrap_or_else(|| Vec::with_capacity(room))
    }
}

impl<T: Send + 'static> Held for HeldRecords<T> {
    fn is_empty(&self) -> bool {
        self.open.iter().all(Vec::is_empty)
    }

    fn flush(&mut self, edge: usize, ready: &mut Vec<OutBatch>) {
        for channel in 0..self.open.len() {
            if !self.open[channel].is_empty() {
                self.close(edge, channel, ready);
            }
        }
    }

    fn recycle(&mut self, batch: AnyBatch) {
        // As many as can be filled before others come back; should there be more, the allocator takes them.
        if self.spare.len() <= 2 * self.open.len() {
            let batch = batch.downcast::<T>();
            assert!(batch.is_empty(), "a batch comes back that still holds records");
            self.spare.push(batch);
        }
    }
}

impl Outbox {
    /// An empty outbox for batches of up to `limit` records.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { ready: Vec::new(), held: Vec::new(), limit: limit.max(1), records: 0, record_bytes: 0 }
    }

    /// How many records a batch should have at most. At least 1.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Changes the limit for the batches that are filled from now on.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(1);
    }

    /// Where the records of an edge with so many channels go. The same type at each call.
    pub(crate) fn edge<T: Send + 'static>(&mut self, edge: usize, channels: usize) -> EdgeOutput<'_, T> {
        if self.held.len() <= edge {
            self.held.resize_with(edge + 1, || None);
        }
        let held = self.held[edge].get_or_insert_with(|| {
            let open = (0..channels).map(|_| Vec::new()).collect();
            Box::new(HeldRecords::<T> { open, spare: Vec::new() })
        });
        let held: &mut dyn Any = &mut **held;
        let held = held.downcast_mut().expect("an edge carries records of one type");
        EdgeOutput { edge, held, limit: self.limit, ready: &mut self.ready, records: &mut self.records }
    }

    /// Ends all batches that are being filled.
    pub fn flush(&mut self) {
        for (edge, held) in self.held.iter_mut().enumerate() {
            if let Some(held) = held {
                held.flush(edge, &mut self.ready);
            }
        }
    }

    /// Whether records are held back for a fuller batch.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        self.held.iter().flatten().any(|held| !held.is_empty())
    }

    /// Takes all batches that are to be sent, oldest first. Keeps the memory.
    pub fn drain(&mut self) -> impl Iterator<Item = OutBatch> + '_ {
        self.ready.drain(..)
    }

    /// Exchanges what is to be sent with `batches`, so that a task can send it while it gives memory back.
    pub(crate) fn swap_ready(&mut self, batches: &mut Vec<OutBatch>) {
        std::mem::swap(&mut self.ready, batches);
    }

    /// Gives the memory of a batch of this edge back. The batch is empty.
    pub fn recycle(&mut self, edge: usize, batch: AnyBatch) {
        if let Some(held) = &mut self.held[edge] {
            held.recycle(batch);
        }
    }

    /// Looks at some of the records that are about to be left here.
    pub(crate) fn sample<T: Data>(&mut self, records: &[T]) {
        let some = records.iter().step_by(records.len().div_ceil(SAMPLES).max(1));
        let count = some.len().max(1);
        let bytes = some.map(|record| record_bytes(record, BATCH_BYTES)).sum::<usize>();
        self.record_bytes = self.record_bytes.max(bytes / count);
    }

    /// How many bytes a record has, about, of those left here since the last call; 0 if that is not known.
    pub(crate) fn take_record_bytes(&mut self) -> usize {
        std::mem::take(&mut self.record_bytes)
    }

    /// How many records were left here since the last call.
    pub(crate) fn take_records(&mut self) -> usize {
        std::mem::take(&mut self.records)
    }
}

/// The outbox as the writer of one edge sees it.
pub(crate) struct EdgeOutput<'a, T> {
    edge: usize,
    held: &'a mut HeldRecords<T>,
    limit: usize,
    ready: &'a mut Vec<OutBatch>,
    records: &'a mut usize,
}

impl<T: Send + 'static> EdgeOutput<'_, T> {
    /// Leaves records of which each names its channel.
    #[inline]
    pub fn route(&mut self, records: impl ExactSizeIterator<Item = (usize, T)>) {
        *self.records += records.len();
        for (channel, record) in records {
            let open = &mut self.held.open[channel];
            open.push(record);
            if open.len() >= self.limit {
                self.held.close(self.edge, channel, self.ready);
            }
        }
    }

    /// Leaves records for one channel.
    #[inline]
    pub fn extend(&mut self, channel: usize, records: impl ExactSizeIterator<Item = T>) {
        let open = &mut self.held.open[channel];
        if open.len() + records.len() > self.limit {
            return self.route(records.map(|record| (channel, record)));
        }
        *self.records += records.len();
        open.extend(records);
        if open.len() >= self.limit {
            self.held.close(self.edge, channel, self.ready);
        }
    }

    /// Leaves a whole batch for one channel, and an empty one in its place. One that is half full goes as it is: to fill
    /// it up would cost more than it saves.
    pub fn append(&mut self, channel: usize, batch: &mut Vec<T>) {
        if 2 * batch.len() < self.limit {
            return self.extend(channel, batch.drain(..));
        }
        // What was left before goes before.
        if !self.held.open[channel].is_empty() {
            self.held.close(self.edge, channel, self.ready);
        }
        *self.records += batch.len();
        let empty = self.held.empty_batch(batch.len());
        let batch = AnyBatch::new(std::mem::replace(batch, empty));
        self.ready.push(OutBatch { edge: self.edge, channel, batch });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is ready: edge, channel, records.
    fn ready(outbox: &mut Outbox) -> Vec<(usize, usize, Vec<u32>)> {
        outbox.drain().map(|out| (out.edge, out.channel, out.batch.downcast())).collect()
    }

    #[test]
    fn records_wait_until_they_fill_a_batch() {
        let mut outbox = Outbox::new(3);
        outbox.edge(1, 2).route([(0, 1_u32), (1, 10), (0, 2)].into_iter());
        assert!(outbox.is_holding() && ready(&mut outbox).is_empty());
        outbox.edge(1, 2).route([(0, 3_u32), (0, 4)].into_iter());
        assert_eq!(ready(&mut outbox), [(1, 0, vec![1, 2, 3])]);
        outbox.flush();
        assert!(!outbox.is_holding());
        assert_eq!(ready(&mut outbox), [(1, 0, vec![4]), (1, 1, vec![10])]);
        assert_eq!((outbox.take_records(), outbox.take_records()), (5, 0));
    }

    #[test]
    fn some_records_tell_how_large_they_are() {
        let mut outbox = Outbox::new(3);
        outbox.sample::<String>(&[]);
        assert_eq!(outbox.take_record_bytes(), 0);
        let words = |n: usize, len: usize| vec!["a".repeat(len); n];
        outbox.sample(&words(1000, 298));
        outbox.sample(&words(1000, 98));
        assert_eq!((outbox.take_record_bytes(), outbox.take_record_bytes()), (300, 0));
        // Half of a batch is large.
        outbox.sample(&[words(500, 98), words(500, 498)].concat());
        assert!((290..310).contains(&outbox.take_record_bytes()));
    }

    #[test]
    fn memory_that_comes_back_is_used_again() {
        let mut outbox = Outbox::new(2);
        outbox.edge(0, 1).route([(0, 1_u32)].into_iter());
        outbox.recycle(0, AnyBatch::new(Vec::<u32>::with_capacity(1000)));
        outbox.edge(0, 1).route([(0, 2_u32), (0, 3), (0, 4)].into_iter());
        let batches: Vec<Vec<u32>> = outbox.drain().map(|out| out.batch.downcast()).collect();
        assert_eq!(batches, [[1, 2], [3, 4]]);
        assert!(batches[1].capacity() >= 1000);
    }

    #[test]
    fn memory_that_comes_back_is_bounded() {
        let mut outbox = Outbox::new(2);
        let _ = outbox.edge::<u32>(0, 1);
        (0..100).for_each(|_| outbox.recycle(0, AnyBatch::new(Vec::<u32>::with_capacity(9))));
        let held: &dyn Any = &**outbox.held[0].as_ref().unwrap();
        assert!(held.downcast_ref::<HeldRecords<u32>>().unwrap().spare.len() < 4);
    }

    #[test]
    #[should_panic(expected = "still holds records")]
    fn a_batch_does_not_come_back_with_records() {
        let mut outbox = Outbox::new(2);
        let _ = outbox.edge::<u32>(0, 1);
        outbox.recycle(0, AnyBatch::new(vec![1_u32]));
    }

    proptest! {
        /// However records come, each channel gets its own, once and in order, in batches within the limit in force.
        #[test]
        fn each_channel_gets_its_records_in_order(
            steps in proptest::collection::vec((0u8..5, 0usize..3, 1usize..9), 0..40),
        ) {
            let (mut outbox, mut next, mut got) = (Outbox::new(4), 0_u32, vec![Vec::new(); 3]);
            let mut expected = got.clone();
            for (kind, channel, n) in steps {
                let records: Vec<u32> = (next..next + n as u32).collect();
                next += n as u32;
                let limit = outbox.limit();
                match kind {
                    0 => outbox.edge(0, 3).route(records.iter().map(|r| (channel, *r))),
                    1 => outbox.edge(0, 3).extend(channel, records.iter().copied()),
                    // A batch is within the limit already.
                    2 => records.chunks(limit).for_each(|c| outbox.edge(0, 3).append(channel, &mut c.to_vec())),
                    _ => {
                        outbox.flush();
                        prop_assert!(!outbox.is_holding());
                    }
                }
                if kind < 3 {
                    expected[channel].extend(records);
                }
                for (_, channel, records) in ready(&mut outbox) {
                    prop_assert!((1..=limit).contains(&records.len()));
                    got[channel].extend(records);
                }
                if kind == 4 {
                    // All is sent: a smaller limit cannot find more than it allows.
                    outbox.set_limit(n);
                }
            }
            outbox.flush();
            ready(&mut outbox).into_iter().for_each(|(_, channel, records)| got[channel].extend(records));
            prop_assert_eq!(got, expected);
        }
    }
}
