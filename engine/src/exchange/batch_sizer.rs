//! How many records make a batch.
//!
//! Large batches cost least for each record; but a barrier waits for the batch at work and for those that are queued before
//! it, and all of them are in memory. So a batch shall take no longer than a given time: a thousand small records do not,
//! while of records that take a millisecond each, or that wait so long for their consumer, a few make a batch.

use std::time::Duration;

/// Chooses the size of the next batch by the time that the ones before took.
#[derive(Clone, Debug)]
pub struct BatchSizer {
    max: usize,
    target: Duration,
    size: usize,
    /// Records and time of the past, in which a batch weighs seven eighths of the one after it: one that was interrupted
    /// for long does not count for more than it should.
    records: u64,
    nanos: u64,
}

impl BatchSizer {
    /// For batches of up to `max` records that take about `target` at most. Begins with one record, because nobody knows
    /// how large they are, and at most doubles from batch to batch.
    #[must_use]
    pub fn new(max: usize, target: Duration) -> Self {
        Self { max: max.max(1), target, size: 1, records: 0, nanos: 0 }
    }

    /// How many records the next batch should have at most; from 1 to the maximum.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
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
