//! The state of one subtask as it is read from files, and what a subtask gets back after a restart.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    ExtentKind,
    changes::{Run, run_of_unknown_buckets},
    codec,
    replay::ByKey,
};
use crate::{
    error::{Error, Result},
    id::CheckpointId,
    key_group::{KeyGroup, KeyGroupRange},
    stream::Data,
};

/// The state of one subtask at a barrier: local, as opposed to a checkpoint, which is global.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubtaskSnapshot {
    /// One entry for each operator of the chain that keeps state.
    pub operators: Vec<OperatorSnapshot>,
}

/// The state of one operator in one subtask.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedStateSnapshot {
    /// The name from its descriptor.
    pub name: String,
    /// The key and value types, as the program names them: restoring with others is refused.
    pub type_name: String,
    /// Whether it is only what has changed since an older snapshot, and of no use without that.
    pub is_delta: bool,
    /// The key groups that hold something, in ascending order.
    pub groups: Vec<KeyGroupEntries>,
}

/// What one or several snapshot files hold of one key group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyGroupEntries {
    /// The group.
    pub group: KeyGroup,
    /// In the order in which they count: what comes later replaces what was there.
    pub pieces: Vec<Piece>,
}

/// Entries of one key group, or keys that were removed from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it holds.
    pub kind: ExtentKind,
    /// How many entries, keys or changes.
    pub entries: u64,
    /// Key after key; or runs of entries, or changes of such runs and others: see `changes`.
    pub bytes: Bytes,
}

impl KeyGroupEntries {
    /// A group of so many entries: key, value, key, value, each in postcard's wire format.
    #[must_use]
    pub fn new(group: KeyGroup, entries: u32, bytes: &[u8]) -> Self {
        let bytes = [&run_of_unknown_buckets(entries), bytes].concat().into();
        Self { group, pieces: vec![Piece { kind: ExtentKind::Entries, entries: entries.into(), bytes }] }
    }

    /// How many entries are stored: as many as the group has, or more if some of them were changed or removed later.
    #[must_use]
    pub fn stored_entries(&self) -> u64 {
        self.pieces.iter().filter(|p| p.kind != ExtentKind::Removed).map(|p| p.entries).sum()
    }

    /// The entries that are left when all pieces are taken together, in ascending order of the keys' bytes.
    ///
    /// # Errors
    /// `Damaged` if the bytes are not entries of these types, or a key stands twice.
    pub fn decode<K: Data, V: Data>(&self) -> Result<Vec<(K, V)>> {
        let entries = self.by_key(PieceReader::take::<K>, PieceReader::take::<V>)?;
        Ok(entries.into_values().collect())
    }

    /// Likewise, by the bytes of the keys, for who knows how to take one and a value.
    pub(super) fn by_key<'a, K, V>(
        &'a self,
        key: impl Fn(&mut PieceReader<'a>) -> Result<K>,
        value: impl Fn(&mut PieceReader<'a>) -> Result<V>,
    ) -> Result<BTreeMap<&'a [u8], (K, V)>> {
        let key = |reader: &mut PieceReader<'a>| -> Result<(&'a [u8], K)> {
            let before = reader.rest;
            let key = key(reader)?;
            Ok((&before[..before.len() - reader.rest.len()], key))
        };
        let mut entries = Vec::new();
        let by_key = self.replay(
            &mut entries,
            |reader| {
                let (encoded, key) = key(reader)?;
                Ok((encoded, (key, value(reader)?)))
            },
            |reader, (_, (_, old))| {
                *old = value(reader)?;
                Ok(())
            },
        )?;
        let count = entries.len();
        let mut entries: BTreeMap<_, _> = entries.into_iter().collect();
        if entries.len() < count {
            return Err(Error::damaged(format!("key group {}: a key stands twice", self.group.0)));
        }
        for change in by_key {
            match change {
                ByKey::Put((key, entry)) => drop(entries.insert(key, entry)),
                ByKey::Remove(keys, mut reader) => {
                    for _ in 0..keys {
                        entries.remove(key(&mut reader)?.0);
                    }
                    reader.end()?;
                }
            }
        }
        Ok(entries)
    }
}

