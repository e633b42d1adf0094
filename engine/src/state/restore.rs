//! A table from what a checkpoint holds.
//!
//! Key groups have nothing to do with one another. So a snapshot can be cut between them, a table be made of each piece, by
//! whoever has time, and one table of all of these.

use super::{
    ExtentKind, KeyGroupEntries, KeyedStateSnapshot, RestoredOperator, ValueStateDescriptor, ValueTable, replay::ByKey,
    snapshot::PieceReader,
};
use crate::{
    error::{Context, Error, Result},
    key_group::{KeyGroup, KeyGroupRange, KeyHash},
    stream::{Data, Key},
};

impl<K: Key, V: Data> ValueTable<K, V> {
    /// The table that `snapshot` describes, for a subtask that owns the key groups `owned`; or a piece of that table.
    ///
    /// # Errors
    /// `BadInput` if it holds other types than the program's; `Damaged` if it is not what a sweep writes.
    pub fn restore(
        descriptor: &ValueStateDescriptor<V>,
        snapshot: &KeyedStateSnapshot,
        max_parallelism: u32,
        owned: KeyGroupRange,
    ) -> Result<Self> {
        check_types::<K, V>(descriptor, snapshot)?;
        let mut table = Self::new(max_parallelism, owned);
        table.presize(expected_entries(snapshot));
        let mut entries = Vec::new();
        for group in &snapshot.groups {
            table.restore_group(group, &mut entries).at(|| format!("state {}", descriptor.name()))?;
        }
        Ok(table)
    }

    /// One table of tables whose key groups follow one another. None of them is frozen.
    ///
    /// # Panics
    /// If there is none, or their key groups do not follow one another.
    #[must_use]
    pub fn join(pieces: Vec<Self>) -> Self {
        let depth = pieces.iter().map(|piece| piece.directory.depth()).max();
        let mut pieces = pieces.into_iter().map(|mut piece| {
            while Some(piece.directory.depth()) < depth {
                piece.double_directory();
            }
            piece
        });
        let mut table = pieces.next().expect("a table has a piece");
        for piece in pieces {
            let (end, start) = (table.owned.end, piece.owned.start);
            assert!(end == start && table.max_parallelism == piece.max_parallelism, "key group {start} follows {end}");
            assert!(table.sweep.is_none() && piece.sweep.is_none(), "a frozen table cannot be joined to another");
            table.directory.append(piece.directory, table.segments.len() as u32);
            table.segments.extend(piece.segments);
            table.removed.join(table.owned.len() as usize, piece.removed, piece.owned.len() as usize);
            table.owned.end = piece.owned.end;
            table.len += piece.len;
            table.touched += piece.touched;
            table.inserted += piece.inserted;
        }
        table
    }

    /// The vector is memory that goes from group to group: it begins and ends empty.
    fn restore_group(&mut self, group: &KeyGroupEntries, entries: &mut Vec<(K, V)>) -> Result<()> {
        let (KeyGroupRange { start, end }, id) = (self.owned, group.group);
        let damaged = |what: &str| Error::damaged(format!("key group {}: {what}", id.0));
        if !self.owned.contains(id) {
            return Err(damaged(&format!("outside the range {start}..{end} of this subtask")));
        }
        let entry = |reader: &mut PieceReader<'_>| Ok((reader.take::<K>()?, reader.take::<V>()?));
        let change = |reader: &mut PieceReader<'_>, (_, value): &mut (K, V)| {
            *value = reader.take()?;
            Ok(())
        };
        let by_key = group.replay(entries, entry, change)?;
        let max_parallelism = self.max_parallelism;
        let hash = |key: &K| match key.key_hash() {
            hash if KeyGroup::of(hash, max_parallelism) == id => Ok(hash),
            _ => Err(damaged("a key of another group, or the hash of the key's type has changed")),
        };
        for (key, value) in entries.drain(..) {
            let hash = hash(&key)?;
            if self.get(hash, &key).is_some() {
                return Err(damaged("a key stands twice"));
            }
            self.insert_new_inlined(hash, key, value);
        }
        by_key.into_iter().try_for_each(|change| self.restore_by_key(change, hash))
    }

    #[inline(never)]
    fn restore_by_key(&mut self, change: ByKey<'_, (K, V)>, hash: impl Fn(&K) -> Result<KeyHash>) -> Result<()> {
        match change {
            ByKey::Put((key, value)) => {
                let hash = hash(&key)?;
                match self.get_mut(hash, &key) {
                    Some(old) => *old = value,
                    None => self.insert_new(hash, key, value),
                }
                Ok(())
            }
            ByKey::Remove(keys, mut reader) => {
                for _ in 0..keys {
                    let key: K = reader.take()?;
                    self.remove(hash(&key)?, &key);
                }
                reader.end()
            }
        }
    }
}

