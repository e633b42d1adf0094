//! What the sink must have seen at the end, by a plain loop over the records.

use std::collections::BTreeMap;

use super::contender::Setup;
use crate::{
    measured::Totals,
    support::{Work, key},
};

/// Sums that have been computed, by work, keys and records: a loop takes as long as a run.
#[derive(Default)]
pub struct Reference(BTreeMap<(Work, u64, u64), u64>);

impl Reference {
    /// Whether these are the totals of such a run.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&mut self, setup: &Setup, totals: Totals) -> Result<(), String> {
        if totals.records != setup.records {
            return Err(format!("the sink has {} records of {}", totals.records, setup.records));
        }
        // Which of several sources is ahead decides what W2 emits; W1 emits the same numbers in any order.
        if setup.cell.work == Work::KeyedSum && setup.cell.parallelism > 1 {
            return Ok(());
        }
        let expected = self.sum(setup);
        if totals.sum == expected {
            return Ok(());
        }
        Err(format!("the updates sum up to {}, and to {expected} in the reference", totals.sum))
    }

    /// The wrapping sum of all updates of one record after the other.
    fn sum(&mut self, setup: &Setup) -> u64 {
        let (work, keys, records) = (setup.cell.work, setup.cell.keys, setup.records);
        *self.0.entry((work, keys, records)).or_insert_with(|| {
            let mut values = vec![0_u64; usize::try_from(keys).expect("a table of all keys fits into memory")];
            (0..records).fold(0, |sum: u64, i| {
                let value = &mut values[key(i, keys) as usize];
                let summand = if work == Work::WordCount { 1 } else { i };
                *value = value.wrapping_add(summand);
                sum.wrapping_add(*value)
            })
        })
    }
}

/// A reference that accepts anything is none.
///
/// # Panics
/// If it accepts what is wrong.
pub fn assert_it_bites(reference: &mut Reference, setup: &Setup, right: Totals) {
    let wrong = [Totals { records: right.records - 1, ..right }, Totals { sum: right.sum ^ 1, ..right }];
    let sum_is_checked = setup.cell.work == Work::WordCount || setup.cell.parallelism == 1;
    for totals in &wrong[..if sum_is_checked { 2 } else { 1 }] {
        assert!(reference.check(setup, *totals).is_err(), "wrong totals are taken for right ones: {totals:?}");
    }
}
