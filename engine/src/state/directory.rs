//! Which segment of a table a key belongs in.

use crate::key_group::{KeyGroupRange, KeyHash};

/// Says for each key group of a subtask, and for the hashes in it by the bits that follow, which segment they belong in.
pub(super) struct Directory {
    /// There are `1 << depth` slots for each key group.
    depth: u32,
    /// So many slots would all key groups of the job have, and so many those before the first that is here.
    scale: u64,
    before: u64,
    /// The segment of each slot.
    slots: Vec<u32>,
}

impl Directory {
    /// One with `1 << depth` slots for each of these key groups of `max_parallelism`, and a segment of its own for each slot.
    pub fn new(max_parallelism: u32, owned: KeyGroupRange, depth: u32) -> Self {
        let (scale, before) = (u64::from(max_parallelism) << depth, u64::from(owned.start) << depth);
        Self { depth, scale, before, slots: (0..owned.len() << depth).collect() }
    }

    /// By how many bits below the key group it tells hashes apart.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// The segment of each slot. The slots are in the order of hashes, so that a segment's are next to one another.
    pub fn slots(&self) -> &[u32] {
        &self.slots
    }

    /// How many slots, one after the other, are those of a segment of this depth.
    pub fn slots_of_depth(&self, depth: u32) -> usize {
        1 << (self.depth - depth)
    }

    /// The segment in which a key of this hash belongs. Panics if its key group is not here.
    #[inline]
    pub fn segment(&self, hash: KeyHash) -> usize {
        self.slots[self.slot(hash)] as usize
    }

    /// A hash is a fraction of one: times the number of all slots it is the number of its own. `KeyGroup::of` does the same
    /// with the number of key groups, so the slots of a group are next to one another.
    #[inline]
    fn slot(&self, hash: KeyHash) -> usize {
        let slot = (u128::from(hash.0) * u128::from(self.scale)) >> 64;
        (slot as u64).wrapping_sub(self.before) as usize
    }

    /// Of the segment of this hash, which has this depth, the half to which the hash belongs.
    pub fn is_in_upper_half(&self, hash: KeyHash, depth: u32) -> bool {
        // What follows the number of the slot that it would have in a directory of this depth.
        let below = hash.0.wrapping_mul(self.scale >> (self.depth - depth));
        below >> 63 == 1
    }

    /// Gives the upper half of this hash's segment, which has this depth, to another segment. It must have two slots or more.
    pub fn give_upper_half(&mut self, hash: KeyHash, depth: u32, to: u32) {
        let (slot, slots) = (self.slot(hash), self.slots_of_depth(depth));
        let start = slot & !(slots - 1);
        self.slots[start + slots / 2..start + slots].fill(to);
    }

    /// Makes two slots of each.
    pub fn double(&mut self) {
        self.slots = self.slots.iter().flat_map(|segment| [*segment; 2]).collect();
        self.depth += 1;
        self.scale *= 2;
        self.before *= 2;
    }

    /// Adds the directory, of the same depth, of the key groups that follow. Its segments come after `segments` of this one.
    pub fn append(&mut self, other: Self, segments: u32) {
        assert_eq!(self.depth, other.depth, "directories of different depths");
        self.slots.extend(other.slots.into_iter().map(|segment| segments + segment));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key_group::KeyGroup;

    proptest! {
        /// However deep it is, a slot belongs to the key group of its hashes, and doubling halves it in their order.
        #[test]
        fn slots_are_in_the_order_of_hashes_within_their_group(hash: u64, max in 1_u32..=1 << 15, start: u32, doublings in 0_u32..6) {
            let hash = KeyHash(hash);
            let group = KeyGroup::of(hash, max).0;
            let start = start % (group + 1);
            let owned = KeyGroupRange { start, end: group + 1 };
            let mut directory = Directory::new(max, owned, 0);
            for depth in 0..doublings {
                let (slot, is_upper) = (directory.slot(hash), directory.is_in_upper_half(hash, depth));
                directory.double();
                prop_assert_eq!(directory.slot(hash), 2 * slot + usize::from(is_upper));
            }
            prop_assert_eq!((directory.slot(hash) >> doublings) as u32, group - start);
            prop_assert_eq!(directory.segment(hash) as u32, group - start);
            prop_assert_eq!(directory.slots().len(), (owned.len() << doublings) as usize);
            prop_assert_eq!(Directory::new(max, owned, doublings).segment(hash), directory.slot(hash));
        }
    }

    #[test]
    fn the_upper_half_of_a_segment_is_given_away_and_no_other_slot() {
        let mut directory = Directory::new(4, KeyGroupRange { start: 1, end: 3 }, 0);
        directory.double();
        directory.double();
        let in_group_2 = KeyHash(u64::MAX / 4 * 3 - 1);
        directory.give_upper_half(in_group_2, 0, 7);
        assert_eq!(directory.slots(), [0, 0, 0, 0, 1, 1, 7, 7]);
        directory.give_upper_half(in_group_2, 1, 9);
        assert_eq!(directory.slots(), [0, 0, 0, 0, 1, 1, 7, 9]);
        assert_eq!((directory.depth(), directory.segment(in_group_2)), (2, 9));
    }

    #[test]
    #[should_panic(expected = "index out of bounds")]
    fn a_key_of_another_subtask_has_no_segment() {
        Directory::new(4, KeyGroupRange { start: 1, end: 3 }, 0).segment(KeyHash(0));
    }
}
