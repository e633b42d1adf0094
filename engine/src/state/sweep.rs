//! How a table is frozen without stopping the stream.
//!
//! A freeze only notes that it has happened. From then on segments are encoded one after the other, in the order of the
//! directory, by a *sweep* that goes on between two batches; a segment that is to be changed before the sweep has come to it is
//! encoded first. So the bytes hold the state as it was at the freeze, whatever is done meanwhile.

use super::{
    ValueStateDescriptor, ValueTable, codec,
    frozen::{Extent, ExtentKind, FrozenKeyedState},
    prefetch::prefetch_both,
    segment::{Entry, Marks, Segment},
    table::Removed,
};
use crate::{
    error::{Error, Result},
    key_group::KeyGroup,
    probe::KeyGroupContent,
    stream::{Data, Key, hash_bytes},
};

/// What it costs to encode so many entries of so many bytes, as a number of small entries.
fn encoding_cost(entries: u64, bytes: u64) -> u64 {
    entries.max(bytes / SMALL_ENTRY)
}

/// To encode so many bytes takes as long as to find them.
const SMALL_ENTRY: u64 = 64;

/// How far ahead of its encoding the processor is asked for a segment, in segments: where few of the entries are encoded, the
/// next segment would come too late.
const DELTA_AHEAD: usize = 16;
const FULL_AHEAD: usize = 1;

/// A frozen table that is being encoded.
pub(super) struct Sweep<K> {
    is_delta: bool,
    buffer: Vec<u8>,
    extents: Vec<Extent>,
    removed: Removed<K>,
    /// The slot of the directory from which it goes on.
    pub next_slot: usize,
    /// Why a segment could not be encoded.
    error: Option<postcard::Error>,
}

impl<K> Sweep<K> {
    /// The bytes from `start` to the end are entries, or keys, of this group.
    fn close_extent(&mut self, group: KeyGroup, kind: ExtentKind, entries: u64, start: usize) {
        if entries == 0 {
            return;
        }
        let (position, len) = (start as u64, (self.buffer.len() - start) as u64);
        match self.extents.last_mut() {
            Some(last)
                if (last.group == group || planted!(WrongKeyGroup)) // FLINK-26063
                    && (last.kind, last.position + last.len) == (kind, position) =>
            {
                last.entries += entries;
                last.len += len;
            }
            _ => {
                self.seal_extent();
                self.extents.push(Extent { group, kind, entries, position, len, checksum: 0 });
            }
        }
    }

    /// The newest extent is as long as it will be: its checksum is made while its bytes are still in the processor's caches.
    fn seal_extent(&mut self) {
        if let Some(last) = self.extents.last_mut() {
            let bytes = &self.buffer[last.position as usize..][..last.len as usize];
            last.checksum = hash_bytes(bytes).0;
        }
    }
}

impl<K: Key, V: Data> ValueTable<K, V> {
    /// Fixes what the next snapshot holds: everything, or, if `delta` allows it, what has changed since the freeze before.
    /// What is encoded is appended to `buffer`.
    ///
    /// # Panics
    /// If the table is frozen.
    pub fn freeze(&mut self, delta: bool, buffer: Vec<u8>) {
        assert!(self.sweep.is_none(), "a table is frozen twice");
        let removed = std::mem::take(&mut self.removed);
        let is_delta = delta && !removed.overflowed;
        self.freezes = self.freezes.wrapping_add(1);
        self.touched = 0;
        self.sweep =
            Some(Box::new(Sweep { is_delta, buffer, extents: Vec::new(), removed, next_slot: 0, error: None }));
    }

    /// How many entries and keys a delta would hold if the table were frozen now; `None` if that is not known any more.
    #[must_use]
    pub fn changed(&self) -> Option<usize> {
        (!self.removed.overflowed).then_some(self.touched + self.removed.count)
    }

