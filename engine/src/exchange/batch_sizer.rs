//! How many records make a batch.
//!
//! Large batches cost least for each record; but a barrier waits for the batch at work and for those that are queued before
//! it, and all of them are in memory. So a batch shall take no longer than a given time: a thousand small records do not,
//! while of records that take a millisecond each, or that wait so long for their consumer, a few make a batch.
//!
//! Large records need not be slow. So a batch shall also have no more than [`BATCH_BYTES`], as far as samples tell how large
//! its records are. They tell it of batches that are made already: when records grow tenfold, one batch has ten times as much.

use std::time::Duration;

use crate::stream::BATCH_BYTES;

/// Chooses the size of the next batch by the time and the memory that the ones before took.
#[derive(Clone, Debug)]
pub struct BatchSizer {
    max: usize,
    target: Duration,
    size: usize,
    /// Records and time of the past, in which a batch weighs seven eighths of the one after it: one that was interrupted
    /// for long does not count for more than it should.
    records: u64,
    nanos: u64,
    /// Of a record. What was large is forgotten slowly, what is large counts at once.
    record_bytes: usize,
}

impl BatchSizer {
    /// For batches of up to `max` records that take about `target` at most. Begins with one record, because nobody knows
    /// how large they are, and at most doubles from batch to batch.
    #[must_use]
    pub fn new(max: usize, target: Duration) -> Self {
        Self { max: max.max(1), target, size: 1, records: 0, nanos: 0, record_bytes: 0 }
    }

    /// How many records the next batch should have at most; from 1 to the maximum.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size.min(self.most())
    }

    /// How many records a batch may have for the memory that they take, however fast they are.
    #[must_use]
    pub fn most(&self) -> usize {
        (BATCH_BYTES / self.record_bytes.max(1)).max(1)
    }

    /// Some records of a batch had so many bytes each; 0 says nothing.
    pub fn sampled(&mut self, record_bytes: usize) {
        if record_bytes == 0 {
            return;
        }
        self.record_bytes = record_bytes.max(self.record_bytes - self.record_bytes.div_ceil(8));
    }

    /// A batch of so many records took so long. One without records says nothing.
    pub fn observe(&mut self, records: usize, took: Duration) {
        if records == 0 {
            return;
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.records = (self.records - self.records / 8).saturating_add(records as u64);
        self.nanos = (self.nanos - self.nanos / 8).saturating_add(nanos);
        let in_time = self.target.as_nanos() * u128::from(self.records) / u128::from(self.nanos.max(1));
        let in_time = usize::try_from(in_time).unwrap_or(usize::MAX);
        self.size = in_time.min(self.size.saturating_mul(2)).clamp(1, self.max);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TARGET: Duration = Duration::from_millis(2);

    /// The sizes of batches of records that take so long each.
    fn sizes(sizer: &mut BatchSizer, per_record: Duration, batches: usize) -> Vec<usize> {
        let mut next = || {
            let size = sizer.size();
            sizer.observe(size, per_record * size as u32);
            size
        };
        (0..batches).map(|_| next()).collect()
    }

    #[test]
    fn small_records_soon_fill_the_largest_batches() {
        let mut sizer = BatchSizer::new(1000, TARGET);
        let sizes = sizes(&mut sizer, Duration::from_nanos(50), 12);
        assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000]);
    }

    #[test]
    fn slow_records_are_sent_one_by_one() {
        let mut sizer = BatchSizer::new(1000, TARGET);
        assert_eq!(sizes(&mut sizer, Duration::from_millis(3), 5), [1; 5]);
    }

    #[test]
    fn a_batch_takes_about_the_time_that_it_may() {
        let mut sizer = BatchSizer::new(1000, TARGET);
        assert_eq!(sizes(&mut sizer, Duration::from_micros(20), 20)[19], 100);
    }

    #[test]
    fn records_that_become_slow_shrink_the_batches_at_once() {
        let mut sizer = BatchSizer::new(1000, TARGET);
        sizes(&mut sizer, Duration::from_nanos(50), 30);
        sizes(&mut sizer, Duration::from_millis(1), 1);
        assert!(sizer.size() < 30, "{}", sizer.size());
        assert!(*sizes(&mut sizer, Duration::from_millis(1), 40).last().unwrap() <= 3);
        // And back.
        assert_eq!(*sizes(&mut sizer, Duration::from_nanos(50), 100).last().unwrap(), 1000);
    }

    /// A task may lose its core for a while; that is no property of its records.
    #[test]
    fn one_interruption_of_fast_batches_changes_nothing() {
        let mut sizer = BatchSizer::new(1000, TARGET);
        sizes(&mut sizer, Duration::from_nanos(50), 100);
        sizer.observe(1000, Duration::from_millis(10));
        assert_eq!(sizer.size(), 1000);
    }

    #[test]
    fn large_records_make_small_batches_at_once_and_larger_ones_again_in_time() {
        let mut sizer = BatchSizer::new(1000, TARGET);
        sizes(&mut sizer, Duration::ZERO, 30);
        sizer.sampled(100);
        assert_eq!((sizer.size(), sizer.most()), (1000, BATCH_BYTES / 100));
        for (bytes, size) in [(10 << 10, 102), (100 << 10, 10), (BATCH_BYTES, 1), (usize::MAX, 1)] {
            sizer.sampled(bytes);
            assert_eq!(sizer.size(), size, "{bytes} bytes a record");
        }
        let mut sizer = BatchSizer::new(1000, TARGET);
        sizes(&mut sizer, Duration::ZERO, 30);
        sizer.sampled(100 << 10);
        let again: Vec<_> = (0..60)
            .map(|_| {
                sizer.sampled(24);
                sizer.size()
            })
            .collect();
        assert!(again[0] < 20 && again.is_sorted() && again[59] == 1000, "{again:?}");
    }

    proptest! {
        #[test]
        fn sizes_stay_within_their_bounds(max in 0usize..50, target: u64, observed: Vec<(usize, u64)>) {
            let mut sizer = BatchSizer::new(max, Duration::from_nanos(target));
            for (records, nanos) in observed {
                sizer.observe(records, Duration::from_nanos(nanos));
                prop_assert!((1..=max.max(1)).contains(&sizer.size()));
            }
        }
    }
}
