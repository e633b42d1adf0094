//! The state of one subtask on its way from the freeze into a file.

use std::ops::Add;

use serde::{Deserialize, Serialize};

use super::ListStateSnapshot;
use crate::{
    id::CheckpointId,
    key_group::{KeyGroup, KeyGroupRange},
};

/// How much of a state a snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotScope {
    /// Everything.
    Full,
    /// All in which it differs from the newest full snapshot, and maybe more: together with that one it is everything.
    Differential,
    /// What has changed since the freeze before.
    Incremental,
}

/// How the state of a subtask shall be frozen.
pub struct Freeze {
    /// For which checkpoint.
    pub checkpoint: CheckpointId,
    /// What may be left out. A table that cannot tell what that is leaves out nothing.
    pub scope: SnapshotScope,
    /// Whether to say what is frozen.
    pub wants_content: bool,
    /// What is frozen is appended to this.
    pub buffer: Vec<u8>,
}

/// How much state there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateSize {
    /// Entries of keyed state.
    pub entries: u64,
    /// What an incremental snapshot would hold; `None` if it is not known any more what has changed.
    pub incremental: Option<DeltaSize>,
    /// What a differential one would hold; `None` if there can be none.
    pub differential: Option<DeltaSize>,
}

/// How much a snapshot would hold that builds on another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeltaSize {
    /// Entries and removed keys.
    pub changes: u64,
    /// Of how many of these the key, at most.
    pub keyed: u64,
    /// How many of these, at least, would not need it had the snapshot before been a full one: they were there already.
    pub again: u64,
}

impl Add for DeltaSize {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (changes, keyed) = (self.changes + other.changes, self.keyed + other.keyed);
        Self { changes, keyed, again: self.again + other.again }
    }
}

/// What was frozen: keyed state from the end of the sweep on, everything else at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrozenSnapshot {
    /// Entries and keys, after what the buffer held before.
    pub buffer: Vec<u8>,
    /// The operators of the chain that keep state.
    pub operators: Vec<FrozenOperator>,
}

/// The state of one operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenOperator {
    /// Under which it is found again.
    pub uid: String,
    /// The key groups that the subtask owns; `None` for an operator without keyed state.
    pub key_groups: Option<KeyGroupRange>,
    /// Its keyed states, by name.
    pub keyed: Vec<FrozenKeyedState>,
    /// Its list states, by name.
    pub lists: Vec<ListStateSnapshot>,
}

/// Where the entries of one keyed state are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenKeyedState {
    /// The name from its descriptor.
    pub name: String,
    /// The key and value types.
    pub type_name: String,
    /// How much of the state it holds.
    pub scope: SnapshotScope,
    /// Its parts, by key group; for each group what was removed first.
    pub extents: Vec<Extent>,
    /// How many of its bytes are values; 0 if it holds only what has changed.
    pub value_bytes: u64,
}

/// Bytes that belong to one key group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The group.
    pub group: KeyGroup,
    /// What they are.
    pub kind: ExtentKind,
    /// How many.
    pub entries: u64,
    /// Where they begin, from the beginning of the file.
    pub position: u64,
    /// How many bytes there are.
    pub len: u64,
    /// Their XXH3.
    pub checksum: u64,
}

/// What an extent holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ExtentKind {
    /// Keys that have no value any more.
    Removed,
    /// Keys with their values: all that there are.
    Entries,
    /// New values of entries of an older snapshot, in the order of their changes: see `change_log`.
    Logged,
    /// What has changed of the entries of an older snapshot, and entries that are new: by segments, see `changes`.
    Changes,
}

impl FrozenSnapshot {
    /// The keyed states that are there as a whole, and those that are of use only together with another snapshot.
    #[must_use]
    pub fn whole_and_delta(&self) -> (usize, usize) {
        let keyed = || self.operators.iter().flat_map(|o| &o.keyed);
        let whole = keyed().filter(|state| state.scope == SnapshotScope::Full).count();
        (whole, keyed().count() - whole)
    }

    /// How many of its bytes are values of keyed state; of a delta it is not known.
    #[must_use]
    pub fn value_bytes(&self) -> u64 {
        self.operators.iter().flat_map(|o| &o.keyed).map(|k| k.value_bytes).sum()
    }

    /// Adds a keyed state of an operator that was frozen before, with the buffer that it was encoded into.
    pub(crate) fn add(&mut self, uid: &str, buffer: Vec<u8>, mut state: FrozenKeyedState) {
        if self.buffer.is_empty() {
            self.buffer = buffer;
        } else {
            let shift = self.buffer.len() as u64;
            state.extents.iter_mut().for_each(|e| e.position += shift);
            self.buffer.extend_from_slice(&buffer);
        }
        let operator = self.operators.iter_mut().find(|o| o.uid == uid);
        operator.expect("an operator adds itself when it is frozen").keyed.push(state);
    }
}