    /// Encodes what is frozen and not yet encoded, segment by segment, until `budget`, in small entries, is used up: at
    /// least one segment if the budget is not zero. Says whether all is encoded.
    ///
    /// # Errors
    /// `UserCode` if a key or a value refuses to be encoded.
    pub fn sweep(&mut self, budget: &mut u64) -> Result<bool> {
        let Some(Sweep { is_delta, next_slot, .. }) = self.sweep.as_deref() else { return Ok(true) };
        let (mut slot, mut asked) = (*next_slot, *next_slot);
        for _ in 0..if *is_delta { DELTA_AHEAD } else { FULL_AHEAD } {
            asked = self.ask_for(asked);
        }
        while slot < self.directory.slots().len() {
            if *budget == 0 {
                return Ok(false);
            }
            let mut encoded = 1;
            if slot % (1 << self.directory.depth()) == 0 {
                encoded += self.encode_removed(slot >> self.directory.depth());
            }
            let segment = self.directory.slots()[slot] as usize;
            if self.is_unswept(segment) {
                encoded += self.encode_segment(segment, self.directory.slots().get(asked).map(|next| *next as usize));
            } else {
                self.ask_for(asked);
            }
            (slot, asked) = (self.slot_after(slot), self.slot_after(asked));
            self.sweep.as_mut().expect("it was there").next_slot = slot;
            *budget = budget.saturating_sub(encoded);
        }
        match self.sweep.as_mut().and_then(|s| s.error.take()) {
            None => Ok(true),
            Some(e) => Err(Error::user_code(format!("a key or a value cannot be encoded: {e}"))),
        }
    }

    /// The buffer and what is in it. The sweep must be over.
    ///
    /// # Panics
    /// If it is not.
    pub fn collect(&mut self, descriptor: &ValueStateDescriptor<V>) -> (Vec<u8>, FrozenKeyedState) {
        let mut sweep = *self.sweep.take().expect("only what is frozen can be collected");
        assert_eq!(sweep.next_slot, self.directory.slots().len(), "the sweep is not over");
        sweep.seal_extent();
        let Sweep { is_delta, buffer, mut extents, .. } = sweep;
        // What was removed comes first: a key may have come back since.
        extents.sort_by_key(|e| (e.group, e.kind, e.position));
        let type_name = descriptor.type_name::<K>();
        (buffer, FrozenKeyedState { name: descriptor.name().to_owned(), type_name, is_delta, extents })
    }

    /// Forgets what is frozen. The next snapshot must be written in full.
    pub fn abandon(&mut self) {
        self.sweep = None;
    }

    /// Encodes a segment that is about to be changed.
    #[cold]
    #[inline(never)]
    pub(super) fn copy_before_write(&mut self, segment: usize) {
        self.ask_for_segment(segment);
        self.encode_segment(segment, None);
    }

    fn is_unswept(&self, segment: usize) -> bool {
        self.segments[segment].swept != self.freezes
    }

    /// The slot at which the segment after that of this slot begins; beyond the last one there is none.
    fn slot_after(&self, slot: usize) -> usize {
        let Some(segment) = self.directory.slots().get(slot) else { return slot };
        slot + self.directory.slots_of_depth(self.segments[*segment as usize].depth)
    }

    /// Asks the processor for the segment that begins at this slot. Gives the slot of the one after it.
    fn ask_for(&self, slot: usize) -> usize {
        if let Some(segment) = self.directory.slots().get(slot) {
            self.ask_for_segment(*segment as usize);
        }
        self.slot_after(slot)
    }

    /// Asks the processor for what will be read when this segment is encoded.
    fn ask_for_segment(&self, index: usize) {
        let segment = &self.segments[index];
        match &self.sweep {
            Some(sweep) if sweep.is_delta => segment.marked_lines().for_each(prefetch_both),
            _ => segment.lines().for_each(prefetch_both),
        }
    }

