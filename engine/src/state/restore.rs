//! A table from what a checkpoint holds.

use super::{ExtentKind, KeyGroupEntries, KeyedStateSnapshot, RestoredOperator, ValueStateDescriptor, ValueTable};
use crate::{
    error::{Context, Error, Result},
    key_group::{KeyGroup, KeyGroupRange},
    stream::{Data, Key},
};

impl<K: Key, V: Data> ValueTable<K, V> {
    /// The table that `snapshot` describes, for a subtask that owns the key groups `owned`.
    ///
    /// # Errors
    /// `BadInput` if it holds other types than the program's; `Damaged` if it is not what a sweep writes.
    pub fn restore(
        descriptor: &ValueStateDescriptor<V>,
        snapshot: &KeyedStateSnapshot,
        max_parallelism: u32,
        owned: KeyGroupRange,
    ) -> Result<Self> {
        let (name, expected) = (descriptor.name(), descriptor.type_name::<K>());
        if snapshot.type_name != expected {
            return Err(Error::bad_input(format!(
                "state {name} holds {} in the checkpoint but {expected} in the program: restore it with the types that it \
                 was taken with, or give the state another name",
                snapshot.type_name
            )));
        }
        let mut table = Self::new(max_parallelism, owned);
        table.presize(expected_entries(snapshot));
        for group in &snapshot.groups {
            table.restore_group(group).at(|| format!("state {name}"))?;
        }
        Ok(table)
    }

    fn restore_group(&mut self, group: &KeyGroupEntries) -> Result<()> {
        let KeyGroupRange { start, end } = self.owned;
        for piece in &group.pieces {
            let mut reader = piece.reader(group.group)?;
            if !self.owned.contains(group.group) {
                return Err(reader.damaged(&format!("outside the range {start}..{end} of this subtask")));
            }
            for _ in 0..piece.entries {
                let key: K = reader.take()?;
                let hash = key.key_hash();
                if KeyGroup::of(hash, self.max_parallelism) != group.group {
                    return Err(reader.damaged("a key of another group, or the hash of the key's type has changed"));
                }
                if piece.kind == ExtentKind::Removed {
                    self.remove(hash, &key);
                    continue;
                }
                let value: V = reader.take()?;
                match self.get_mut(hash, &key) {
                    None => self.insert_new(hash, key, value),
                    Some(old) if piece.is_delta => *old = value,
                    Some(_) => return Err(reader.damaged("a key stands twice")),
                }
            }
            reader.end()?;
        }
        Ok(())
    }
}

/// How many entries a table will have, about. A damaged number must not make it ask for much memory: an entry takes a byte.
fn expected_entries(snapshot: &KeyedStateSnapshot) -> usize {
    let whole = snapshot.groups.iter().flat_map(|g| &g.pieces).filter(|p| !p.is_delta);
    whole.map(|p| p.entries.min(p.bytes.len() as u64)).sum::<u64>() as usize
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
