//! Whether to write everything or only what has changed: by what it costs, now and at a restore.

use super::SnapshotPolicy;
use crate::{id::CheckpointId, state::StateSize};

/// A snapshot consists of at most so many files: each is read at a restore.
const MOST_FILES: u32 = 24;

/// What a task knows of the files of which its newest snapshot consists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotChain {
    /// The checkpoint of the newest freeze, whatever became of it: what has changed is known since then.
    newest: Option<CheckpointId>,
    files: u32,
    /// The entries and bytes of the file that holds everything.
    entries: u64,
    full_bytes: u64,
    /// The bytes of those that hold what has changed since.
    delta_bytes: u64,
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
            SnapshotPolicy::ByCost => {
                let bytes = u128::from(changed) * u128::from(self.full_bytes) / u128::from(self.entries.max(1));
                // A restore reads at most three times of what there is.
                changed * 2 < size.entries && u128::from(self.delta_bytes) + bytes <= 2 * u128::from(self.full_bytes)
            }
        };
        pays.then_some(base)
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

    /// The snapshot that was frozen last is encoded, in so many bytes.
    pub fn encoded(&mut self, size: StateSize, bytes: u64, builds_on: Option<CheckpointId>) {
        if builds_on.is_none() {
            let newest = self.newest;
            *self = Self { newest, files: 1, entries: size.entries, full_bytes: bytes, delta_bytes: 0 };
        } else {
            self.files += 1;
            self.delta_bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: StateSize = StateSize { entries: 1000, changed: Some(100) };

    fn id(n: u64) -> CheckpointId {
        CheckpointId(n)
    }

    /// A full snapshot of 10,000 bytes for checkpoint 1.
    fn chain() -> SnapshotChain {
        let mut chain = SnapshotChain::default();
        assert_eq!(chain.base_for(None, SIZE, SnapshotPolicy::ByCost), None);
        chain.frozen(id(1));
        chain.encoded(SIZE, 10_000, None);
        chain
    }

    #[test]
    fn changes_are_written_while_that_is_cheap() {
        let mut chain = chain();
        for n in 1..=20 {
            assert_eq!(chain.base_for(Some(id(n)), SIZE, SnapshotPolicy::ByCost), Some(id(n)), "{n}");
            chain.frozen(id(n + 1));
            chain.encoded(SIZE, 1000, Some(id(n)));
        }
        // One more, and a restore would read more than three times of what there is.
        assert_eq!(chain.base_for(Some(id(21)), SIZE, SnapshotPolicy::ByCost), None);
        assert_eq!(chain.base_for(Some(id(21)), SIZE, SnapshotPolicy::Incremental), Some(id(21)));
        for n in 21..u64::from(MOST_FILES) {
            chain.frozen(id(n + 1));
            chain.encoded(SIZE, 1, Some(id(n)));
        }
        let newest = Some(id(MOST_FILES.into()));
        assert_eq!(chain.base_for(newest, SIZE, SnapshotPolicy::Incremental), None);
    }

    #[test]
    fn much_or_unknown_change_is_written_in_full() {
        let base = |changed, policy| chain().base_for(Some(id(1)), StateSize { entries: 1000, changed }, policy);
        assert_eq!(base(Some(499), SnapshotPolicy::ByCost), Some(id(1)));
        assert_eq!(base(Some(500), SnapshotPolicy::ByCost), None);
        assert_eq!(base(Some(5000), SnapshotPolicy::Incremental), Some(id(1)));
        assert_eq!(base(None, SnapshotPolicy::Incremental), None);
        assert_eq!(base(Some(1), SnapshotPolicy::Full), None);
        let nothing = StateSize { entries: 0, changed: Some(0) };
        assert_eq!(chain().base_for(Some(id(1)), nothing, SnapshotPolicy::Incremental), None);
    }

    /// FLINK-6533: changes on top of what has not completed.
    #[test]
    fn nothing_builds_on_a_snapshot_that_is_not_the_newest_of_a_completed_checkpoint() {
        let mut chain = chain();
        chain.frozen(id(2));
        assert_eq!(chain.base_for(Some(id(1)), SIZE, SnapshotPolicy::Incremental), None);
        assert_eq!(chain.base_for(None, SIZE, SnapshotPolicy::Incremental), None);
    }
}