impl Piece {
    /// The bytes of its entries from the first one on, if it holds all entries; else those of the whole.
    #[must_use]
    pub fn first_entries(&self) -> &[u8] {
        let mut reader = PieceReader { group: KeyGroup(0), rest: &self.bytes };
        match self.kind {
            ExtentKind::Entries if Run::decode(0, &mut reader).is_ok() => reader.rest,
            _ => &self.bytes,
        }
    }

    /// Reads its keys and values from the beginning on.
    pub(super) fn reader(&self, group: KeyGroup) -> Result<PieceReader<'_>> {
        // An entry takes a byte at least, but for the one that takes none, and a key as well.
        if self.kind != ExtentKind::Changes && self.entries > (self.bytes.len() as u64).max(1) {
            let (entries, len) = (self.entries, self.bytes.len());
            return Err(Error::damaged(format!("key group {}: {entries} entries cannot be in {len} bytes", group.0)));
        }
        Ok(PieceReader { group, rest: &self.bytes })
    }
}

/// Takes keys and values off a piece.
pub(super) struct PieceReader<'a> {
    group: KeyGroup,
    pub rest: &'a [u8],
}

impl<'a> PieceReader<'a> {
    #[inline(always)]
    pub fn take<T: Data>(&mut self) -> Result<T> {
        codec::decode(&mut self.rest).map_err(|e| self.damaged(&format!("an entry cannot be read: {e}")))
    }

    /// Takes a number.
    #[inline]
    pub fn number(&mut self) -> Result<usize> {
        self.take::<u32>().map(|n| n as usize)
    }

    /// So many are left, less those that come together, of which there must be one.
    pub fn less(&self, left: u64, together: u64) -> Result<u64> {
        let less = left.checked_sub(together).filter(|_| together > 0);
        less.ok_or_else(|| self.damaged(&format!("{left} entries are left, but {together} come together")))
    }

    /// Takes so many bytes as they are.
    pub fn take_bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        self.rest.split_off(..len).ok_or_else(|| self.damaged("it is cut short"))
    }

    /// There must be nothing left.
    pub fn end(&self) -> Result<()> {
        match self.rest.len() {
            0 => Ok(()),
            len => Err(self.damaged(&format!("{len} bytes follow the last entry"))),
        }
    }

    #[cold]
    pub fn damaged(&self, what: &str) -> Error {
        Error::damaged(format!("key group {}: {what}", self.group.0))
    }
}

impl SubtaskSnapshot {
    /// Brings this snapshot up to date with one of the same subtask that was taken after it.
    ///
    /// # Errors
    /// `Damaged` if the newer one holds only changes of something that is not here.
    pub fn apply(&mut self, newer: Self) -> Result<()> {
        let mut older = std::mem::replace(self, newer);
        for operator in &mut self.operators {
            let base = older.operators.iter_mut().find(|o| o.uid == operator.uid);
            let mut base = base.map_or_else(Vec::new, |o| std::mem::take(&mut o.keyed));
            for state in operator.keyed.iter_mut().filter(|s| s.is_delta) {
                let base = base.iter_mut().find(|s| s.name == state.name && s.type_name == state.type_name);
                let base = base.ok_or_else(|| {
                    Error::damaged(format!("changes of state {} stand alone: what they change is missing", state.name))
                })?;
                state.is_delta = base.is_delta;
                let changes = std::mem::replace(&mut state.groups, std::mem::take(&mut base.groups));
                merge(&mut state.groups, changes);
            }
        }
        Ok(())
    }

    /// That no part of it needs an older snapshot.
    ///
    /// # Errors
    /// `Damaged`, naming the state that does.
    pub fn check_complete(&self) -> Result<()> {
        match self.operators.iter().flat_map(|o| &o.keyed).find(|s| s.is_delta) {
            None => Ok(()),
            Some(state) => {
                let name = &state.name;
                Err(Error::damaged(format!("changes of state {name} stand alone: what they change is missing")))
            }
        }
    }
}

/// Both are in ascending order of the groups.
fn merge(groups: &mut Vec<KeyGroupEntries>, changes: Vec<KeyGroupEntries>) {
    let mut by_group: BTreeMap<KeyGroup, KeyGroupEntries> =
        std::mem::take(groups).into_iter().map(|g| (g.group, g)).collect();
    for change in changes {
        let none = || KeyGroupEntries { group: change.group, pieces: Vec::new() };
        by_group.entry(change.group).or_insert_with(none).pieces.extend(change.pieces);
    }
    groups.extend(by_group.into_values());
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
