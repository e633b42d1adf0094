//! Changes of known entries, written down as they happen.
//!
//! Where few entries change between two freezes, they lie apart, and to fetch them once more takes longer than everything else
//! that an incremental snapshot does. So each change is written down while its entry is in the cache; and in one list for the
//! whole table, because one for each key group would be one more line of memory to wait for. The list is dealt out to the key
//! groups, encoded, whenever it has become a little too long for the cache.
//!
//! What is written is a place in the newest full snapshot (see `known`) and a value. Neither hangs on what becomes of the entry:
//! nothing has to be done when it moves or goes. An entry that changes again is written again, and the later one counts.
//!
//! ```text
//!   of a key group:  for each change: 512 × run + bucket | value
//! ```

use std::mem;

use super::{changes::Run, codec, marks::BUCKETS, prefetch::prefetch_both, snapshot::PieceReader, whereabouts::LINE};
use crate::{
    error::Result,
    key_group::{KeyGroup, KeyGroupRange},
    stream::Data,
};

/// So many runs of a key group can be told apart.
pub(super) const MOST_RUNS: u32 = u32::MAX / BUCKETS as u32;

/// Where an entry is in the newest full snapshot.
#[derive(Clone, Copy)]
pub(super) struct KnownPlace {
    /// There are fewer than 2^15 key groups.
    group: u16,
    /// 512 × run + bucket.
    in_group: u32,
}

impl KnownPlace {
    /// The run must be less than [`MOST_RUNS`].
    #[inline]
    pub fn new(group: KeyGroup, run: u32, bucket: usize) -> Self {
        Self { group: group.0 as u16, in_group: run * BUCKETS as u32 + bucket as u32 }
    }
}

/// The changes of a table since it was frozen last, as far as they are written down.
pub(super) struct ChangeLog<V> {
    /// So many more may be.
    room: usize,
    /// The newest ones.
    recent: Vec<(KnownPlace, V)>,
    /// The others, by key group from `first` on.
    groups: Vec<Logged>,
    first: KeyGroup,
    /// How many these are.
    dealt: usize,
    /// Whether one of them could not be encoded: it may have been replaced since by one that can, so that is no error yet.
    is_broken: bool,
}

/// The changes of a key group.
#[derive(Default)]
pub(super) struct Logged {
    pub bytes: Vec<u8>,
    /// How many they are.
    pub changes: u64,
}

/// Whether values of this type take few bytes, so that to write one of them takes less than to find out whether that is needed.
pub(super) const fn is_small_and_plain<V>() -> bool {
    size_of::<V>() <= 16 && !mem::needs_drop::<V>()
}

/// So many are dealt out at once: they are in the cache still.
const AT_ONCE: usize = 1024;

impl<V> Default for ChangeLog<V> {
    fn default() -> Self {
        Self { room: 0, recent: Vec::new(), groups: Vec::new(), first: KeyGroup(0), dealt: 0, is_broken: false }
    }
}

impl<V: Data> ChangeLog<V> {
    /// Begins anew, when it is empty or finished: up to so many changes are written down, of these key groups.
    pub fn begin(&mut self, owned: KeyGroupRange, most: usize) {
        self.room = if is_small_and_plain::<V>() { most } else { 0 };
        self.groups.resize_with(owned.len() as usize, Logged::default);
        for group in &mut self.groups {
            group.bytes.clear();
            group.changes = 0;
        }
        (self.first, self.dealt, self.is_broken) = (KeyGroup(owned.start), 0, false);
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.dealt + self.recent.len()
    }

    /// Whether one more can be written down.
    #[inline]
    pub fn has_room(&self) -> bool {
        is_small_and_plain::<V>() && self.room > 0
    }

    /// For a change of the entry at this place. There must be room.
    #[inline(always)]
    pub fn entry(&mut self, place: KnownPlace) -> LogEntry<'_, V> {
        LogEntry { log: self, place }
    }

    /// Encodes the newest changes, each for its key group.
    #[inline(never)]
    fn deal(&mut self) {
        self.dealt += self.recent.len();
        for group in &self.groups {
            let end = group.bytes.as_ptr().addr() + group.bytes.len();
            prefetch_both([end, end + LINE]);
        }
        for (place, value) in self.recent.drain(..) {
            let group = &mut self.groups[usize::from(place.group) - self.first.0 as usize];
            let encoded = codec::encode(&place.in_group, &mut group.bytes);
            self.is_broken |= encoded.and_then(|()| codec::encode(&value, &mut group.bytes)).is_err();
            group.changes += 1;
        }
    }

    /// There will be no more of them.
    pub fn finish(&mut self) {
        self.deal();
    }

    /// Whether the changes cannot be told, so that the next snapshot is to be written in full.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// The changes of a group, once there are no more; `None` if it is none of those that it began with.
    pub fn of(&self, group: KeyGroup) -> Option<&Logged> {
        self.groups.get((group.0 - self.first.0) as usize)
    }
}

/// A change that is to be written down.
pub(crate) struct LogEntry<'l, V> {
    log: &'l mut ChangeLog<V>,
    place: KnownPlace,
}

impl<V: Data> LogEntry<'_, V> {
    /// The value has become this one.
    #[inline(always)]
    pub fn write(self, value: &V) {
        let Self { log, place } = self;
        log.room -= 1;
        log.recent.push((place, value.clone()));
        if log.recent.len() == AT_ONCE {
            log.deal();
        }
    }
}

/// Takes a change off what was written down of a key group whose newest full snapshot has these runs: gives `change` the place of
/// the entry among those of the group, and the piece, to take the value from there.
pub(super) fn decode_logged<'a>(
    runs: &[Run],
    reader: &mut PieceReader<'a>,
    change: impl FnOnce(usize, &mut PieceReader<'a>) -> Result<()>,
) -> Result<()> {
    let number = reader.number()?;
    let (run, bucket) = (number / BUCKETS, number % BUCKETS);
    match runs.get(run).and_then(|run| run.place(bucket)) {
        Some(place) => change(place, reader),
        None => Err(reader.damaged(&format!("a change in bucket {bucket} of run {run}, where nothing is"))),
    }
}
