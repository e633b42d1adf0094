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
//! Each segment knows which of its buckets were touched since the last freeze, and the table which keys were removed, and some of
//! the changes (`change_log`): that is what an incremental snapshot writes. How a table is frozen stands in `sweep`.

use super::{
    change_log::{ChangeLog, LogEntry},
    directory::Directory,
    segment::{CAPACITY, Entry, Segment},
    shortcuts::{Place, Shortcuts},
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
    pub(super) directory: Directory,
    pub(super) segments: Vec<Segment<K, V>>,
    pub(super) len: usize,
    /// How many marks were set since the last freeze.
    pub(super) touched: usize,
    /// What was changed since then without a mark.
    pub(super) log: ChangeLog<V>,
    /// Memory for the next one.
    pub(super) spare_log: ChangeLog<V>,
    /// How many entries can be written without their keys.
    pub(super) known: usize,
    pub(super) removed: Removed<K>,
    /// How many keys have come since the last freeze.
    pub(super) inserted: usize,
    /// Whether keys were removed since everything was frozen.
    pub(super) has_removed: bool,
    /// How often the table was frozen.
    pub(super) freezes: u32,
    pub(super) sweep: Option<Box<Sweep<K, V>>>,
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

/// Where keys of a batch are likely to stand; see [`ValueTable::locate`]. Kept by the caller, so that its memory is used again.
#[derive(Default)]
pub struct Located {
    /// Segment and bucket.
    places: Vec<(u32, u32)>,
}

/// Up to so many entries are taken to be in a cache of the processor, so that none has to be waited for.
pub(super) const IN_CACHE: usize = 1 << 14;

/// No segment has such a bucket.
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
            directory: Directory::new(max_parallelism, owned, 0),
            segments: (owned.start..owned.end).map(|g| Segment::new(KeyGroup(g), 0, 0)).collect(),
            len: 0,
            touched: 0,
            log: ChangeLog::default(),
            spare_log: ChangeLog::default(),
            known: 0,
            removed: Removed::default(),
            inserted: 0,
            has_removed: false,
            freezes: 0,
            sweep: None,
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
        let (segment, bucket) = self.find(hash, key)?;
        self.segments[segment].entries.get_bucket(bucket).map(|e| &e.value)
    }

    /// The value of a key, to be changed in place.
    #[inline]
    pub fn get_mut(&mut self, hash: KeyHash, key: &K) -> Option<&mut V> {
        let (segment, bucket) = self.find(hash, key)?;
        Some(self.touch(segment, bucket))
    }

    /// The segment and the bucket of a key, and notes the way there. Apart, because who follows shortcuts needs it for few keys.
    #[inline(never)]
    pub(crate) fn find_and_note(&self, shortcuts: &mut Shortcuts, hash: KeyHash, key: &K) -> Option<(usize, usize)> {
        let (segment, bucket) = self.find(hash, key)?;
        shortcuts.note(hash, segment, bucket);
        Some((segment, bucket))
    }

    /// The value of a key, to be changed in place, if that is where a shortcut leads.
    #[inline(always)]
    pub(crate) fn get_mut_at(&mut self, place: Place, key: &K) -> Option<&mut V> {
        let index = place.segment();
        self.segments.get(index)?;
        // If the guess is wrong, a segment is encoded sooner than it need be.
        self.before_write(index);
        let (value, is_first) = self.segments[index].touch_if(place.bucket(), key)?;
        self.touched += usize::from(is_first);
        Some(value)
    }

    /// The segment and the bucket of a key.
    #[inline]
    fn find(&self, hash: KeyHash, key: &K) -> Option<(usize, usize)> {
        let segment = self.directory.segment(hash);
        Some((segment, self.segments[segment].find(hash, key)?))
    }

    /// The value in a bucket in which a key was found, to be changed in place.
    #[inline]
    fn touch(&mut self, segment: usize, bucket: usize) -> &mut V {
        self.before_write(segment);
        let (value, is_first) = self.segments[segment].touch(bucket);
        self.touched += usize::from(is_first);
        value
    }

    /// The value in a bucket in which a key was found, to be changed in place; and where that is to be written down, if it is not
    /// marked already.
    #[inline(always)]
    pub(crate) fn change(&mut self, (segment, bucket): (usize, usize)) -> (&mut V, Option<LogEntry<'_, V>>) {
        self.before_write(segment);
        let segment = &mut self.segments[segment];
        if self.log.has_room()
            && let Some(place) = segment.known_place(bucket)
        {
            // FLINK-26968
            let is_noted = !(planted!(UpdateInPlaceMissed) && self.sweep.is_none());
            return (segment.value(bucket), is_noted.then(|| self.log.entry(place)));
        }
        let (value, is_first) = segment.touch(bucket);
        self.touched += usize::from(is_first);
        (value, None)
    }

    /// Whether the table fits into a cache of the processor, so that [`Shortcuts`] are of use, and to [`locate`](Self::locate) keys
    /// is not.
    pub(crate) fn is_small(&self) -> bool {
        self.len <= IN_CACHE
    }

    /// Looks for keys of these hashes, all before any of them is changed: with a large table, the processor then waits for
    /// all of them together.
    ///
    /// Reads tags only, asks for the entries to which they point, and leaves it to who uses one to compare. What a tag has made the
    /// processor expect wrongly then costs that look-up, and not all those that were begun after it.
    #[inline]
    pub fn locate(&self, hashes: impl Iterator<Item = KeyHash>, into: &mut Located) {
        into.places.clear();
        into.places.extend(hashes.map(|hash| {
            let segment = self.directory.segment(hash);
            let bucket = self.segments[segment].guess(hash);
            (segment as u32, bucket.map_or(NOWHERE, |b| b as u32))
        }));
    }

    /// Where the key is that was the `i`th to be looked for; also if the table has changed since.
    #[inline]
    pub(crate) fn located(&self, located: &Located, i: usize, hash: KeyHash, key: &K) -> Option<(usize, usize)> {
        if let Some((segment, bucket)) = located.places.get(i)
            && self.segments[*segment as usize].holds(*bucket as usize, key)
        {
            return Some((*segment as usize, *bucket as usize));
        }
        self.find_elsewhere(hash, key)
    }

    /// The segment and the bucket of a key that is not where it was expected. Apart, because that is so for few.
    #[inline(never)]
    fn find_elsewhere(&self, hash: KeyHash, key: &K) -> Option<(usize, usize)> {
        self.find(hash, key)
    }

    /// To be called before keys of these hashes are changed: what is frozen of their segments is encoded now, one after the other,
    /// so that each is fetched while the one before is encoded. Without it, each change sees to its own segment, and waits for it.
    #[inline]
    pub fn before_changes(&mut self, hashes: impl Iterator<Item = KeyHash>) {
        if self.sweep.is_some() && !planted!(CopyOnWriteForgotten) {
            self.copy_before_writes(hashes); // FLINK-9269
        }
    }

    /// Changes the value of the key that was the `i`th to be looked for; also if the table has changed since. `None` if it has none.
    #[inline]
    pub fn change_located<R>(
        &mut self,
        located: &Located,
        i: usize,
        hash: KeyHash,
        key: &K,
        change: impl FnOnce(&mut V) -> R,
    ) -> Option<R> {
        let place = self.located(located, i, hash, key)?;
        let (value, log) = self.change(place);
        let result = change(value);
        log.into_iter().for_each(|entry| entry.write(value));
        Some(result)
    }

    /// Gives a value to a key that has none.
    #[inline]
    pub fn insert_new(&mut self, hash: KeyHash, key: K, value: V) {
        self.insert_new_inlined(hash, key, value);
    }

    /// Likewise, for the loop of a restore, which is a quarter faster if this is no call.
    #[inline(always)]
    pub(super) fn insert_new_inlined(&mut self, hash: KeyHash, key: K, value: V) {
        debug_assert!(self.get(hash, &key).is_none(), "a key would stand twice in a table");
        let mut segment = self.directory.segment(hash);
        self.before_write(segment);
        while self.segments[segment].is_full() {
            self.make_room(segment, hash);
            segment = self.directory.segment(hash);
        }
        self.touched += usize::from(self.segments[segment].insert(hash, Entry { key, value }, true));
        self.inserted += 1;
        self.len += 1;
    }

    /// Takes the value of a key away.
    pub fn remove(&mut self, hash: KeyHash, key: &K) -> Option<V> {
        let (index, bucket) = self.find(hash, key)?;
        self.before_write(index);
        let segment = &mut self.segments[index];
        let (Entry { key, value }, was_known) = segment.remove(bucket);
        self.known -= usize::from(was_known);
        let group = (segment.group.0 - self.owned.start) as usize;
        self.len -= 1;
        self.has_removed = true;
        self.removed.push(group, key, self.owned.len() as usize, self.len);
        Some(value)
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
        let (slots, most_slots) = (self.directory.slots().len() * 2, self.segments.len() * SLOTS_PER_SEGMENT);
        let segment = &mut self.segments[index];
        // Whatever is done: entries move.
        self.known -= segment.known.entries().count();
        let entries = segment.entries.len();
        // A segment that is nearly full once its vacated buckets are swept out would be full again at once.
        if entries < CAPACITY / 4 * 3 {
            segment.rebuild((2 * entries + 1).min(CAPACITY));
            return;
        }
        if segment.depth == self.directory.depth() {
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
        self.directory.double();
        if let Some(sweep) = &mut self.sweep {
            sweep.next_slot *= 2;
        }
    }

    /// Splits the segment in which this hash belongs.
    fn split(&mut self, index: usize, hash: KeyHash) {
        let depth = self.segments[index].depth;
        let other = self.segments[index].split(|h| self.directory.is_in_upper_half(h, depth));
        self.directory.give_upper_half(hash, depth, self.segments.len() as u32);
        self.segments.push(other);
    }

    /// Makes a table ready for so many keys, evenly spread. Must be empty.
    pub(super) fn presize(&mut self, keys: usize) {
        let per_group = keys / self.owned.len().max(1) as usize;
        let mut depth = 0;
        while per_group >> depth > CAPACITY * 5 / 8 {
            depth += 1;
        }
        self.directory = Directory::new(self.max_parallelism, self.owned, depth);
        let is_small = per_group >> depth <= CAPACITY / 4;
        let segment = |slot: &u32| {
            let mut segment = Segment::new(KeyGroup(self.owned.start + (slot >> depth)), depth, self.freezes);
            if !is_small {
                segment.entries = hashbrown::HashTable::with_capacity(CAPACITY);
            }
            segment
        };
        self.segments = self.directory.slots().iter().map(segment).collect();
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
