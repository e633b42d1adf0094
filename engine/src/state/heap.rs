//! Keyed state in memory: one flat hash table per state and subtask.

use hashbrown::HashTable;

use super::{KeyGroupEntries, KeyedStateSnapshot, RestoredOperator, ValueStateDescriptor};
use crate::{
    error::{Context, Error, Result},
    key_group::{KeyGroup, KeyGroupRange, KeyHash},
    stream::{Data, Key},
};

/// A value per key.
///
/// The snapshot is encoded at the barrier, straight into its final bytes: that copy is what freezes the state. Measured
/// against copy-on-write, it is the cheaper way until a subtask holds millions of keys.
pub struct ValueTable<K, V> {
    entries: HashTable<Entry<K, V>>,
}

struct Entry<K, V> {
    hash: KeyHash,
    key: K,
    value: V,
}

/// The table's own view of a key's hash. It picks buckets by the low bits and tags entries with the top seven. All keys of
/// a subtask share the top bits (they name its key groups), so lower bits are folded into them.
#[inline]
fn slot_hash(hash: KeyHash) -> u64 {
    hash.0 ^ (hash.0 << 20)
}

impl<K: Key, V: Data> ValueTable<K, V> {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self { entries: HashTable::new() }
    }

    /// How many keys have a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of a key.
    #[inline]
    pub fn get(&self, hash: KeyHash, key: &K) -> Option<&V> {
        let entry = self.entries.find(slot_hash(hash), |e| e.hash == hash && e.key == *key)?;
        Some(&entry.value)
    }

    /// The value of a key, to be changed in place.
    #[inline]
    pub fn get_mut(&mut self, hash: KeyHash, key: &K) -> Option<&mut V> {
        let entry = self.entries.find_mut(slot_hash(hash), |e| e.hash == hash && e.key == *key)?;
        Some(&mut entry.value)
    }

    /// Gives a value to a key that has none.
    #[inline]
    pub fn insert_new(&mut self, hash: KeyHash, key: K, value: V) {
        debug_assert!(self.get(hash, &key).is_none(), "a key would stand twice in a table");
        self.entries.insert_unique(slot_hash(hash), Entry { hash, key, value }, |e| slot_hash(e.hash));
    }

    /// Takes the value of a key away.
    pub fn remove(&mut self, hash: KeyHash, key: &K) -> Option<V> {
        let found = self.entries.find_entry(slot_hash(hash), |e| e.hash == hash && e.key == *key).ok()?;
        Some(found.remove().0.value)
    }

    /// Everything, in the canonical form that `KeyGroupEntries` documents.
    ///
    /// # Errors
    /// `UserCode` if a key or a value refuses to be encoded.
    pub fn snapshot(&self, descriptor: &ValueStateDescriptor<V>, max_parallelism: u32) -> Result<KeyedStateSnapshot> {
        let mut groups: Vec<KeyGroupEntries> = Vec::new();
        for entry in self.in_canonical_order()? {
            let group = KeyGroup::of(entry.hash, max_parallelism);
            if groups.last().is_none_or(|g| g.group != group) {
                // Groups are about equally full: one allocation for most of them.
                let room = groups.last().map_or(0, |g| g.bytes.len() + g.bytes.len() / 8);
                groups.push(KeyGroupEntries { group, entries: 0, bytes: Vec::with_capacity(room) });
            }
            let into = groups.last_mut().expect("just pushed");
            into.entries += 1;
            postcard::to_io(&(&entry.key, &entry.value), &mut into.bytes)
                .map_err(|e| Error::user_code(format!("state {} cannot be encoded: {e}", descriptor.name())))?;
        }
        let type_name = descriptor.type_name::<K>();
        Ok(KeyedStateSnapshot { name: descriptor.name().to_owned(), type_name, groups })
    }

    /// The entries by (hash, encoded key). Key groups are ranges of hashes, so this order is also by key group.
    fn in_canonical_order(&self) -> Result<Vec<&Entry<K, V>>> {
        let mut entries = in_hash_order(&self.entries);
        // Different keys of one hash are possible, if rare: only for them the keys' bytes decide.
        let mut start = 0;
        while start < entries.len() {
            let same = entries[start..].iter().take_while(|e| e.hash == entries[start].hash).count();
            if same > 1 {
                let encode = |e: &&Entry<K, V>| {
                    let bytes = postcard::to_stdvec(&e.key);
                    bytes.map_err(|e| Error::user_code(format!("a key cannot be encoded: {e}")))
                };
                let run = &mut entries[start..start + same];
                let mut keyed: Vec<_> = run.iter().map(|e| Ok((encode(e)?, *e))).collect::<Result<_>>()?;
                keyed.sort_by(|a, b| a.0.cmp(&b.0));
                run.iter_mut().zip(keyed).for_each(|(slot, (_, entry))| *slot = entry);
            }
            start += same;
        }
        Ok(entries)
    }

    /// The table that `snapshot` describes, for a subtask that owns the key groups `owned`.
    ///
    /// # Errors
    /// `BadInput` if it holds other types than the program's; `Damaged` if it is not what [`ValueTable::snapshot`] writes.
    pub fn restore(
        descriptor: &ValueStateDescriptor<V>,
        snapshot: &KeyedStateSnapshot,
        max_parallelism: u32,
        owned: KeyGroupRange,
    ) -> Result<Self> {
        let expected = descriptor.type_name::<K>();
        if snapshot.type_name != expected {
            return Err(Error::bad_input(format!(
                "state {} holds {} in the checkpoint but {expected} in the program: restore it with the types that it was \
                 taken with, or give the state another name",
                descriptor.name(),
                snapshot.type_name
            )));
        }
        // Never grow while restoring: entries arrive in hash order, which makes growing quadratic in some layouts.
        let count = snapshot.groups.iter().fold(0_u64, |n, g| n.saturating_add(g.entries));
        let bytes: u64 = snapshot.groups.iter().map(|g| g.bytes.len() as u64).sum();
        // A damaged count must not allocate the memory that it asks for; an entry takes a byte at least, but for `()`.
        let mut table = Self { entries: HashTable::with_capacity(count.min(bytes.max(1)) as usize) };
        for group in &snapshot.groups {
            let damaged = |what: String| {
                Error::damaged(format!("state {}, key group {}: {what}", descriptor.name(), group.group.0))
            };
            if !owned.contains(group.group) {
                return Err(damaged(format!("outside the range {}..{} of this subtask", owned.start, owned.end)));
            }
            let entries = group.decode::<K, V>().at(|| format!("state {}", descriptor.name()))?;
            for (key, value) in entries {
                let hash = key.key_hash();
                if KeyGroup::of(hash, max_parallelism) != group.group {
                    return Err(damaged(
                        "a key of another group, or the hash of the key's type has changed".to_owned(),
                    ));
                }
                if table.get(hash, &key).is_some() {
                    return Err(damaged("a key stands twice".to_owned()));
                }
                table.insert_new(hash, key, value);
            }
        }
        Ok(table)
    }
}