/// Refuses a snapshot of other types than the program's.
///
/// # Errors
/// `BadInput` naming both.
pub(super) fn check_types<K: Key, V: Data>(
    descriptor: &ValueStateDescriptor<V>,
    snapshot: &KeyedStateSnapshot,
) -> Result<()> {
    let (name, expected) = (descriptor.name(), descriptor.type_name::<K>());
    if snapshot.type_name == expected {
        return Ok(());
    }
    Err(Error::bad_input(format!(
        "state {name} holds {} in the checkpoint but {expected} in the program: restore it with the types that it was taken \
         with, or give the state another name",
        snapshot.type_name
    )))
}

/// How many entries a table will have, about. A damaged number must not make it ask for much memory: an entry takes a byte.
fn expected_entries(snapshot: &KeyedStateSnapshot) -> usize {
    let whole = snapshot.groups.iter().flat_map(|g| &g.pieces).filter(|p| p.kind == ExtentKind::Entries);
    whole.map(|p| p.entries.min(p.bytes.len() as u64)).sum::<u64>() as usize
}

impl KeyedStateSnapshot {
    /// Cuts it between key groups into pieces of at least so many bytes, but for the last. Each comes with the key groups that
    /// it stands for; together these are `owned`, in order.
    ///
    /// Groups that are out of order or not among `owned` are left together, for [`ValueTable::restore`] to complain of.
    #[must_use]
    pub fn cut(self, owned: KeyGroupRange, bytes: usize) -> Vec<(KeyGroupRange, Self)> {
        let is_in_order = self.groups.windows(2).all(|pair| pair[0].group < pair[1].group);
        if !is_in_order || self.groups.iter().any(|g| !owned.contains(g.group)) {
            return vec![(owned, self)];
        }
        let empty = || Self { name: self.name.clone(), type_name: self.type_name.clone(), groups: Vec::new(), ..self };
        let mut pieces = vec![(owned, empty())];
        let mut room = bytes;
        for group in self.groups {
            let (range, piece) = pieces.last_mut().expect("there is one from the beginning");
            if room == 0 && !piece.groups.is_empty() {
                range.end = group.group.0;
                pieces.push((KeyGroupRange { start: group.group.0, end: owned.end }, empty()));
                room = bytes;
            }
            room = room.saturating_sub(group.pieces.iter().map(|p| p.bytes.len()).sum());
            pieces.last_mut().expect("as above").1.groups.push(group);
        }
        pieces
    }
}

