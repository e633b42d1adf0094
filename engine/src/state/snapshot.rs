//! The state of one subtask at a barrier, and what a subtask gets back after a restart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    id::CheckpointId,
    key_group::{KeyGroup, KeyGroupRange},
    stream::Data,
};

/// The state of one subtask at a barrier: local, as opposed to a checkpoint, which is global.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtaskSnapshot {
    /// One entry for each operator of the chain that keeps state.
    pub operators: Vec<OperatorSnapshot>,
}

/// The state of one operator in one subtask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorSnapshot {
    /// Under which it is found again.
    pub uid: String,
    /// The key groups that the subtask owned; `None` for an operator without keyed state.
    pub key_groups: Option<KeyGroupRange>,
    /// Its keyed states, by name.
    pub keyed: Vec<KeyedStateSnapshot>,
    /// Its list states, by name.
    pub lists: Vec<ListStateSnapshot>,
}

/// One keyed state, cut into key groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyedStateSnapshot {
    /// The name from its descriptor.
    pub name: String,
    /// The key and value types, as the program names them: restoring with others is refused.
    pub type_name: String,
    /// The key groups that hold entries, in ascending order.
    pub groups: Vec<KeyGroupEntries>,
}

/// The entries of one key group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyGroupEntries {
    /// The group.
    pub group: KeyGroup,
    /// How many entries.
    pub entries: u64,
    /// `(key, value)` after `(key, value)`, each in postcard's wire format, in ascending order of (key hash, encoded key):
    /// equal state gives equal bytes.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

impl KeyGroupEntries {
    /// The entries, in the order in which they are stored.
    ///
    /// # Errors
    /// `Damaged` if the bytes are not `entries` pairs of these types.
    pub fn decode<K: Data, V: Data>(&self) -> Result<Vec<(K, V)>> {
        let damaged = |what: String| Error::damaged(format!("key group {}: {what}", self.group.0));
        // A damaged count must not allocate the memory that it asks for.
        let mut pairs = Vec::with_capacity(self.entries.min(self.bytes.len() as u64) as usize);
        let mut rest = &self.bytes[..];
        for _ in 0..self.entries {
            let (pair, after) =
                postcard::take_from_bytes(rest).map_err(|e| damaged(format!("an entry cannot be read: {e}")))?;
            pairs.push(pair);
            rest = after;
        }
        if !rest.is_empty() {
            return Err(damaged(format!("{} bytes follow the last entry", rest.len())));
        }
        Ok(pairs)
    }
}

/// One operator list state: items that may be redistributed one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListStateSnapshot {
    /// Its name within the operator.
    pub name: String,
    /// The items.
    pub items: Vec<Vec<u8>>,
}

/// What a subtask starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoredState {
    /// The restored checkpoint; `None` when the job starts afresh.
    pub checkpoint: Option<CheckpointId>,
    /// When the job starts afresh: the splits that this subtask of a source shall read.
    pub splits: Vec<Vec<u8>>,
    /// The state of each operator of the chain, by uid. An operator without entry starts empty.
    pub operators: BTreeMap<String, RestoredOperator>,
}

/// What one operator of a subtask gets back: for keyed state the groups that it owns now, for list state its share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoredOperator {
    /// Keyed states by name; groups ascending, only groups that the subtask owns.
    pub keyed: BTreeMap<String, KeyedStateSnapshot>,
    /// List states by name.
    pub lists: BTreeMap<String, Vec<Vec<u8>>>,
}
