//! Keyed state in memory: one hash table per state and subtask, made of segments of bounded size.
//!
//! ```text
//!   hash of a key ──► key group | next bits ──► directory ──► segment ──► bucket
//! ```
//!
//! The directory has as many slots for each key group that the subtask owns. A segment that is full splits in two; when that
//! needs one more bit than the directory has, the directory doubles. So no operation moves more than a segment's entries and
//! a directory, which is a few bytes for each hundred entries: what the stream waits for does not grow with the state.
//!
//! Each segment knows which of its buckets were touched since the last freeze, and the table which keys were removed: that is
//! what an incremental snapshot writes. How a table is frozen stands in `sweep`.

use super::{
    segment::{CAPACITY, Entry, Segment},
    sweep::Sweep,
};
use crate::{
    key_group::{KeyGroup, KeyGroupRange, KeyHash},
    stream::{Data, Key},
};

/// The directory may have so many slots for each segment: more would be needed only for hashes that are nearly the same.
const SLOTS_PER_SEGMENT: usize = 16;

/// A value per key.
pub struct ValueTable<K, V> {
    pub(super) max_parallelism: u32,
    pub(super) owned: KeyGroupRange,
    /// The directory has `1 << depth` slots for each key group.
    pub(super) depth: u32,
    pub(super) directory: Vec<u32>,
    pub(super) segments: Vec<Segment<K, V>>,
    pub(super) len: usize,
    /// How many marks were set since the last freeze.
    pub(super) touched: usize,
    pub(super) removed: Removed<K>,
    /// How often the table was frozen.
    pub(super) freezes: u32,
    pub(super) sweep: Option<Box<Sweep<K>>>,
    /// Rises when entries have changed their buckets.
    layout: u64,
}

/// The keys that were removed since the last freeze.
pub(super) struct Removed<K> {
    /// By key group, from the first that the subtask owns on. Empty until something is removed.
    pub groups: Vec<Vec<K>>,
    pub count: usize,
    /// There were too many to be remembered: the next snapshot is written in full.
    pub overflowed: bool,
}

impl<K> Default for Removed<K> {
    fn default() -> Self {
        Self { groups: Vec::new(), count: 0, overflowed: false }
    }
}

/// Where keys of a batch were found, if they were looked for; see [`ValueTable::locate`]. Kept by the caller, so that its
/// memory is used again.
#[derive(Default)]
pub struct Located {
    /// Segment and bucket.
    places: Vec<(u32, u32)>,
    layout: u64,
}

/// Up to so many entries are taken to be in a cache of the processor, so that none has to be waited for.
pub(super) const IN_CACHE: usize = 1 << 14;

const NOWHERE: u32 = u32::MAX;

impl<K: Key, V: Data> ValueTable<K, V> {
    /// An empty table of a subtask that owns these key groups of `max_parallelism`.
    ///
    /// # Panics
    /// If the range goes beyond them. The methods that take a key panic if it is in none of them.
    #[must_use]
    pub fn new(max_parallelism: u32, owned: KeyGroupRange) -> Self {
        assert!(owned.end <= max_parallelism, "{owned:?} of {max_parallelism} key groups");
        Self {
            max_parallelism,
            owned,
            depth: 0,
            directory: (0..owned.len()).collect(),
            segments: (owned.start..owned.end).map(|g| Segment::new(KeyGroup(g), 0, 0)).collect(),
            len: 0,
            touched: 0,
            removed: Removed::default(),
            freezes: 0,
            sweep: None,
            layout: 0,
        }
    }

    /// How many keys have a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no key has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a key.
    #[inline]
    pub fn get(&self, hash: KeyHash, key: &K) -> Option<&V> {
        let segment = &self.segments[self.segment(hash)];
        let bucket = segment.find(hash, key)?;
        segment.entries.get_bucket(bucket).map(|e| &e.value)
    }

