//! A piece of a table that is small enough to be encoded, moved or split at once.

use hashbrown::HashTable;

use super::{prefetch::prefetch, whereabouts::Whereabouts};
use crate::{
    key_group::{KeyGroup, KeyHash},
    stream::{Data, Key},
};

/// A segment has so many buckets, unless the hashes of its keys cannot be told apart.
const BUCKETS: usize = 512;

/// So many entries fit.
pub(super) const CAPACITY: usize = BUCKETS / 8 * 7;

/// Entries of one key group whose hashes are next to one another.
pub(super) struct Segment<K, V> {
    pub entries: HashTable<Entry<K, V>>,
    /// The group.
    pub group: KeyGroup,
    /// By how many bits below the key group the hashes of the segment agree.
    pub depth: u32,
    /// The freeze whose sweep has been here last.
    pub swept: u32,
    /// Where its entries were then.
    pub whereabouts: Whereabouts,
}

pub(super) struct Entry<K, V> {
    pub key: K,
    pub value: V,
}

/// The buckets that were touched since the last freeze. In a segment of more buckets than usual, several share a bit: to
/// write what has not changed is a waste, and no error.
#[derive(Clone, Copy, Default)]
pub(super) struct Marks([u64; BUCKETS / 64]);

impl Marks {
    /// Marks a bucket. Says whether it was unmarked.
    #[inline]
    pub fn set(&mut self, bucket: usize) -> bool {
        let word = &mut self.0[bucket / 64 % (BUCKETS / 64)];
        let bit = 1 << (bucket % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    pub fn get(&self, bucket: usize) -> bool {
        self.0[bucket / 64 % (BUCKETS / 64)] & (1 << (bucket % 64)) != 0
    }

    /// Whether any bucket is marked from `64 * word` on, of 64.
    pub fn any(&self, word: usize) -> bool {
        self.0[word % (BUCKETS / 64)] != 0
    }

    /// The marked buckets of a segment that has `buckets` of them, ascending.
    pub fn iter(&self, buckets: usize) -> impl Iterator<Item = usize> {
        (0..buckets.div_ceil(64)).flat_map(|word| {
            let mut bits = self.0[word % (BUCKETS / 64)];
            std::iter::from_fn(move || {
                let bit = bits.trailing_zeros() as usize;
                bits &= bits.checked_sub(1)?;
                Some(word * 64 + bit)
            })
        })
    }
}

/// The segment's own view of a key's hash. It picks buckets by the low bits and tags entries with the top seven. All keys of
/// a segment share the top bits (they name its key group and the segment), so lower bits are folded into them.
#[inline]
pub(super) fn slot_hash(hash: KeyHash) -> u64 {
    hash.0 ^ (hash.0 << 20)
}

impl<K: Key, V: Data> Segment<K, V> {
    pub fn new(group: KeyGroup, depth: u32, swept: u32) -> Self {
        Self { entries: HashTable::new(), group, depth, swept, whereabouts: Whereabouts::default() }
    }

    /// The bucket of a key.
    #[inline]
    pub fn find(&self, hash: KeyHash, key: &K) -> Option<usize> {
        self.entries.find_bucket_index(slot_hash(hash), |e| e.key == *key)
    }

    /// The bucket of a key, or, one time in about fifteen, that of another. `None` only if the key has none.
    #[inline]
    pub fn guess(&self, hash: KeyHash) -> Option<usize> {
        self.entries.find_bucket_index(slot_hash(hash), |e| {
            prefetch(e);
            true
        })
    }

    /// Whether this bucket is the key's.
    #[inline]
    pub fn holds(&self, bucket: usize, key: &K) -> bool {
        self.entries.get_bucket(bucket).is_some_and(|e| e.key == *key)
    }

    /// Whether one more entry would move those that are there.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.entries.len() == self.entries.capacity()
    }

    /// Puts an entry into a segment that is not full. Gives its bucket.
    #[inline]
    pub fn insert(&mut self, hash: KeyHash, entry: Entry<K, V>) -> usize {
        let rehash = |_: &Entry<K, V>| unreachable!("an entry was put into a segment that is full");
        self.entries.insert_unique(slot_hash(hash), entry, rehash).bucket_index()
    }

    /// The addresses of what is read when all entries are, as far as they are known.
    pub fn lines(&self) -> impl Iterator<Item = usize> + use<K, V> {
        self.whereabouts.all::<Entry<K, V>>(self.entries.num_buckets())
    }

    /// Likewise when only marked entries are.
    pub fn marked_lines<'m>(&self, marks: &'m Marks) -> impl Iterator<Item = usize> + use<'m, K, V> {
        self.whereabouts.marked::<Entry<K, V>>(self.entries.num_buckets(), marks)
    }

    /// Moves all entries to larger or smaller memory, and their marks with them.
    pub fn rebuild(&mut self, capacity: usize, marks: &mut Marks) {
        let old = std::mem::replace(&mut self.entries, HashTable::with_capacity(capacity));
        let mut moved = Marks::default();
        take_apart(old, marks, |hash, entry, is_marked| {
            let bucket = self.insert(hash, entry);
            if is_marked {
                moved.set(bucket);
            }
        });
        *marks = moved;
    }

    /// Moves the entries for which `goes` holds to a segment of their own, with their marks. Both are one bit deeper.
    pub fn split(&mut self, marks: &mut Marks, goes: impl Fn(KeyHash) -> bool) -> (Self, Marks) {
        let room = CAPACITY.max(self.entries.len());
        let old = std::mem::replace(&mut self.entries, HashTable::with_capacity(room));
        self.depth += 1;
        let mut other = Self::new(self.group, self.depth, self.swept);
        other.entries = HashTable::with_capacity(room);
        let (mut stayed, mut gone) = (Marks::default(), Marks::default());
        take_apart(old, marks, |hash, entry, is_marked| {
            let (segment, marks) = if goes(hash) { (&mut other, &mut gone) } else { (&mut *self, &mut stayed) };
            let bucket = segment.insert(hash, entry);
            if is_marked {
                marks.set(bucket);
            }
        });
        *marks = stayed;
        (other, gone)
    }
}

/// Hands out all entries, each with whether it is marked.
fn take_apart<K: Key, V>(
    mut entries: HashTable<Entry<K, V>>,
    marks: &Marks,
    mut take: impl FnMut(KeyHash, Entry<K, V>, bool),
) {
    for bucket in 0..entries.num_buckets() {
        if let Ok(found) = entries.get_bucket_entry(bucket) {
            let (entry, _) = found.remove();
            let is_marked = marks.get(bucket) && !planted!(MarksLostInGrowth); // FLINK-26968
            take(entry.key.key_hash(), entry, is_marked);
        }
    }
}
