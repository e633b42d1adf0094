//! Which checkpoints are kept.
//!
//! Only what is older than the newest completed checkpoint ever goes, and it goes with the publication of the next one, in the
//! same instant: while that is in doubt, the newest completed one is there.

use std::collections::BTreeSet;

use crate::id::CheckpointId;

/// Keeps the newest completed checkpoints.
#[derive(Clone, Debug)]
pub struct Retention {
    keep: usize,
    completed: BTreeSet<CheckpointId>,
    /// Their publication has failed, or nobody knows whether it has: they may be there.
    in_doubt: BTreeSet<CheckpointId>,
}

impl Retention {
    /// Keeps so many, at least one, of the completed ones that are there and those to come.
    #[must_use]
    pub fn new(keep: u32, completed: &[CheckpointId]) -> Self {
        Self { keep: keep.max(1) as usize, completed: completed.iter().copied().collect(), in_doubt: BTreeSet::new() }
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

    /// The oldest that is kept once this one, newer than all, has completed.
    #[must_use]
    pub fn oldest_with(&self, id: CheckpointId) -> CheckpointId {
        self.completed.iter().rev().take(self.keep - 1).next_back().copied().unwrap_or(id)
    }

    /// Those that are not kept any more once this one has completed, ascending.
    #[must_use]
    pub fn obsolete_with(&self, id: CheckpointId) -> Vec<CheckpointId> {
        let oldest = self.oldest_with(id);
        self.completed.union(&self.in_doubt).copied().filter(|id| *id < oldest).collect()
    }

    /// The checkpoint has completed, and what it has made obsolete is gone.
    pub fn completed(&mut self, id: CheckpointId) {
        let oldest = self.oldest_with(id);
        self.completed.insert(id);
        self.completed.retain(|id| *id >= oldest);
        self.in_doubt.retain(|id| *id >= oldest);
    }

    /// The oldest of those that exist, or of which nobody knows whether they do.
    #[must_use]
    pub fn oldest(&self) -> Option<CheckpointId> {
        if planted!(FreedBeforeGone) {
            let goes = usize::from(self.completed.len() >= self.keep);
            return self.completed.iter().nth(goes).copied(); // FLINK-7268
        }
        [&self.completed, &self.in_doubt].into_iter().filter_map(BTreeSet::first).min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> Vec<CheckpointId> {
        ids.iter().copied().map(CheckpointId).collect()
    }

    /// What goes when it completes.
    fn completed(retention: &mut Retention, id: u64) -> Vec<CheckpointId> {
        let obsolete = retention.obsolete_with(CheckpointId(id));
        retention.completed(CheckpointId(id));
        assert!(obsolete.iter().all(|gone| Some(*gone) < retention.oldest()));
        obsolete
    }

    #[test]
    fn keeps_the_newest_and_drops_only_what_is_older() {
        let mut retention = Retention::new(2, &ids(&[2, 3, 5]));
        assert_eq!(retention.oldest(), Some(CheckpointId(2)), "nothing goes before a newer one is there");
        retention.in_doubt(CheckpointId(6));
        assert_eq!(completed(&mut retention, 7), ids(&[2, 3]));
        assert_eq!(retention.oldest(), Some(CheckpointId(5)));
        assert_eq!(completed(&mut retention, 8), ids(&[5, 6]));
        retention.in_doubt(CheckpointId(9));
        assert_eq!(completed(&mut retention, 10), ids(&[7]), "9 may be there, and is not older than 8");
    }

    #[test]
    fn what_recovery_finds_is_kept_like_the_rest() {
        let mut retention = Retention::new(2, &ids(&[3, 4]));
        retention.in_doubt(CheckpointId(5));
        retention.in_doubt(CheckpointId(6));
        retention.found(&ids(&[3, 4, 5]));
        assert_eq!(completed(&mut retention, 7), ids(&[3, 4]), "5 and 7 are the newest that completed");
    }

    #[test]
    fn what_may_be_there_is_not_forgotten() {
        let mut retention = Retention::new(1, &ids(&[2]));
        retention.in_doubt(CheckpointId(3));
        assert_eq!(retention.oldest(), Some(CheckpointId(2)));
        assert_eq!(completed(&mut retention, 4), ids(&[2, 3]));
        assert_eq!(retention.oldest(), Some(CheckpointId(4)));
    }

    #[test]
    fn one_is_always_kept() {
        let mut retention = Retention::new(0, &[]);
        assert_eq!(completed(&mut retention, 1), []);
        assert_eq!(completed(&mut retention, 2), ids(&[1]));
    }
}
