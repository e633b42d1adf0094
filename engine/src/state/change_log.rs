//! Changes of known entries, written down as they happen.
//!
//! Where few entries change between two freezes, they lie apart, and to fetch them once more takes longer than everything else
//! that an incremental snapshot does. So each change is written down while its entry is in the cache. In one list for the whole
//! table: one for each key group would be one more line of memory to wait for. It is dealt out to the groups when the table is
//! frozen. An entry that changes again stands there again, and the later one counts.
//!
//! What is written is a place in the newest full snapshot (see `known`) and a value, neither of which hangs on what becomes of
//! the table: nothing has to be done when the entry moves or goes.
//!
//! ```text
//!   log:  for each change: 512 × run + bucket | value
//! ```

use std::mem;

use super::{changes::Run, codec, marks::BUCKETS, prefetch::prefetch_both, snapshot::PieceReader};
use crate::{
    error::Result,
    key_group::{KeyGroup, KeyGroupRange},
    stream::Data,
};

/// So many runs of a key group can be told apart here; entries of further ones are not known.
pub(super) const MOST_RUNS: u32 = u32::MAX / BUCKETS as u32;

/// Where an entry is in the newest full snapshot.
#[derive(Clone, Copy)]
pub(super) struct KnownPlace {
    group: u16,
    in_group: u32,
}

impl KnownPlace {
    #[inline]
    pub fn new(group: KeyGroup, run: u32, bucket: usize) -> Self {
        Self { group: group.0 as u16, in_group: run * BUCKETS as u32 + bucket as u32 }
    }
}

/// The changes of a table since it was frozen last.
pub(super) struct ChangeLog<V> {
    /// So many more may be written down.
    room: usize,
    /// The newest ones.
    recent: Vec<(KnownPlace, V)>,
    /// The others, by key group from the first of the subtask on.
    groups: Vec<Logged>,
    first: u32,
    /// How many these are.
    dealt: usize,
    /// Why one could not be encoded.
    error: Option<postcard::Error>,
}

/// What has been encoded of a key group.
#[derive(Default)]
pub(super) struct Logged {
    pub bytes: Vec<u8>,
    pub changes: u64,
}

/// So many are dealt out at once: they are in the cache still, and so are the ends of all groups.
const AT_ONCE: usize = 1024;

const LINE: usize = 64;

impl<V> Default for ChangeLog<V> {
    fn default() -> Self {
        Self { room: 0, recent: Vec::new(), groups: Vec::new(), first: 0, dealt: 0, error: None }
    }
}

impl<V: Data> ChangeLog<V> {
    /// Whether such values are written down: they take few bytes.
    const IS_OF_USE: bool = size_of::<V>() <= 16 && !mem::needs_drop::<V>();

    /// Forgets everything. From now on, up to so many changes are written down, of these key groups.
    pub fn begin(&mut self, owned: KeyGroupRange, most: usize) {
        self.room = if Self::IS_OF_USE { most } else { 0 };
        self.recent.clear();
        self.groups.iter_mut().for_each(|group| {
            group.bytes.clear();
            group.changes = 0;
        });
        self.groups.resize_with(owned.len() as usize, Logged::default);
        (self.first, self.dealt, self.error) = (owned.start, 0, None);
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.dealt + self.recent.len()
    }

    /// Whether one more can be written down.
    #[inline]
    pub fn has_room(&self) -> bool {
        Self::IS_OF_USE && self.room > 0
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
            let group = &mut self.groups[usize::from(place.group) - self.first as usize];
            let encoded = codec::encode(&place.in_group, &mut group.bytes);
            if let Err(e) = encoded.and_then(|()| codec::encode(&value, &mut group.bytes)) {
                self.error = Some(e);
            }
            group.changes += 1;
        }
    }

    /// There will be no more of them.
    pub fn finish(&mut self) -> postcard::Result<()> {
        self.deal();
        self.error.take().map_or(Ok(()), Err)
    }

    /// The changes of a group, once there are no more; `None` if it is not of this subtask.
    pub fn of(&self, group: KeyGroup) -> Option<&Logged> {
        self.groups.get((group.0 - self.first) as usize)
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

/// Takes a change off a log that follows these runs: gives `change` the place of the entry among those of the key group, and the
/// log, to take the value from there.
pub(super) fn decode_logged<'a>(
    runs: &[Run],
    reader: &mut PieceReader<'a>,
    change: impl FnOnce(usize, &mut PieceReader<'a>) -> Result<()>,
) -> Result<()> {
    let place = reader.number()?;
    let (run, bucket) = (place / BUCKETS, place % BUCKETS);
    let place = runs.get(run).and_then(|run| run.place(bucket));
    let place =
        place.ok_or_else(|| reader.damaged(&format!("a change in bucket {bucket} of run {run}, where nothing is")))?;
    change(place, reader)
}