    /// Encodes a segment, and says what that has cost. Meanwhile the processor is asked for another one, line by line: all at
    /// once would be more than it can wait for.
    fn encode_segment(&mut self, index: usize, ahead: Option<usize>) -> u64 {
        let ahead = ahead.filter(|ahead| self.is_unswept(*ahead));
        let sweep = self.sweep.as_mut().expect("only what is frozen is encoded");
        let segment = &self.segments[index];
        let ahead = ahead.map(|ahead| &self.segments[ahead]);
        let start = sweep.buffer.len();
        let encoded = if sweep.is_delta {
            encode(segment.marked(), ahead.map(Segment::marked_lines), &mut sweep.buffer)
        } else {
            encode(segment.entries.iter(), ahead.map(Segment::lines), &mut sweep.buffer)
        };
        let entries = encoded.unwrap_or_else(|e| {
            sweep.error = Some(e);
            0
        });
        let bytes = (sweep.buffer.len() - start) as u64;
        sweep.close_extent(segment.group, ExtentKind::Entries, entries, start);
        let segment = &mut self.segments[index];
        segment.whereabouts.note(&segment.entries);
        segment.swept = self.freezes;
        segment.marks = Marks::default();
        encoding_cost(entries, bytes)
    }

    /// Encodes the keys that were removed from a key group.
    fn encode_removed(&mut self, group: usize) -> u64 {
        let sweep = self.sweep.as_mut().expect("only what is frozen is encoded");
        let keys = sweep.removed.groups.get_mut(group).map(std::mem::take).unwrap_or_default();
        if !sweep.is_delta || planted!(RemovedNotInDelta) {
            return 0;
        }
        let start = sweep.buffer.len();
        if let Err(e) = keys.iter().try_for_each(|key| codec::encode(key, &mut sweep.buffer)) {
            sweep.error = Some(e);
        }
        let group = KeyGroup(self.owned.start + group as u32);
        sweep.close_extent(group, ExtentKind::Removed, keys.len() as u64, start);
        keys.len() as u64
    }

    /// What the table holds, whatever the order: for each key group with entries the sum of their checksums.
    ///
    /// # Errors
    /// `UserCode` if a key or a value refuses to be encoded.
    pub fn content(&self) -> Result<Vec<KeyGroupContent>> {
        let mut groups: Vec<KeyGroupContent> = Vec::new();
        let mut bytes = Vec::new();
        let mut previous = None;
        for index in self.directory.slots() {
            let segment = &self.segments[*index as usize];
            if previous.replace(*index) == Some(*index) || segment.entries.is_empty() {
                continue;
            }
            if groups.last().is_none_or(|g| g.group != segment.group) {
                groups.push(KeyGroupContent { group: segment.group, sum: 0 });
            }
            let into = groups.last_mut().expect("just pushed");
            for entry in &segment.entries {
                bytes.clear();
                codec::encode(&entry.key, &mut bytes)
                    .and_then(|()| codec::encode(&entry.value, &mut bytes))
                    .map_err(|e| Error::user_code(format!("a key or a value cannot be encoded: {e}")))?;
                into.sum = into.sum.wrapping_add(hash_bytes(&bytes).0);
            }
        }
        Ok(groups)
    }
}

/// Appends the entries. Says how many they were. Asks the processor for what is at the addresses `ahead`, two with each entry: in
/// so many lines it may lie, if it is small.
fn encode<'a, K: Key, V: Data>(
    entries: impl Iterator<Item = &'a Entry<K, V>>,
    mut ahead: Option<impl Iterator<Item = [usize; 2]>>,
    out: &mut Vec<u8>,
) -> postcard::Result<u64> {
    let mut encoded = 0;
    for entry in entries {
        if let Some(addresses) = ahead.as_mut().and_then(Iterator::next) {
            prefetch_both(addresses);
        }
        codec::encode(&entry.key, out)?;
        codec::encode(&entry.value, out)?;
        encoded += 1;
    }
    ahead.into_iter().flatten().for_each(prefetch_both);
    Ok(encoded)
}
