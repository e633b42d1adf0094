//! Whether to write everything or only what has changed, and since when: by what it costs, now and at a restore.
//!
//! ```text
//!   full ─► incremental ─► incremental ─► differential ─► incremental …      a snapshot consists of
//!   F       F I            F I I          F D             F D I              so many files
//! ```

use super::SnapshotPolicy;
use crate::{
    id::CheckpointId,
    state::{DeltaSize, SnapshotScope, StateSize},
};

/// A restore goes through at most so many changes for each entry, beside those of a differential snapshot, which lie in order.
const MOST_CHANGES: u64 = 3;

/// A snapshot consists of at most so many files: each is read at a restore.
const MOST_FILES: u32 = 24;

/// What a task knows of the files of which its newest snapshot consists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotChain {
    /// The checkpoint of the newest freeze, whatever became of it: what has changed is known since then.
    newest: Option<CheckpointId>,
    /// For which checkpoint the file was written that holds all of every keyed state; `None` if there is no such file.
    full: Option<CheckpointId>,
    files: u32,
    /// The entries and bytes of the file that holds everything, and how many of these are values.
    entries: u64,
    full_bytes: u64,
    value_bytes: u64,
    /// The bytes of the others, and how many changes there are in those of them that are incremental.
    delta_bytes: u64,
    changes: u64,
    /// How many keys were written since then of entries that were there before.
    again: u64,
}

/// What the next snapshot shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPlan {
    /// What it holds.
    pub scope: SnapshotScope,
    /// Together with which snapshot it is of use; `None` if it holds everything.
    pub builds_on: Option<CheckpointId>,
}

impl SnapshotPlan {
    /// It holds everything.
    pub const FULL: Self = Self { scope: SnapshotScope::Full, builds_on: None };
}

impl SnapshotChain {
    /// What the next snapshot shall be. `base` is the newest completed checkpoint of this attempt, if its snapshot rests in files.
    #[must_use]
    pub fn plan(&self, base: Option<CheckpointId>, size: StateSize, policy: SnapshotPolicy) -> SnapshotPlan {
        // Any other base would miss what changed since.
        let base = base.filter(|base| self.newest == Some(*base) || planted!(DeltaOnAbortedBase));
        let changes = size.incremental.map_or(0, |delta| delta.changes);
        if base.is_none() || self.files == 0 || size.entries + changes == 0 || policy == SnapshotPolicy::Full {
            return SnapshotPlan::FULL;
        }
        let by_cost = policy == SnapshotPolicy::ByCost;
        let pays = |delta: &DeltaSize| !by_cost || self.pays(*delta);
        let fits = |delta: &DeltaSize| self.files < MOST_FILES && !(by_cost && self.is_long_with(*delta, size.entries));
        let incremental = size.incremental.filter(pays).filter(fits);
        // At the end of a chain of small ones, a full snapshot is dearer, but then no key is written again, and with nothing but values
        // no table needs to be searched for what has changed.
        let is_enough = self.full.is_some() && (incremental.is_some() || self.again == 0);
        let differential = size.differential.filter(pays).filter(|_| is_enough);
        // If both cost the same, that with which a restore has less to read.
        let plans =
            [(SnapshotScope::Differential, differential, self.full), (SnapshotScope::Incremental, incremental, base)];
        let plans = plans
            .into_iter()
            .filter_map(|(scope, delta, builds_on)| Some((self.cost(delta?), SnapshotPlan { scope, builds_on })));
        plans.min_by_key(|(cost, _)| *cost).map_or(SnapshotPlan::FULL, |(_, plan)| plan)
    }

    /// Whether it costs less than to write everything, and what the latter would spare is not written for so long already that it
    /// might as well have been written in full.
    fn pays(&self, delta: DeltaSize) -> bool {
        self.cost(delta) < u128::from(self.full_bytes)
            && self.again.saturating_add(delta.again).saturating_mul(2) < self.entries
    }

    /// How many bytes it takes, about: keys with their values, and values alone.
    fn bytes(&self, DeltaSize { changes, keyed, .. }: DeltaSize) -> (u128, u128) {
        let bytes = |n: u64, of: u64| u128::from(n) * u128::from(of) / u128::from(self.entries.max(1));
        (bytes(keyed, self.full_bytes), bytes(changes.saturating_sub(keyed), self.value_bytes))
    }

    /// What it costs to write it, in bytes of a full snapshot.
    fn cost(&self, delta: DeltaSize) -> u128 {
        let (keyed, values) = self.bytes(delta);
        // Changes lie scattered, and are not encoded as fast as everything is.
        2 * keyed + values * 5 / 4
    }