impl<K: Key, V: Data> Default for ValueTable<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

/// Sorts by hash. Hashes are evenly spread over their range, so one pass that deals them to small buckets in order leaves
/// little to sort: about linear, where comparing all of them would cost several times the encoding.
fn in_hash_order<K, V>(entries: &HashTable<Entry<K, V>>) -> Vec<&Entry<K, V>> {
    let Some(first) = entries.iter().next() else { return Vec::new() };
    let (low, high) = entries.iter().fold((first.hash.0, first.hash.0), |(l, h), e| (l.min(e.hash.0), h.max(e.hash.0)));
    let buckets = (entries.len() / 4).next_power_of_two().max(1);
    let width = (high - low) / buckets as u64 + 1;
    let bucket_of = |e: &Entry<K, V>| ((e.hash.0 - low) / width) as usize;
    let mut starts = vec![0_u32; buckets + 1];
    for e in entries {
        starts[bucket_of(e) + 1] += 1;
    }
    for i in 0..buckets {
        starts[i + 1] += starts[i];
    }
    let mut ends = starts.clone();
    let mut sorted = vec![first; entries.len()];
    for e in entries {
        let end = &mut ends[bucket_of(e)];
        sorted[*end as usize] = e;
        *end += 1;
    }
    for bucket in starts.windows(2) {
        sorted[bucket[0] as usize..bucket[1] as usize].sort_unstable_by_key(|e| e.hash);
    }
    sorted
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
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{error::ErrorKind, key_group::DEFAULT_MAX_PARALLELISM as MAX};

    const ALL: KeyGroupRange = KeyGroupRange { start: 0, end: MAX };

    fn descriptor<V>() -> ValueStateDescriptor<V> {
        ValueStateDescriptor::new("counts")
    }

    fn table<K: Key, V: Data>(entries: impl IntoIterator<Item = (K, V)>) -> ValueTable<K, V> {
        let mut table = ValueTable::new();
        entries.into_iter().for_each(|(key, value)| table.insert_new(key.key_hash(), key, value));
        table
    }

    fn restore<K: Key, V: Data>(snapshot: &KeyedStateSnapshot, owned: KeyGroupRange) -> Result<ValueTable<K, V>> {
        ValueTable::restore(&descriptor(), snapshot, MAX, owned)
    }

    /// A key type whose hashes are all the same.
    #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct Colliding(u32);

    impl Key for Colliding {
        fn key_hash(&self) -> KeyHash {
            KeyHash(7)
        }
    }

    proptest! {
        #[test]
        fn the_table_is_a_map(operations: Vec<(u8, Option<u32>)>) {
            let (mut table, mut model) = (ValueTable::new(), BTreeMap::new());
            for (key, operation) in operations {
                let hash = key.key_hash();
                prop_assert_eq!(table.get(hash, &key), model.get(&key));
                match operation {
                    Some(value) => {
                        match table.get_mut(hash, &key) {
                            Some(old) => *old = value,
                            None => table.insert_new(hash, key, value),
                        }
                        model.insert(key, value);
                    }
                    None => prop_assert_eq!(table.remove(hash, &key), model.remove(&key)),
                }
                prop_assert_eq!(table.len(), model.len());
            }
        }

        /// Equal state gives equal bytes, whatever came before; and it is found again.
        #[test]
        fn a_snapshot_depends_on_the_entries_alone(
            entries in proptest::collection::btree_map("[a-f]{0,4}", any::<u64>(), 0..200), removed: Vec<String>,
        ) {
            let mut forwards = table(entries.clone());
            let backwards = table(entries.clone().into_iter().rev());
            for key in removed.into_iter().filter(|k| !entries.contains_key(k)) {
                forwards.insert_new(key.key_hash(), key.clone(), 1);
                forwards.remove(key.key_hash(), &key);
            }
            let snapshot = forwards.snapshot(&descriptor(), MAX).unwrap();
            prop_assert_eq!(&snapshot, &backwards.snapshot(&descriptor(), MAX).unwrap());
            let restored = restore::<String, u64>(&snapshot, ALL).unwrap();
            prop_assert_eq!(restored.len(), entries.len());
            for (key, value) in &entries {
                prop_assert_eq!(restored.get(key.key_hash(), key), Some(value));
            }
            prop_assert_eq!(restored.snapshot(&descriptor(), MAX).unwrap(), snapshot);
        }

        /// The documented order, checked against a plain sort; with many keys of one hash.
        #[test]
        fn entries_are_in_order_of_hash_and_encoded_key(keys in proptest::collection::btree_set(0u32..600, 0..60)) {
            let same = table(keys.iter().rev().map(|n| (Colliding(*n), ())));
            let snapshot = same.snapshot(&descriptor(), MAX).unwrap();
            let mut encoded: Vec<_> = keys.iter().map(|n| postcard::to_stdvec(n).unwrap()).collect();
            encoded.sort();
            let bytes: Vec<u8> = snapshot.groups.into_iter().flat_map(|g| g.bytes).collect();
            prop_assert_eq!(bytes, encoded.concat());

            let spread = table(keys.iter().map(|n| (*n, ())));
            let mut sorted: Vec<_> = keys.iter().map(|n| (n.key_hash(), postcard::to_stdvec(n).unwrap())).collect();
            sorted.sort();
            let snapshot = spread.snapshot(&descriptor(), MAX).unwrap();
            prop_assert!(snapshot.groups.is_sorted_by(|a, b| a.group < b.group));
            let bytes: Vec<u8> = snapshot.groups.into_iter().flat_map(|g| g.bytes).collect();
            prop_assert_eq!(bytes, sorted.into_iter().flat_map(|(_, bytes)| bytes).collect::<Vec<_>>());
        }
    }

    /// The bytes of a snapshot, for ever: checkpoints of released versions hold them.
    #[test]
    fn golden_bytes() {
        let words = ["to", "be", "or", "not", "that", "is", "the", "question"].map(str::to_owned);
        let counts = table(words.into_iter().zip([2_u64, 2, 1, 1, 300, 1, 1, 70_000]));
        let snapshot = counts.snapshot(&descriptor(), MAX).unwrap();
        assert_eq!(snapshot.type_name, "alloc::string::String -> u64");
        let lines: Vec<_> = snapshot
            .groups
            .iter()
            .map(|g| format!("group {:3}: {} entries: {}", g.group.0, g.entries, g.bytes.escape_ascii()))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
group  12: 1 entries: \x04that\xac\x02
group  48: 1 entries: \x02be\x02
group  59: 1 entries: \x02to\x02
group  65: 1 entries: \x02is\x01
group  78: 1 entries: \x02or\x01
group 101: 1 entries: \x03the\x01
group 121: 1 entries: \x08question\xf0\xa2\x04
group 125: 1 entries: \x03not\x01
"#);
    }

    #[test]
    fn state_that_does_not_fit_is_refused() {
        let counts = table([("to".to_owned(), 2_u64), ("be".to_owned(), 2)]);
        let good = counts.snapshot(&descriptor(), MAX).unwrap();
        let refused = |change: &dyn Fn(&mut KeyedStateSnapshot), owned| {
            let mut snapshot = good.clone();
            change(&mut snapshot);
            let error = restore::<String, u64>(&snapshot, owned).err().expect("it is refused");
            format!("{:?}: {error}", error.kind)
        };
        let error = restore::<String, u32>(&good, ALL).err().unwrap();
        assert_eq!(error.kind, ErrorKind::BadInput);
        insta::assert_snapshot!(error, @"state counts holds alloc::string::String -> u64 in the checkpoint but alloc::string::String -> u32 in the program: restore it with the types that it was taken with, or give the state another name");
        let none = KeyGroupRange { start: 0, end: 0 };
        insta::assert_snapshot!(refused(&|_| (), none), @"Damaged: state counts, key group 48: outside the range 0..0 of this subtask");
        insta::assert_snapshot!(refused(&|s| s.groups[0].group.0 ^= 1, ALL), @"Damaged: state counts, key group 49: a key of another group, or the hash of the key's type has changed");
        insta::assert_snapshot!(refused(&|s| s.groups[0].entries = u64::MAX, ALL), @"Damaged: state counts: key group 48: an entry cannot be read: Hit the end of buffer, expected more data");
        insta::assert_snapshot!(refused(&|s| s.groups[0].bytes.extend_from_within(..), ALL), @"Damaged: state counts: key group 48: 4 bytes follow the last entry");
        let double = |s: &mut KeyedStateSnapshot| {
            s.groups[0].bytes.extend_from_within(..);
            s.groups[0].entries *= 2;
        };
        insta::assert_snapshot!(refused(&double, ALL), @"Damaged: state counts, key group 48: a key stands twice");
    }
}
