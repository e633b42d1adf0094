//! Which keys belong together: the unit in which keyed state is stored, shipped and re-scaled.
//!
//! A key hashes to 64 bits once; the top bits name its key group; a contiguous range of groups belongs to each subtask.
//! Routing and state ask this one file, so that they cannot disagree (compare Bytewax 0.14: two functions, one mapping).

use serde::{Deserialize, Serialize};

/// How many key groups a job has unless told otherwise; also called its maximum parallelism (Flink's default).
pub const DEFAULT_MAX_PARALLELISM: u32 = 128;

/// The largest maximum parallelism that a job may ask for (Flink's bound).
pub const UPPER_BOUND_MAX_PARALLELISM: u32 = 1 << 15;

/// The 64-bit hash of a key, as `Key::key_hash` gives it. Stable for ever: it is part of the snapshot format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u64);

/// A group of keys that always move together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyGroup(pub u32);

impl KeyGroup {
    /// The group of a key: `hash * max_parallelism / 2^64`, that is, the top bits of the hash.
    #[inline]
    #[must_use]
    pub fn of(hash: KeyHash, max_parallelism: u32) -> Self {
        Self(((u128::from(hash.0) * u128::from(max_parallelism)) >> 64) as u32)
    }

    /// The subtask that owns this group at the given parallelism.
    #[inline]
    #[must_use]
    pub fn owner(self, parallelism: u32, max_parallelism: u32) -> u32 {
        (u64::from(self.0) * u64::from(parallelism) / u64::from(max_parallelism)) as u32
    }
}

/// A contiguous range of key groups, `start` inclusive, `end` exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyGroupRange {
    /// First group of the range.
    pub start: u32,
    /// One past the last group.
    pub end: u32,
}

impl KeyGroupRange {
    /// The groups that `KeyGroup::owner` gives to subtask `index`.
    #[must_use]
    pub fn of_subtask(index: u32, parallelism: u32, max_parallelism: u32) -> Self {
        // The smallest g with g * p / m >= index is ceil(index * m / p).
        let first = |i: u32| (u64::from(i) * u64::from(max_parallelism)).div_ceil(u64::from(parallelism)) as u32;
        if planted!(TwoMappings) {
            let width = max_parallelism / parallelism; // Bytewax 0.14
            return Self { start: index * width, end: (index + 1) * width };
        }
        Self { start: first(index), end: first(index + 1) }
    }

    /// Whether the group lies in the range.
    #[must_use]
    pub fn contains(self, group: KeyGroup) -> bool {
        (self.start..self.end).contains(&group.0)
    }

    /// Whether the two ranges share a group.
    #[must_use]
    pub fn intersects(self, other: Self) -> bool {
        self.start.max(other.start) < self.end.min(other.end)
    }

    /// How many groups the range holds.
    #[must_use]
    pub fn len(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Whether the range holds no group.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Bytewax 0.14: the router's function and the range's function must agree for every parallelism.
        #[test]
        fn owner_and_range_agree(max in 1u32..300, p_seed in 0u32..300, hash: u64) {
            let parallelism = 1 + p_seed % max;
            let group = KeyGroup::of(KeyHash(hash), max);
            prop_assert!(group.0 < max);
            let owner = group.owner(parallelism, max);
            for index in 0..parallelism {
                let range = KeyGroupRange::of_subtask(index, parallelism, max);
                prop_assert_eq!(range.contains(group), index == owner);
            }
        }

        #[test]
        fn ranges_tile_all_groups(max in 1u32..300, p_seed in 0u32..300) {
            let parallelism = 1 + p_seed % max;
            let mut next = 0;
            for index in 0..parallelism {
                let range = KeyGroupRange::of_subtask(index, parallelism, max);
                prop_assert_eq!(range.start, next);
                prop_assert!(!range.is_empty());
                next = range.end;
            }
            prop_assert_eq!(next, max);
        }
    }
}
