//! What the sink must have seen at the end, by a plain loop over the records.

use std::collections::BTreeMap;

use super::contender::Setup;
use crate::support::{Job, Totals, Work};

/// Totals that have been computed, by work, keys and records: a loop takes as long as a run.
#[derive(Default)]
pub struct Reference(BTreeMap<(Work, u64, u64), Totals>);

impl Reference {
    /// Whether these are the totals of such a run.
    ///
    /// # Errors
    /// What they are, and what they should be.
    pub fn check(&mut self, setup: &Setup, totals: Totals) -> Result<(), String> {
        let job = setup.job();
        let expected = *self.0.entry((job.work, job.keys, job.records)).or_insert_with(|| job.expected());
        if job.is_exact(totals, expected) { Ok(()) } else { Err(format!("{totals:?} instead of {expected:?}")) }
    }

    /// A reference that accepts anything is none.
    ///
    /// # Panics
    /// If it accepts what is wrong.
    pub fn assert_it_bites(&mut self, setup: &Setup, right: Totals) {
        let Job { work, parallelism, .. } = setup.job();
        let lost = Totals { records: right.records - 1, ..right };
        assert!(self.check(setup, lost).is_err(), "a lost record is not noticed: {lost:?}");
        // Two sources race, and which one is ahead decides what W2 emits; W1 emits the same numbers in any order.
        if work == Work::WordCount || parallelism == 1 {
            let wrong = Totals { sum: right.sum ^ 1, ..right };
            assert!(self.check(setup, wrong).is_err(), "a wrong sum is not noticed: {wrong:?}");
        }
    }
}
