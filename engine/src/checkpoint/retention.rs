//! Which checkpoints are obsolete, and which of these are not known to be gone.
//!
//! Only what is older than the newest completed checkpoint ever becomes obsolete, and it goes with the publication of the
//! next one: while that is in doubt, the newest completed one is there.

use std::collections::BTreeSet;

use crate::id::CheckpointId;

/// Keeps the newest completed checkpoints.
#[derive(Clone, Debug)]
pub struct Retention {
    keep: usize,
    completed: BTreeSet<CheckpointId>,
    /// Their publication has failed, or nobody knows whether it has: something of them may be there.
    in_doubt: BTreeSet<CheckpointId>,
    /// May be deleted, and are not known to be gone.
    obsolete: BTreeSet<CheckpointId>,
}

impl Retention {
    /// Keeps so many, at least one, of the completed ones that are there and those to come.
    #[must_use]
    pub fn new(keep: u32, completed: &[CheckpointId]) -> Self {
        Self {
            keep: keep.max(1) as usize,
            completed: completed.iter().copied().collect(),
            in_doubt: BTreeSet::new(),
            obsolete: BTreeSet::new(),
        }
    }

    /// The publication of a checkpoint has failed, or nobody knows whether it has.
    pub fn in_doubt(&mut self, id: CheckpointId) {
        self.in_doubt.insert(id);
    }

    /// Recovery has found these completed: one whose fate was not known is kept like any other from here on.
    pub fn found(&mut self, completed: &[CheckpointId]) {
        for id in completed {
            if self.in_doubt.remove(id) {
                self.completed.insert(*id);
            }
        }
    }

    /// A checkpoint has completed, which makes older ones obsolete.
    pub fn completed(&mut self, id: CheckpointId) {
        self.completed.insert(id);
        let newest = *self.completed.last().expect("one was just inserted");
        let surplus = self.completed.len().saturating_sub(self.keep);
        self.obsolete.extend(self.completed.iter().take(surplus));
        self.completed.retain(|id| !self.obsolete.contains(id));
        let later = self.in_doubt.split_off(&newest);
        self.obsolete.extend(std::mem::replace(&mut self.in_doubt, later));
    }

    /// Those that may be deleted and are not known to be gone, ascending.
    pub fn obsolete(&self) -> impl Iterator<Item = CheckpointId> {
        self.obsolete.iter().copied()
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
        let sets = [&self.completed, &self.in_doubt, &self.obsolete];
        sets.into_iter().filter_map(BTreeSet::first).min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> Vec<CheckpointId> {
        ids.iter().copied().map(CheckpointId).collect()
    }

    fn obsolete(retention: &mut Retention, completed: u64) -> Vec<CheckpointId> {
        retention.completed(CheckpointId(completed));
        retention.obsolete().collect()
    }

    #[test]
    fn keeps_the_newest_and_drops_only_what_is_older() {
        let mut retention = Retention::new(2, &ids(&[2, 3, 5]));
        retention.in_doubt(CheckpointId(6));
        assert_eq!(retention.obsolete().count(), 0, "nothing goes before a newer one is there");
        assert_eq!(obsolete(&mut retention, 7), ids(&[2, 3, 6]));
        retention.in_doubt(CheckpointId(9));
        assert_eq!(obsolete(&mut retention, 8), ids(&[2, 3, 5, 6]), "9 is not older than the newest completed one");
        [2, 3, 6].into_iter().for_each(|id| retention.deleted(CheckpointId(id)));
        assert_eq!(obsolete(&mut retention, 10), ids(&[5, 7, 9]));
    }

    #[test]
    fn what_recovery_finds_is_kept_like_the_rest() {
        let mut retention = Retention::new(2, &ids(&[3, 4]));
        retention.in_doubt(CheckpointId(5));
        retention.in_doubt(CheckpointId(6));
        retention.found(&ids(&[3, 4, 5]));
        assert_eq!(obsolete(&mut retention, 7), ids(&[3, 4, 6]), "5 and 7 are the newest that completed");
    }

    #[test]
    fn what_is_not_known_to_be_gone_may_be_there() {
        let mut retention = Retention::new(1, &ids(&[2]));
        assert_eq!(retention.oldest(), Some(CheckpointId(2)));
        assert_eq!(obsolete(&mut retention, 3), ids(&[2]));
        assert_eq!(obsolete(&mut retention, 4), ids(&[2, 3]));
        retention.deleted(CheckpointId(3));
        assert_eq!(retention.oldest(), Some(CheckpointId(2)), "it could not be deleted yet");
        retention.deleted(CheckpointId(2));
        assert_eq!(retention.oldest(), Some(CheckpointId(4)));
    }

    #[test]
    fn one_is_always_kept() {
        let mut retention = Retention::new(0, &[]);
        assert_eq!(obsolete(&mut retention, 1), []);
        assert_eq!(obsolete(&mut retention, 2), ids(&[1]));
    }
}
