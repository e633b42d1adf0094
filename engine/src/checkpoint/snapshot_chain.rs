//! Whether to write everything or only what has changed: by what it costs, now and at a restore.

use super::SnapshotPolicy;
use crate::{id::CheckpointId, state::StateSize};

/// A restore goes through at most so many changes for each entry.
const MOST_CHANGES: u64 = 3;

/// A snapshot consists of at most so many files: each is read at a restore.
const MOST_FILES: u32 = 24;

/// What a task knows of the files of which its newest snapshot consists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotChain {
    /// The checkpoint of the newest freeze, whatever became of it: what has changed is known since then.
    newest: Option<CheckpointId>,
    files: u32,
    /// The entries and bytes of the file that holds everything, and how many of these are values.
    entries: u64,
    full_bytes: u64,
    value_bytes: u64,
    /// The bytes of those that hold what has changed since, and how many changes that are.
    delta_bytes: u64,
    changes: u64,
}

impl SnapshotChain {
    /// The checkpoint on whose snapshot the next one shall build; `None` if it shall hold everything. `base` is the newest
    /// completed checkpoint of this attempt.
    #[must_use]
    pub fn base_for(
        &self,
        base: Option<CheckpointId>,
        size: StateSize,
        policy: SnapshotPolicy,
    ) -> Option<CheckpointId> {
        let base = base?;
        let changed = size.changed?;
        // A base that is not the newest snapshot would miss what changed between the two.
        if self.newest != Some(base) && !planted!(DeltaOnAbortedBase) {
            return None;
        }
        if size.entries + changed == 0 || self.files == 0 || self.files >= MOST_FILES {
            return None;
        }
        let pays = match policy {
            SnapshotPolicy::Full => false,
            SnapshotPolicy::Incremental => true,
            SnapshotPolicy::ByCost => self.is_cheap(size, changed),
        };
        pays.then_some(base)
    }

    /// Whether to write so many changes is much cheaper than to write everything, and a restore still not much more expensive.
    fn is_cheap(&self, StateSize { entries, keyed, .. }: StateSize, changed: u64) -> bool {
        let bytes = |n: u64, of: u64| u128::from(n) * u128::from(of) / u128::from(self.entries.max(1));
        let (keyed_bytes, value_bytes) =
            (bytes(keyed, self.full_bytes), bytes(changed.saturating_sub(keyed), self.value_bytes));
        // Changes lie scattered, and are not encoded as fast as everything is.
        let cost = 2 * keyed_bytes + value_bytes * 5 / 4;
        // A restore reads at most three times of what there is. A value alone costs it a small part of what it costs to find a key, but
        // costs something.
        let read = u128::from(self.delta_bytes) + keyed_bytes + value_bytes;
        cost < u128::from(self.full_bytes)
            && read <= 2 * u128::from(self.full_bytes)
            && self.changes.saturating_add(changed) <= entries.saturating_mul(MOST_CHANGES)
    }

    /// About how many bytes of entries a snapshot of everything would have now, to go by the last one that there was.
    #[must_use]
    pub fn full_bytes(&self, size: StateSize) -> u64 {
        let bytes = u128::from(self.full_bytes) * u128::from(size.entries) / u128::from(self.entries.max(1));
        if self.entries == size.entries { self.full_bytes } else { u64::try_from(bytes).unwrap_or(u64::MAX) }
    }

    /// A snapshot was frozen: all earlier changes are in it.
    pub fn frozen(&mut self, checkpoint: CheckpointId) {
        self.newest = Some(checkpoint);
    }

