//! Which transactions of an exactly-once sink are in doubt, and when they may be committed.
//!
//! A transaction that was prepared for a checkpoint stays in doubt until that checkpoint, or a later one of the same
//! attempt, is known to have completed: each later checkpoint's snapshot holds it too. An abort decides nothing, because a
//! later checkpoint may still complete.

use std::collections::BTreeMap;

use super::CompletionNotification;
use crate::id::{AttemptId, CheckpointId};

/// The ledger of one sink subtask in one attempt.
#[derive(Clone, Debug)]
pub struct SinkTransactions<C> {
    attempt: AttemptId,
    in_doubt: BTreeMap<CheckpointId, Vec<C>>,
}

impl<C: Clone> SinkTransactions<C> {
    /// An empty ledger.
    #[must_use]
    pub fn new(attempt: AttemptId) -> Self {
        Self { attempt, in_doubt: BTreeMap::new() }
    }

    /// These transactions are closed and durable; they belong to the checkpoint.
    pub fn prepared(&mut self, id: CheckpointId, committables: Vec<C>) {
        assert!(self.in_doubt.last_key_value().is_none_or(|(last, _)| *last < id), "checkpoint {id} is prepared twice");
        // An empty part is remembered like any other: "nothing to commit" must not be a case of its own (RisingWave 26492).
        self.in_doubt.insert(id, committables);
    }

    /// What a snapshot has to hold: everything that is not known to be committed.
    #[must_use]
    pub fn in_doubt(&self) -> Vec<(CheckpointId, C)> {
        self.in_doubt.iter().flat_map(|(id, part)| part.iter().map(|c| (*id, c.clone()))).collect()
    }

    /// A checkpoint has completed: gives what is to be committed now. A notification implies all earlier ones, which may
    /// have been lost (FLINK-10377); one of another attempt says nothing about this attempt's transactions (I7).
    #[must_use]
    pub fn complete(&mut self, notification: CompletionNotification) -> Vec<C> {
        if notification.attempt != self.attempt {
            return Vec::new();
        }
        if planted!(OnlyNotifiedIsCommitted) {
            return self.in_doubt.remove(&notification.checkpoint).unwrap_or_default(); // FLINK-10377
        }
        let later = self.in_doubt.split_off(&notification.checkpoint.next());
        std::mem::replace(&mut self.in_doubt, later).into_values().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: AttemptId = AttemptId { term: 1, number: 2 };

    fn ledger() -> SinkTransactions<&'static str> {
        let mut ledger = SinkTransactions::new(OURS);
        ledger.prepared(CheckpointId(3), vec!["a", "b"]);
        ledger.prepared(CheckpointId(4), vec![]);
        ledger.prepared(CheckpointId(6), vec!["c"]);
        ledger
    }

    fn completed(checkpoint: u64, attempt: AttemptId) -> CompletionNotification {
        CompletionNotification { checkpoint: CheckpointId(checkpoint), attempt }
    }

    /// FLINK-10377: only the named checkpoint is committed.
    #[test]
    fn a_notification_implies_the_lost_ones_before_it() {
        let mut ledger = ledger();
        assert_eq!(ledger.complete(completed(5, OURS)), ["a", "b"]);
        assert_eq!(ledger.in_doubt(), [(CheckpointId(6), "c")]);
        assert_eq!(ledger.complete(completed(6, OURS)), ["c"]);
    }

    #[test]
    fn notifications_may_come_twice_and_out_of_order() {
        let mut ledger = ledger();
        assert_eq!(ledger.complete(completed(6, OURS)), ["a", "b", "c"]);
        assert_eq!(ledger.complete(completed(6, OURS)), [""; 0]);
        assert_eq!(ledger.complete(completed(3, OURS)), [""; 0]);
    }

    /// Invariant I7: what another attempt completed says nothing about what this one prepared.
    #[test]
    fn a_notification_of_another_attempt_commits_nothing() {
        let mut ledger = ledger();
        for other in
            [AttemptId { term: 1, number: 1 }, AttemptId { term: 1, number: 3 }, AttemptId { term: 2, number: 2 }]
        {
            assert_eq!(ledger.complete(completed(9, other)), [""; 0]);
        }
        assert_eq!(ledger.in_doubt().len(), 3);
    }
}