/// Refuses state that the program does not ask for: it would be lost with the next checkpoint (invariant I20).
///
/// # Errors
/// `BadInput` naming the state.
pub(crate) fn check_all_restored(left: &RestoredOperator) -> Result<()> {
    match left.keyed.keys().chain(left.lists.keys()).next() {
        None => Ok(()),
        Some(name) => Err(Error::bad_input(format!(
            "the checkpoint holds a state named {name}, which the program does not use: restore it with the program that \
             took it, or start afresh"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        key_group::DEFAULT_MAX_PARALLELISM as MAX,
        state::tests::{ALL, changes, entries, full, join, table},
    };

    /// Keys of one group, which is larger than all others together.
    fn in_group(group: u32, n: usize) -> impl Iterator<Item = (u32, u32)> {
        let keys = (0..u32::MAX).filter(move |key| KeyGroup::of(key.key_hash(), MAX) == KeyGroup(group));
        keys.map(|key| (key, key)).take(n)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Pieces stand for all key groups, once and in order, also for those that hold nothing; and none is smaller than it
        /// was to be.
        #[test]
        fn pieces_tile_the_key_groups(keys in 0u32..400, start in 0..MAX, len in 0..MAX, bytes in 1usize..300) {
            let owned = KeyGroupRange { start, end: (start + len).min(MAX) };
            let mut snapshot = full(&mut table((0..keys).map(|key| (key, key))));
            snapshot.groups.retain(|g| owned.contains(g.group));
            let pieces = snapshot.clone().cut(owned, bytes);
            let (mut next, mut groups) = (owned.start, Vec::new());
            for (i, (range, piece)) in pieces.iter().enumerate() {
                prop_assert_eq!(range.start, next);
                prop_assert!(piece.groups.iter().all(|g| range.contains(g.group)));
                let size: usize = piece.groups.iter().flat_map(|g| &g.pieces).map(|p| p.bytes.len()).sum();
                prop_assert!(size >= bytes || i + 1 == pieces.len());
                groups.extend(piece.groups.clone());
                next = range.end;
            }
            prop_assert_eq!(next, owned.end);
            prop_assert_eq!(groups, snapshot.groups);
        }

        /// A table that is put together of pieces of different depths can be used, grown and frozen as any other.
        #[test]
        fn a_table_of_pieces_is_a_table(group in 0..MAX, large in 0usize..3000, keys in 0u32..3000, bytes in 1usize..4000) {
            let all: std::collections::BTreeMap<u32, u32> =
                (0..keys).map(|key| (key, key)).chain(in_group(group, large)).collect();
            let snapshot = full(&mut table(all.clone()));
            let mut joined = join::<u32, u32>(&snapshot, ALL, bytes);
            prop_assert_eq!((joined.len(), changes(&joined)), (all.len(), Some(all.len() as u64)));
            prop_assert!(all.iter().all(|(key, value)| joined.get(key.key_hash(), key) == Some(value)));
            let mut model = all.clone();
            for key in (0..u32::MAX).filter(|key| !all.contains_key(key)).take(2000) {
                joined.insert_new(key.key_hash(), key, 7);
                model.insert(key, 7);
            }
            for key in all.keys().step_by(3) {
                prop_assert_eq!(joined.remove(key.key_hash(), key), model.remove(key));
            }
            prop_assert_eq!(entries::<u32, u32>(&full(&mut joined)), model);
        }
    }

    /// What is damaged stays in one piece, and is told as if nobody had cut.
    #[test]
    fn foreign_groups_are_not_cut() {
        let snapshot = full(&mut table((0..1000_u32).map(|key| (key, key))));
        let owned = KeyGroupRange { start: 3, end: 9 };
        let pieces = snapshot.cut(owned, 1);
        assert_eq!((pieces.len(), pieces[0].0), (1, owned));
        let error = ValueTable::<u32, u32>::restore(&crate::state::tests::descriptor(), &pieces[0].1, MAX, owned);
        insta::assert_snapshot!(error.err().unwrap(), @"state counts: key group 0: outside the range 3..9 of this subtask");
    }

    #[test]
    #[should_panic(expected = "key group 5 follows 3")]
    fn a_gap_between_pieces_is_a_bug() {
        let piece = |start, end| ValueTable::<u32, u32>::new(MAX, KeyGroupRange { start, end });
        let _ = ValueTable::join(vec![piece(0, 3), piece(5, 9)]);
    }
}
