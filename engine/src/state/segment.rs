//! A piece of a table that is small enough to be encoded, moved or split at once.

use hashbrown::HashTable;

use super::{
    change_log::{KnownPlace, MOST_RUNS},
    known::Known,
    marks::{BUCKETS, Marks},
    prefetch::prefetch,
    whereabouts::Whereabouts,
};
use crate::{
    key_group::{KeyGroup, KeyHash},
    stream::{Data, Key},
};

/// No run of a snapshot has this number.
const NO_RUN: u32 = MOST_RUNS;

/// So many entries fit.
pub(super) const CAPACITY: usize = BUCKETS / 8 * 7;

/// Entries of one key group whose hashes are next to one another.
///
/// In this order, and from a line of memory on, because a look-up then reads one line of it, and in a small segment touches no other.
#[repr(C, align(128))]
pub(super) struct Segment<K, V> {
    pub entries: HashTable<Entry<K, V>>,
    /// The group.
    pub group: KeyGroup,
    /// By how many bits below the key group the hashes of the segment agree.
    pub depth: u32,
    /// The freeze whose sweep has been here last.
    pub swept: u32,
    /// The run of the newest full snapshot in which all its entries are; [`NO_RUN`] if some are in none.
    run: u32,
    /// Where its entries were then.
    pub whereabouts: Whereabouts,
    /// Which of its buckets were touched since.
    pub marks: Marks,
    /// Which of its entries can be written without their keys.
    pub known: Known,
    /// Which of its buckets are not vacant.
    pub occupied: Marks,
}

pub(super) struct Entry<K, V> {
    pub key: K,
    pub value: V,
}

/// The segment's own view of a key's hash. It picks buckets by the low bits and tags entries with the top seven. All keys of
/// a segment share the top bits (they name its key group and the segment), so lower bits are folded into them.
#[inline]
pub(super) fn slot_hash(hash: KeyHash) -> u64 {
    hash.0 ^ (hash.0 << 20)
}

impl<K: Key, V: Data> Segment<K, V> {
    pub fn new(group: KeyGroup, depth: u32, swept: u32) -> Self {
        let (whereabouts, marks, occupied, known) = Default::default();
        Self { entries: HashTable::new(), group, depth, swept, run: NO_RUN, whereabouts, marks, occupied, known }
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

    /// The value in this bucket.
    #[inline]
    pub fn value(&mut self, bucket: usize) -> &mut V {
        &mut self.entries.get_bucket_mut(bucket).expect("nothing has moved since it was found there").value
    }

    /// The value in this bucket, which is about to change, and whether it does so for the first time since the freeze.
    #[inline]
    pub fn touch(&mut self, bucket: usize) -> (&mut V, bool) {
        let is_first = self.marks.set(bucket);
        (self.value(bucket), is_first)
    }

    /// Likewise, if it is the bucket of this key.
    #[inline(always)]
    pub fn touch_if(&mut self, bucket: usize, key: &K) -> Option<(&mut V, bool)> {
        let entry = self.entries.get_bucket_mut(bucket).filter(|e| e.key == *key)?;
        Some((&mut entry.value, self.marks.set(bucket)))
    }

    /// Puts an entry into a segment that is not full. Says whether its bucket is marked for the first time since the freeze.
    #[inline(always)]
    pub fn insert(&mut self, hash: KeyHash, entry: Entry<K, V>, is_marked: bool) -> bool {
        let rehash = |_: &Entry<K, V>| unreachable!("an entry was put into a segment that is full");
        let bucket = self.entries.insert_unique(slot_hash(hash), entry, rehash).bucket_index();
        self.occupied.set(bucket);
        self.run = NO_RUN;
        is_marked && self.marks.set(bucket)
    }

    /// The addresses of what is read when all entries are, as far as they are known, by pairs.
    pub fn lines(&self) -> impl Iterator<Item = [usize; 2]> + use<K, V> {
        self.whereabouts.all::<Entry<K, V>>(self.entries.num_buckets())
    }

    /// Likewise when only marked entries are.
    pub fn marked_lines(&self) -> impl Iterator<Item = [usize; 2]> + use<'_, K, V> {
        self.whereabouts.marked::<Entry<K, V>>(self.entries.num_buckets(), &self.marks)
    }

    /// The entries in the marked buckets, as far as these are not vacant.
    pub fn entries_in(&self, marks: &Marks) -> impl Iterator<Item = &Entry<K, V>> {
        marks.iter(self.entries.num_buckets()).filter_map(|bucket| self.entries.get_bucket(bucket))
    }

    /// Takes the entry out of a bucket. Says whether it was known.
    pub fn remove(&mut self, bucket: usize) -> (Entry<K, V>, bool) {
        let found = self.entries.get_bucket_entry(bucket).ok().expect("nothing has moved since it was found there");
        let (entry, _) = found.remove();
        if self.entries.is_empty() {
            self.entries = HashTable::new();
        }
        self.occupied.clear(bucket);
        (entry, self.known.forget(bucket))
    }

    /// The place of the entry in this bucket in the newest full snapshot, if that has it.
    #[inline(always)]
    pub fn known_place(&self, bucket: usize) -> Option<KnownPlace> {
        // As a rule there is no need to look into another line of memory.
        let run = if self.run == NO_RUN { self.known.run_of(bucket)? } else { self.run };
        Some(KnownPlace::new(self.group, run, bucket))
    }

    /// All entries have been written, in this run of their key group.
    pub fn know(&mut self, run: u32) {
        let can_be_told_apart = self.entries.num_buckets() <= BUCKETS && run < MOST_RUNS;
        (self.run, self.known) =
            if can_be_told_apart { (run, Known::new(run, self.occupied)) } else { (NO_RUN, Known::default()) };
    }

    /// Moves all entries to larger or smaller memory, and their marks with them.
    pub fn rebuild(&mut self, capacity: usize) {
        for Moved { hash, entry, is_marked } in self.take_apart(capacity) {
            self.insert(hash, entry, is_marked);
        }
    }

    /// Splits the segment: the entries for which `goes` holds move to another one. Both are one bit deeper.
    pub fn split(&mut self, goes: impl Fn(KeyHash) -> bool) -> Self {
        let room = CAPACITY.max(self.entries.len());
        self.depth += 1;
        let mut other = Self::new(self.group, self.depth, self.swept);
        other.entries = HashTable::with_capacity(room);
        for Moved { hash, entry, is_marked } in self.take_apart(room) {
            let into = if goes(hash) { &mut other } else { &mut *self };
            into.insert(hash, entry, is_marked);
        }
        other
    }

    /// Leaves the segment empty, with this room. Hands out what was in it, which is not known any more.
    fn take_apart(&mut self, room: usize) -> impl Iterator<Item = Moved<K, V>> + use<K, V> {
        let mut entries = std::mem::replace(&mut self.entries, HashTable::with_capacity(room));
        let marks = std::mem::take(&mut self.marks);
        (self.occupied, self.known) = Default::default();
        (0..entries.num_buckets()).filter_map(move |bucket| {
            let (entry, _) = entries.get_bucket_entry(bucket).ok()?.remove();
            let is_marked = marks.get(bucket) && !planted!(MarksLostInGrowth); // FLINK-26968
            Some(Moved { hash: entry.key.key_hash(), entry, is_marked })
        })
    }
}

/// An entry on its way to other memory.
struct Moved<K, V> {
    hash: KeyHash,
    entry: Entry<K, V>,
    is_marked: bool,
}
