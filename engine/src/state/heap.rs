//! Keyed state in memory: one flat hash table per state and subtask.

use hashbrown::HashTable;

use super::{KeyGroupEntries, KeyedStateSnapshot, RestoredOperator, ValueStateDescriptor};
use crate::{
    error::{Error, Result},
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
        let count = snapshot.groups.iter().map(|g| g.entries).sum::<u64>();
        let bytes = snapshot.groups.iter().map(|g| g.bytes.len() as u64).sum::<u64>();
        // A damaged count must not allocate the memory that it asks for; an entry takes a byte at least, but for `()`.
        let mut table = Self { entries: HashTable::with_capacity(count.min(bytes.max(1)) as usize) };
        for group in &snapshot.groups {
            let damaged = |what: String| {
                Error::damaged(format!("state {}, key group {}: {what}", descriptor.name(), group.group.0))
            };
            if !owned.contains(group.group) {
                return Err(damaged(format!("outside the range {}..{} of this subtask", owned.start, owned.end)));
            }
            let mut rest = &group.bytes[..];
            for _ in 0..group.entries {
                let ((key, value), after): ((K, V), _) =
                    postcard::take_from_bytes(rest).map_err(|e| damaged(format!("an entry cannot be read: {e}")))?;
                rest = after;
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
            if !rest.is_empty() {
                return Err(damaged(format!("{} bytes follow the last entry", rest.len())));
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