    /// The snapshot that was frozen last is encoded, in so many bytes. If it holds everything, so many of these are values.
    pub fn encoded(&mut self, size: StateSize, bytes: u64, value_bytes: u64, builds_on: Option<CheckpointId>) {
        if builds_on.is_none() {
            let (newest, entries) = (self.newest, size.entries);
            *self = Self { newest, files: 1, entries, full_bytes: bytes, value_bytes, delta_bytes: 0, changes: 0 };
        } else {
            self.files += 1;
            self.delta_bytes += bytes;
            self.changes += size.changed.unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a thousand entries a hundred have changed, and all of these are written with their keys.
    const SIZE: StateSize = StateSize { entries: 1000, changed: Some(100), keyed: 100 };

    fn id(n: u64) -> CheckpointId {
        CheckpointId(n)
    }

    /// A full snapshot of 10,000 bytes for checkpoint 1, of which so many are values.
    fn chain(value_bytes: u64) -> SnapshotChain {
        let mut chain = SnapshotChain::default();
        assert_eq!(chain.base_for(None, SIZE, SnapshotPolicy::ByCost), None);
        chain.frozen(id(1));
        chain.encoded(SIZE, 10_000, value_bytes, None);
        chain
    }

    #[test]
    fn changes_are_written_while_that_is_cheap() {
        let mut chain = chain(2000);
        for n in 1..=20 {
            assert_eq!(chain.base_for(Some(id(n)), SIZE, SnapshotPolicy::ByCost), Some(id(n)), "{n}");
            chain.frozen(id(n + 1));
            chain.encoded(SIZE, 1000, 0, Some(id(n)));
        }
        // One more, and a restore would read more than three times of what there is.
        assert_eq!(chain.base_for(Some(id(21)), SIZE, SnapshotPolicy::ByCost), None);
        assert_eq!(chain.base_for(Some(id(21)), SIZE, SnapshotPolicy::Incremental), Some(id(21)));
        for n in 21..u64::from(MOST_FILES) {
            chain.frozen(id(n + 1));
            chain.encoded(SIZE, 1, 0, Some(id(n)));
        }
        let newest = Some(id(MOST_FILES.into()));
        assert_eq!(chain.base_for(newest, SIZE, SnapshotPolicy::Incremental), None);
    }

    #[test]
    fn much_or_unknown_change_is_written_in_full() {
        let base = |changed: Option<u64>, policy| {
            let size = StateSize { entries: 1000, changed, keyed: changed.unwrap_or(0) };
            chain(2000).base_for(Some(id(1)), size, policy)
        };
        assert_eq!(base(Some(499), SnapshotPolicy::ByCost), Some(id(1)));
        assert_eq!(base(Some(500), SnapshotPolicy::ByCost), None);
        assert_eq!(base(Some(5000), SnapshotPolicy::Incremental), Some(id(1)));
        assert_eq!(base(None, SnapshotPolicy::Incremental), None);
        assert_eq!(base(Some(1), SnapshotPolicy::Full), None);
        let nothing = StateSize { entries: 0, changed: Some(0), keyed: 0 };
        assert_eq!(chain(2000).base_for(Some(id(1)), nothing, SnapshotPolicy::Incremental), None);
    }

    /// Where keys need not be written, it depends on how large values are.
    #[test]
    fn if_all_values_have_changed_these_are_written_unless_they_are_nearly_everything() {
        let all = StateSize { entries: 1000, changed: Some(1000), keyed: 0 };
        for (value_bytes, is_cheap) in [(2000, true), (7000, true), (8000, false), (10_000, false)] {
            let base = chain(value_bytes).base_for(Some(id(1)), all, SnapshotPolicy::ByCost);
            assert_eq!(base.is_some(), is_cheap, "{value_bytes} of 10,000 bytes are values");
        }
    }

    /// However few bytes they take.
    #[test]
    fn a_restore_does_not_go_through_any_number_of_changes() {
        let all = StateSize { entries: 1000, changed: Some(1000), keyed: 0 };
        let mut chain = chain(1000);
        for n in 1..=MOST_CHANGES {
            assert_eq!(chain.base_for(Some(id(n)), all, SnapshotPolicy::ByCost), Some(id(n)), "{n}");
            chain.frozen(id(n + 1));
            chain.encoded(all, 1000, 0, Some(id(n)));
        }
        assert_eq!(chain.base_for(Some(id(MOST_CHANGES + 1)), all, SnapshotPolicy::ByCost), None);
    }

    /// FLINK-6533: changes on top of what has not completed.
    #[test]
    fn nothing_builds_on_a_snapshot_that_is_not_the_newest_of_a_completed_checkpoint() {
        let mut chain = chain(2000);
        chain.frozen(id(2));
        assert_eq!(chain.base_for(Some(id(1)), SIZE, SnapshotPolicy::Incremental), None);
        assert_eq!(chain.base_for(None, SIZE, SnapshotPolicy::Incremental), None);
    }
}