    /// The value of a key, to be changed in place.
    #[inline]
    pub fn get_mut(&mut self, hash: KeyHash, key: &K) -> Option<&mut V> {
        let index = self.segment(hash);
        self.before_write(index);
        let (value, is_first) = self.segments[index].touch_key(hash, key)?;
        self.touched += usize::from(is_first);
        Some(value)
    }

    /// Looks up the keys of a batch, all before any of them is changed, if the table is too large for the processor's caches or
    /// shall be treated so.
    ///
    /// In two passes: the first reads tags only and guesses from them, the second compares. What a tag has made the processor
    /// expect wrongly is known only when the entry has come from memory; it then costs that look-up, and not all those that
    /// were begun after it.
    #[inline]
    pub fn locate<'k>(&self, keys: impl Iterator<Item = (KeyHash, &'k K)> + Clone, as_large: bool, into: &mut Located)
    where
        K: 'k,
    {
        into.layout = self.layout;
        into.places.clear();
        if self.len <= IN_CACHE && !as_large {
            return;
        }
        into.places.extend(keys.clone().map(|(hash, _)| {
            let segment = self.segment(hash);
            let bucket = self.segments[segment].guess(hash);
            (segment as u32, bucket.map_or(NOWHERE, |b| b as u32))
        }));
        for ((segment, bucket), (_, key)) in into.places.iter_mut().zip(keys) {
            if *bucket != NOWHERE && !self.segments[*segment as usize].holds(*bucket as usize, key) {
                // It will be looked up when its turn comes.
                *bucket = NOWHERE;
            }
        }
    }

    /// The value of the key that was the `i`th to be looked up, to be changed in place; also if the table has changed since.
    #[inline]
    pub fn located_mut(&mut self, located: &Located, i: usize, hash: KeyHash, key: &K) -> Option<&mut V> {
        match located.places.get(i) {
            Some((segment, bucket)) if *bucket != NOWHERE && located.layout == self.layout => {
                let segment = *segment as usize;
                self.before_write(segment);
                let (value, is_first) = self.segments[segment].touch(*bucket as usize);
                self.touched += usize::from(is_first);
                Some(value)
            }
            _ => self.get_mut(hash, key),
        }
    }

    /// Gives a value to a key that has none.
    #[inline]
    pub fn insert_new(&mut self, hash: KeyHash, key: K, value: V) {
        debug_assert!(self.get(hash, &key).is_none(), "a key would stand twice in a table");
        let mut segment = self.segment(hash);
        self.before_write(segment);
        while self.segments[segment].is_full() {
            self.make_room(segment, hash);
            segment = self.segment(hash);
        }
        self.touched += usize::from(self.segments[segment].insert(hash, Entry { key, value }, true));
        self.len += 1;
    }

    /// Takes the value of a key away.
    pub fn remove(&mut self, hash: KeyHash, key: &K) -> Option<V> {
        let index = self.segment(hash);
        let bucket = self.segments[index].find(hash, key)?;
        self.before_write(index);
        let segment = &mut self.segments[index];
        let found = segment.entries.get_bucket_entry(bucket).ok().expect("it was found there");
        let (Entry { key, value }, _) = found.remove();
        if segment.entries.is_empty() {
            segment.entries = hashbrown::HashTable::new();
        }
        let group = (segment.group.0 - self.owned.start) as usize;
        self.len -= 1;
        self.layout += 1;
        self.removed.push(group, key, self.owned.len() as usize, self.len);
        Some(value)
    }

    /// The segment in which a key of this hash belongs.
    #[inline]
    pub(super) fn segment(&self, hash: KeyHash) -> usize {
        self.directory[self.slot(hash)] as usize
    }

    /// Where the directory says that.
    #[inline]
    fn slot(&self, hash: KeyHash) -> usize {
        let (group, below) = self.group_and_below(hash);
        let group = (group - self.owned.start) as usize;
        // Two shifts, because none may shift all bits out.
        group << self.depth | ((below >> 1) >> (63 - self.depth)) as usize
    }

    /// The key group of a hash, as `KeyGroup::of` gives it, and the bits that follow.
    #[inline]
    fn group_and_below(&self, hash: KeyHash) -> (u32, u64) {
        let place = u128::from(hash.0) * u128::from(self.max_parallelism);
        ((place >> 64) as u32, place as u64)
    }

    /// What is frozen must be encoded before it changes.
    #[inline]
    fn before_write(&mut self, segment: usize) {
        if self.sweep.is_some() && self.segments[segment].swept != self.freezes && !planted!(CopyOnWriteForgotten) {
            self.copy_before_write(segment); // FLINK-9269
        }
    }

    /// Makes a segment ready for an entry of this hash, or another one in its place.
    fn make_room(&mut self, index: usize, hash: KeyHash) {
        self.layout += 1;
        let (slots, most_slots) = (self.directory.len() * 2, self.segments.len() * SLOTS_PER_SEGMENT);
        let segment = &mut self.segments[index];
        let entries = segment.entries.len();
        // A segment that is nearly full once its vacated buckets are swept out would be full again at once.
        if entries < CAPACITY / 4 * 3 {
            segment.rebuild((2 * entries + 1).min(CAPACITY));
            return;
        }
        if segment.depth == self.depth {
            if slots > most_slots {
                // The hashes of these keys agree in more bits than chance allows.
                segment.rebuild(entries * 2);
                return;
            }
            self.double_directory();
        }
        self.split(index, hash);
    }

    pub(super) fn double_directory(&mut self) {
        self.depth += 1;
        self.directory = self.directory.iter().flat_map(|segment| [*segment; 2]).collect();
        if let Some(sweep) = &mut self.sweep {
            sweep.next_slot *= 2;
        }
    }

    /// Splits the segment in which this hash belongs.
    fn split(&mut self, index: usize, hash: KeyHash) {
        let slot = self.slot(hash);
        let depth = self.segments[index].depth;
        let max_parallelism = u128::from(self.max_parallelism);
        let next_bit = |h: KeyHash| ((u128::from(h.0) * max_parallelism) as u64) << depth >> 63 == 1;
        let other = self.segments[index].split(next_bit);
        let slots = 1 << (self.depth - depth);
        let start = slot & !(slots - 1);
        self.directory[start + slots / 2..start + slots].fill(self.segments.len() as u32);
        self.segments.push(other);
    }

    /// Makes a table ready for so many keys, evenly spread. Must be empty.
    pub(super) fn presize(&mut self, keys: usize) {
        let per_group = keys / self.directory.len().max(1);
        while per_group >> self.depth > CAPACITY * 5 / 8 {
            self.depth += 1;
        }
        let capacity = per_group >> self.depth;
        let slots = self.owned.len() << self.depth;
        self.directory = (0..slots).collect();
        self.segments.clear();
        for slot in 0..slots {
            let mut segment = Segment::new(KeyGroup(self.owned.start + (slot >> self.depth)), self.depth, self.freezes);
            if capacity > CAPACITY / 4 {
                segment.entries = hashbrown::HashTable::with_capacity(CAPACITY);
            }
            self.segments.push(segment);
        }
    }
}

impl<K> Removed<K> {
    /// Remembers a removal from a table of `groups` key groups, in which `left` keys are left.
    fn push(&mut self, group: usize, key: K, groups: usize, left: usize) {
        if self.overflowed {
            return;
        }
        if self.count >= left.max(1024) {
            *self = Self { overflowed: true, ..Self::default() };
            return;
        }
        if self.groups.is_empty() {
            self.groups.resize_with(groups, Vec::new);
        }
        self.groups[group].push(key);
        self.count += 1;
    }

    /// Adds what was removed from the key groups that follow: `own` are here, `others` there.
    pub(super) fn join(&mut self, own: usize, other: Self, others: usize) {
        self.overflowed |= other.overflowed;
        self.count += other.count;
        if !self.groups.is_empty() || !other.groups.is_empty() {
            self.groups.resize_with(own, Vec::new);
            self.groups.extend(other.groups);
            self.groups.resize_with(own + others, Vec::new);
        }
    }
}