    /// Whether a restore that has to read it, after what is there already, would read more than three times of what there is. A value
    /// alone costs it a small part of what it costs to find a key, but costs something.
    fn is_long_with(&self, delta: DeltaSize, entries: u64) -> bool {
        let (keyed, values) = self.bytes(delta);
        u128::from(self.delta_bytes) + keyed + values > 2 * u128::from(self.full_bytes)
            || self.changes.saturating_add(delta.changes) > entries.saturating_mul(MOST_CHANGES)
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
    /// `is_mixed`: it does not, but all of one of several states.
    pub fn encoded(&mut self, size: StateSize, bytes: u64, value_bytes: u64, scope: SnapshotScope, is_mixed: bool) {
        match scope {
            SnapshotScope::Full => {
                let (newest, full, entries) = (self.newest, self.newest, size.entries);
                *self = Self { newest, full, files: 1, entries, full_bytes: bytes, value_bytes, ..Self::default() };
            }
            SnapshotScope::Differential => {
                (self.files, self.delta_bytes, self.changes) = (2, bytes, 0);
                self.again += size.differential.unwrap_or_default().again;
            }
            SnapshotScope::Incremental => {
                let DeltaSize { changes, again, .. } = size.incremental.unwrap_or_default();
                self.files += 1;
                self.delta_bytes += bytes;
                self.changes += changes;
                self.again += again;
            }
        }
        self.full = self.full.filter(|_| !is_mixed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a thousand entries a hundred have changed, and all of these are written with their keys.
    const SIZE: StateSize = changed(100, 100);

    /// So many of a thousand entries have changed, so many of these are new.
    const fn changed(changes: u64, keyed: u64) -> StateSize {
        let incremental = DeltaSize { changes, keyed, again: 0 };
        StateSize { entries: 1000, incremental: Some(incremental), differential: None }
    }

    /// Likewise, and so many are not in the newest full snapshot.
    fn differing(changes: u64, keyed: u64, all_keyed: u64) -> StateSize {
        let differential = Some(DeltaSize { changes: 1000, keyed: all_keyed, again: all_keyed.saturating_sub(keyed) });
        StateSize { differential, ..changed(changes, keyed) }
    }

    fn id(n: u64) -> CheckpointId {
        CheckpointId(n)
    }

    fn incremental(on: u64) -> SnapshotPlan {
        SnapshotPlan { scope: SnapshotScope::Incremental, builds_on: Some(id(on)) }
    }

    fn differential(on: u64) -> SnapshotPlan {
        SnapshotPlan { scope: SnapshotScope::Differential, builds_on: Some(id(on)) }
    }

    /// A full snapshot of 10,000 bytes for checkpoint 1, of which so many are values.
    fn chain(value_bytes: u64) -> SnapshotChain {
        let mut chain = SnapshotChain::default();
        assert_eq!(chain.plan(None, SIZE, SnapshotPolicy::ByCost), SnapshotPlan::FULL);
        chain.frozen(id(1));
        chain.encoded(SIZE, 10_000, value_bytes, SnapshotScope::Full, false);
        chain
    }

    impl SnapshotChain {
        /// What is planned after checkpoint `n`, which has completed.
        fn after(&self, n: u64, size: StateSize) -> SnapshotPlan {
            self.plan(Some(id(n)), size, SnapshotPolicy::ByCost)
        }

        fn add(&mut self, n: u64, size: StateSize, bytes: u64, scope: SnapshotScope) {
            self.frozen(id(n));
            self.encoded(size, bytes, 0, scope, false);
        }
    }

    #[test]
    fn changes_are_written_while_that_is_cheap() {
        let mut chain = chain(2000);
        for n in 1..=20 {
            assert_eq!(chain.after(n, SIZE), incremental(n));
            chain.add(n + 1, SIZE, 1000, SnapshotScope::Incremental);
        }
        // One more, and a restore would read more than three times of what there is.
        assert_eq!(chain.after(21, SIZE), SnapshotPlan::FULL);
        assert_eq!(chain.plan(Some(id(21)), SIZE, SnapshotPolicy::Incremental), incremental(21));
        for n in 21..u64::from(MOST_FILES) {
            chain.add(n + 1, SIZE, 1, SnapshotScope::Incremental);
        }
        let newest = Some(id(MOST_FILES.into()));
        assert_eq!(chain.plan(newest, SIZE, SnapshotPolicy::Incremental), SnapshotPlan::FULL);
    }

    #[test]
    fn much_or_unknown_change_is_written_in_full() {
        let plan = |size, policy| chain(2000).plan(Some(id(1)), size, policy);
        assert_eq!(plan(changed(499, 499), SnapshotPolicy::ByCost), incremental(1));
        assert_eq!(plan(changed(500, 500), SnapshotPolicy::ByCost), SnapshotPlan::FULL);
        assert_eq!(plan(changed(5000, 5000), SnapshotPolicy::Incremental), incremental(1));
        assert_eq!(plan(changed(1, 1), SnapshotPolicy::Full), SnapshotPlan::FULL);
        let unknown = StateSize { incremental: None, ..SIZE };
        assert_eq!(plan(unknown, SnapshotPolicy::Incremental), SnapshotPlan::FULL);
        let nothing = StateSize { entries: 0, ..differing(0, 0, 0) };
        assert_eq!(plan(nothing, SnapshotPolicy::Incremental), SnapshotPlan::FULL);
    }

    /// Where keys need not be written, it depends on how large values are.
    #[test]
    fn if_all_values_have_changed_these_are_written_unless_they_are_nearly_everything() {
        let all = changed(1000, 0);
        for (value_bytes, is_cheap) in [(2000, true), (7000, true), (8000, false), (10_000, false)] {
            let plan = chain(value_bytes).after(1, all);
            assert_eq!(plan != SnapshotPlan::FULL, is_cheap, "{value_bytes} of 10,000 bytes are values");
        }
    }

    /// However few bytes they take.
    #[test]
    fn a_restore_does_not_go_through_any_number_of_changes() {
        let all = changed(1000, 0);
        let mut chain = chain(1000);
        for n in 1..=MOST_CHANGES {
            assert_eq!(chain.after(n, all), incremental(n));
            chain.add(n + 1, all, 1000, SnapshotScope::Incremental);
        }
        assert_eq!(chain.after(MOST_CHANGES + 1, all), SnapshotPlan::FULL);
    }

    /// FLINK-6533: changes on top of what has not completed.
    #[test]
    fn nothing_builds_on_a_snapshot_that_is_not_the_newest_of_a_completed_checkpoint() {
        let mut chain = chain(2000);
        chain.frozen(id(2));
        for size in [SIZE, differing(1000, 0, 0)] {
            assert_eq!(chain.plan(Some(id(1)), size, SnapshotPolicy::Incremental), SnapshotPlan::FULL);
            assert_eq!(chain.plan(None, size, SnapshotPolicy::Incremental), SnapshotPlan::FULL);
        }
    }

    #[test]
    fn differences_are_written_where_they_cost_no_more_and_need_no_full_snapshot_again() {
        let mut chain = chain(1000);
        for n in 1..=100 {
            assert_eq!(chain.after(n, differing(1000, 0, 0)), differential(1));
            chain.add(n + 1, differing(1000, 0, 0), 1000, SnapshotScope::Differential);
        }
        // Few changes, which come on top of the newest.
        assert_eq!(chain.after(101, differing(100, 0, 0)), incremental(101));
        // New keys that have not changed since would be written again.
        assert_eq!(chain.after(101, differing(1000, 10, 20)), incremental(101));
        // So many that everything costs less.
        assert_eq!(chain.after(101, differing(900, 900, 500)), SnapshotPlan::FULL);
    }

    /// Until a full snapshot is due that costs no more than what it spares.
    #[test]
    fn keys_are_not_written_again_for_ever() {
        for (again, most) in [(0, 1000), (1, 499), (50, 9), (300, 1), (500, 0)] {
            let mut chain = chain(1000);
            let delta = Some(DeltaSize { changes: 1000, keyed: again, again });
            let size = StateSize { entries: 1000, incremental: delta, differential: delta };
            let mut n = 1;
            while n <= 1000 && chain.after(n, size) == differential(1) {
                chain.add(n + 1, size, 1000, SnapshotScope::Differential);
                n += 1;
            }
            assert_eq!(n - 1, most, "{again} of a thousand");
        }
    }

    #[test]
    fn a_chain_that_has_become_long_goes_on_from_a_difference() {
        let mut chain = chain(1000);
        let few = differing(100, 0, 0);
        let mut n = 1;
        while chain.after(n, few) == incremental(n) {
            chain.add(n + 1, few, 100, SnapshotScope::Incremental);
            n += 1;
        }
        assert_eq!((n, chain.after(n, few)), (u64::from(MOST_FILES), differential(1)));
        let mut with_again = chain.clone();
        chain.add(n + 1, few, 1000, SnapshotScope::Differential);
        assert_eq!(chain.after(n + 1, few), incremental(n + 1));
        // Unless there are entries that have to be looked for, for want of a full snapshot that has them.
        with_again.again = 1;
        assert_eq!(with_again.after(n, few), SnapshotPlan::FULL);
    }

    /// There must be one file that holds all of every state.
    #[test]
    fn nothing_builds_on_a_full_snapshot_of_only_some_states() {
        let mut chain = chain(1000);
        chain.frozen(id(2));
        chain.encoded(SIZE, 1000, 0, SnapshotScope::Incremental, true);
        assert_eq!(chain.after(2, differing(1000, 0, 0)), incremental(2));
        chain.add(3, SIZE, 10_000, SnapshotScope::Full);
        assert_eq!(chain.after(3, differing(1000, 0, 0)), differential(3));
    }
}
