//! Which checkpoints may be deleted.
//!
//! Only what is older than the newest completed checkpoint is ever deleted. So the newest completed one is always there,
//! and so is the highest directory, from which the next job manager learns which numbers are used (I8, FLINK-2354).

use std::collections::BTreeSet;

use crate::id::CheckpointId;

/// Keeps the newest completed checkpoints.
#[derive(Clone, Debug)]
pub struct Retention {
    keep: usize,
    completed: BTreeSet<CheckpointId>,
    /// Begun, and not known to have completed.
    others: BTreeSet<CheckpointId>,
    /// May be deleted, and are not known to be gone.
    obsolete: BTreeSet<CheckpointId>,
}

impl Retention {
    /// Keeps so many, at least one, of the completed ones that are there and those to come. What an earlier process has
    /// begun and not completed goes like one's own: otherwise a disk that fills up would never get room again.
    #[must_use]
    pub fn new(keep: u32, begun: &[CheckpointId], completed: &[CheckpointId]) -> Self {
        let completed: BTreeSet<_> = completed.iter().copied().collect();
        let others = begun.iter().copied().filter(|id| !completed.contains(id)).collect();
        Self { keep: keep.max(1) as usize, completed, others, obsolete: BTreeSet::new() }
    }

    /// A checkpoint was given up, or nobody knows whether it exists.
    pub fn not_completed(&mut self, id: CheckpointId) {
        self.others.insert(id);
    }

    /// Recovery has found these completed: one whose fate was not known is kept like any other from here on.
    pub fn found(&mut self, completed: &[CheckpointId]) {
        for id in completed {
            if self.others.remove(id) {
                self.completed.insert(*id);
            }
        }
    }

    /// A checkpoint has completed: gives those that may be deleted now, ascending.
    pub fn completed(&mut self, id: CheckpointId) -> Vec<CheckpointId> {
        self.completed.insert(id);
        let newest = *self.completed.last().expect("one was just inserted");
        let surplus = self.completed.len().saturating_sub(self.keep);
        let mut obsolete: BTreeSet<_> = self.completed.iter().copied().take(surplus).collect();
        let later = self.others.split_off(&newest);
        obsolete.extend(std::mem::replace(&mut self.others, later));
        self.completed.retain(|id| !obsolete.contains(id));
        self.obsolete.extend(&obsolete);
        obsolete.into_iter().collect()
    }

    /// The checkpoint was deleted, and will not come back.
    pub fn deleted(&mut self, id: CheckpointId) {
        self.obsolete.remove(&id);
    }

    /// The oldest of those that exist, or of which nobody knows whether they do.
    #[must_use]
    pub fn oldest(&self) -> Option<CheckpointId> {
        if planted!(FreedBeforeGone) {
            return self.completed.first().copied(); // FLINK-7268
        }
        let sets = [&self.completed, &self.others, &self.obsolete];
        sets.into_iter().filter_map(BTreeSet::first).min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> Vec<CheckpointId> {
        ids.iter().copied().map(CheckpointId).collect()
    }

    #[test]
    fn keeps_the_newest_and_drops_only_what_is_older() {
        let mut retention = Retention::new(2, &ids(&[2, 3, 4, 5]), &ids(&[3, 5]));
        retention.not_completed(CheckpointId(6));
        assert_eq!(retention.completed(CheckpointId(7)), ids(&[2, 3, 4, 6]));
        retention.not_completed(CheckpointId(9));
        assert_eq!(retention.completed(CheckpointId(8)), ids(&[5]), "9 is not older than the newest completed one");
        assert_eq!(retention.completed(CheckpointId(10)), ids(&[7, 9]));
    }

    #[test]
    fn what_recovery_finds_is_kept_like_the_rest() {
        let mut retention = Retention::new(2, &ids(&[3, 4]), &ids(&[3, 4]));
        retention.not_completed(CheckpointId(5));
        retention.not_completed(CheckpointId(6));
        retention.found(&ids(&[3, 4, 5]));
        assert_eq!(retention.completed(CheckpointId(7)), ids(&[3, 4, 6]), "5 and 7 are the newest that completed");
    }

    #[test]
    fn what_is_not_known_to_be_gone_may_be_there() {
        let mut retention = Retention::new(1, &ids(&[2]), &[]);
        assert_eq!(retention.oldest(), Some(CheckpointId(2)));
        assert_eq!(retention.completed(CheckpointId(3)), ids(&[2]));
        assert_eq!(retention.completed(CheckpointId(4)), ids(&[3]));
        retention.deleted(CheckpointId(3));
        assert_eq!(retention.oldest(), Some(CheckpointId(2)), "it could not be deleted yet");
        retention.deleted(CheckpointId(2));
        assert_eq!(retention.oldest(), Some(CheckpointId(4)));
    }

    #[test]
    fn one_is_always_kept() {
        let mut retention = Retention::new(0, &[], &[]);
        assert_eq!(retention.completed(CheckpointId(1)), []);
        assert_eq!(retention.completed(CheckpointId(2)), ids(&[1]));
    }
}
