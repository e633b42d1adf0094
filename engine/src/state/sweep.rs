//! How a table is frozen without stopping the stream.
//!
//! A freeze only notes that it has happened. From then on segments are encoded one after the other, in the order of the
//! directory, by a *sweep* that goes on between two batches; a segment that is to be changed before the sweep has come to it is
//! encoded first. So the bytes hold the state as it was at the freeze, whatever is done meanwhile.

use super::{
    ValueStateDescriptor, ValueTable,
    change_log::{ChangeLog, Logged, is_small_and_plain},
    changes::{encode_changes, encode_difference, encode_many_changes, encode_run},
    codec,
    frozen::{DeltaSize, Extent, ExtentKind, FrozenKeyedState, SnapshotScope, StateSize},
    marks::Marks,
    prefetch::prefetch_both,
    segment::Segment,
    table::Removed,
};
use crate::{
    error::Result,
    key_group::{KeyGroup, KeyGroupRange, KeyHash},
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
const CHANGES_AHEAD: usize = 16;
const ALL_AHEAD: usize = 1;

/// One in so many is few: they are written down while they change. More lie so close that marking them, and reading them once more,
/// takes less.
const FEW: usize = 4;

/// What is encoded of a frozen table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Everything,
    Changes,
    /// Likewise, and the values of all other known entries.
    ManyChanges,
    /// The values of all known entries, and all others with their keys.
    Difference,
}

impl What {
    fn scope(self) -> SnapshotScope {
        match self {
            Self::Everything => SnapshotScope::Full,
            Self::Changes | Self::ManyChanges => SnapshotScope::Incremental,
            Self::Difference => SnapshotScope::Differential,
        }
    }
}

/// A frozen table that is being encoded.
pub(super) struct Sweep<K, V> {
    what: What,
    /// What changed without a mark.
    log: ChangeLog<V>,
    /// The key group from which that is still to be taken.
    next_logged: KeyGroup,
    buffer: Vec<u8>,
    extents: Vec<Extent>,
    removed: Removed<K>,
    /// How many runs of each key group a full snapshot has so far.
    runs: Vec<u32>,
    /// How many of the bytes are values of a full snapshot.
    value_bytes: u64,
    /// The slot of the directory from which it goes on.
    pub next_slot: usize,
    /// Why a segment could not be encoded.
    error: Option<postcard::Error>,
}

impl<K, V: Data> Sweep<K, V> {
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

    /// Takes what was written down, key group by key group, until the budget is used up. Says whether there is no more of it.
    fn take_logged(&mut self, budget: &mut u64) -> bool {
        let log = std::mem::take(&mut self.log);
        while *budget > 0
            && let Some(Logged { bytes, changes }) = log.of(self.next_logged)
        {
            let start = self.buffer.len();
            self.buffer.extend_from_slice(bytes);
            self.close_extent(self.next_logged, ExtentKind::Logged, *changes, start);
            self.next_logged.0 += 1;
            *budget = budget.saturating_sub(encoding_cost(0, bytes.len() as u64).max(1));
        }
        let is_over = log.of(self.next_logged).is_none();
        self.log = log;
        is_over
    }

    /// The run of this key group that is encoded next.
    fn next_run(&mut self, group: KeyGroup, owned: KeyGroupRange) -> u32 {
        let runs = &mut self.runs[(group.0 - owned.start) as usize];
        *runs += 1;
        *runs - 1
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
    /// Fixes what the next snapshot holds: what `scope` says, or everything if the table cannot tell what may be left out. What is
    /// encoded is appended to `buffer`.
    ///
    /// # Panics
    /// If the table is frozen.
    pub fn freeze(&mut self, scope: SnapshotScope, buffer: Vec<u8>) {
        assert!(self.sweep.is_none(), "a table is frozen twice");
        let can_differ = self.differential().is_some();
        let removed = std::mem::take(&mut self.removed);
        let (few, changed) = (self.len / FEW, self.touched + self.log.len());
        let mut log = std::mem::replace(&mut self.log, std::mem::take(&mut self.spare_log));
        log.finish();
        let is_told = !removed.overflowed && !log.is_broken();
        let what = match scope {
            SnapshotScope::Differential if can_differ => What::Difference,
            SnapshotScope::Incremental if is_told && self.has_many_changes() => What::ManyChanges,
            SnapshotScope::Incremental if is_told => What::Changes,
            _ => What::Everything,
        };
        self.has_removed &= what != What::Everything;
        // As many as the last time, most likely.
        self.log.begin(self.owned, if changed <= few { few } else { 0 });
        // With everything in the log, there is nothing to be looked for in the segments.
        let nothing_else = what == What::Changes && self.touched == 0 && removed.count == 0;
        if !nothing_else {
            self.freezes = self.freezes.wrapping_add(1);
        }
        (self.touched, self.inserted) = (0, 0);
        let runs = if what == What::Everything { vec![0; self.owned.len() as usize] } else { Vec::new() };
        // The values of all known entries are among the others.
        let needs_log = matches!(what, What::Changes | What::ManyChanges);
        self.sweep = Some(Box::new(Sweep {
            what,
            next_logged: KeyGroup(if needs_log { self.owned.start } else { self.owned.end }),
            log,
            buffer,
            extents: Vec::new(),
            removed,
            runs,
            value_bytes: 0,
            next_slot: if nothing_else { self.directory.slots().len() } else { 0 },
            error: None,
        }));
    }

    /// How much there is, and how much of it a delta would hold if the table were frozen now.
    #[must_use]
    pub fn size(&self) -> StateSize {
        let unknown = self.touched.min(self.len - self.known);
        let (log, removed) = (self.log.len(), self.removed.count);
        let changed = if self.has_many_changes() { self.known + unknown } else { self.touched };
        let is_told = !self.removed.overflowed && !self.log.is_broken();
        StateSize {
            entries: self.len as u64,
            incremental: is_told.then(|| self.delta(changed + log + removed, unknown, removed)),
            differential: self.differential(),
        }
    }

    /// So many changes, of which so many are entries that are not known, and so many are removed keys.
    fn delta(&self, changes: usize, unknown: usize, removed: usize) -> DeltaSize {
        let [changes, keyed, again] =
            [changes, unknown + removed, unknown.saturating_sub(self.inserted)].map(|n| n as u64);
        DeltaSize { changes, keyed, again }
    }

    /// What a differential snapshot would hold. There is none once a key was removed since the newest full one: which, nobody
    /// remembers for so long. Nor of values that take many bytes, most of which may not have changed.
    fn differential(&self) -> Option<DeltaSize> {
        let none_is_gone = !self.has_removed || planted!(RemovedNotInDifference); // Bitcask 82
        let can_differ = is_small_and_plain::<V>() && none_is_gone;
        can_differ.then(|| self.delta(self.len, self.len - self.known, 0))
    }

    /// Whether a delta would hold the values of all known entries: they take few bytes, and most of them have changed, so that to tell
    /// which would take longer than to write the others, too.
    fn has_many_changes(&self) -> bool {
        is_small_and_plain::<V>() && self.touched >= self.len / 2
    }

    /// Encodes what is frozen and not yet encoded, segment by segment, until `budget`, in small entries, is used up: at
    /// least one segment if the budget is not zero. Says whether all is encoded.
    ///
    /// # Errors
    /// `UserCode` if a key or a value refuses to be encoded.
    pub fn sweep(&mut self, budget: &mut u64) -> Result<bool> {
        let Some(sweep) = self.sweep.as_deref_mut() else { return Ok(true) };
        if !sweep.take_logged(budget) {
            return Ok(false);
        }
        let Sweep { what, next_slot, .. } = &*sweep;
        let (mut slot, mut asked) = (*next_slot, *next_slot);
        for _ in 0..if *what == What::Changes { CHANGES_AHEAD } else { ALL_AHEAD } {
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
            Some(e) => Err(codec::refused(&e)),
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
        let Sweep { what, log, buffer, mut extents, value_bytes, .. } = sweep;
        self.spare_log = log;
        // What was removed comes first: a key may have come back since. What was written down comes before what was marked, which has the
        // values of the freeze.
        extents.sort_by_key(|e| (e.group, e.kind, e.position));
        let type_name = descriptor.type_name::<K>();
        let (name, scope) = (descriptor.name().to_owned(), what.scope());
        (buffer, FrozenKeyedState { name, type_name, scope, extents, value_bytes })
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

    /// Encodes the segments of keys that are about to be changed, as far as that is not done. The processor is asked for each while the
    /// one before is encoded.
    #[inline(never)]
    pub(super) fn copy_before_writes(&mut self, hashes: impl Iterator<Item = KeyHash>) {
        let mut asked = None;
        for hash in hashes {
            let segment = self.directory.segment(hash);
            if asked == Some(segment) || !self.is_unswept(segment) {
                continue;
            }
            match asked.replace(segment) {
                None => self.ask_for_segment(segment),
                Some(before) => _ = self.encode_segment(before, Some(segment)),
            }
        }
        if let Some(last) = asked {
            self.encode_segment(last, None);
        }
    }

    fn is_unswept(&self, segment: usize) -> bool {
        self.segments[segment].swept != self.freezes
    }

    /// The slot at which the segment after that of this slot begins; beyond the last one there is none.
    fn slot_after(&self, slot: usize) -> usize {
        let Some(segment) = self.directory.slots().get(slot) else { return slot };
        slot + self.directory.slots_of_depth(self.segments[*segment as usize].depth)
    }

    /// Asks the processor for the segment that begins at this slot, if it is still to be encoded. Gives the slot of the one after it.
    fn ask_for(&self, slot: usize) -> usize {
        if let Some(segment) = self.directory.slots().get(slot)
            && self.is_unswept(*segment as usize)
        {
            self.ask_for_segment(*segment as usize);
        }
        self.slot_after(slot)
    }

    /// Asks the processor for what will be read when this segment is encoded.
    fn ask_for_segment(&self, index: usize) {
        let segment = &self.segments[index];
        match &self.sweep {
            Some(sweep) if sweep.what == What::Changes => segment.marked_lines().for_each(prefetch_both),
            _ => segment.lines().for_each(prefetch_both),
        }
    }

    /// Encodes a segment, and says what that has cost. Meanwhile the processor is asked for another one, line by line: all at
    /// once would be more than it can wait for.
    fn encode_segment(&mut self, index: usize, ahead: Option<usize>) -> u64 {
        let ahead = ahead.filter(|ahead| self.is_unswept(*ahead));
        let sweep = self.sweep.as_mut().expect("only what is frozen is encoded");
        let segment = &mut self.segments[index];
        if sweep.what == What::Changes && segment.marks.is_empty() {
            // There may be many of these, and more memory of each need not be read.
            segment.swept = self.freezes;
            ahead.into_iter().for_each(|ahead| self.ask_for_segment(ahead));
            return 1;
        }
        let segment = &self.segments[index];
        let ahead = ahead.map(|ahead| &self.segments[ahead]);
        let start = sweep.buffer.len();
        let (kind, encoded) = match sweep.what {
            What::Everything => {
                let encoded = encode_run(segment, ahead.map(Segment::lines), &mut sweep.buffer);
                let count = |value_bytes| {
                    sweep.value_bytes += value_bytes;
                    segment.entries.len() as u64
                };
                (ExtentKind::Entries, encoded.map(count))
            }
            What::Changes => {
                let ahead = ahead.map(Segment::marked_lines);
                (ExtentKind::Changes, encode_changes(segment, ahead, &mut sweep.buffer))
            }
            What::ManyChanges => {
                let ahead = ahead.map(Segment::lines);
                (ExtentKind::Changes, encode_many_changes(segment, ahead, &mut sweep.buffer))
            }
            What::Difference => {
                let ahead = ahead.map(Segment::lines);
                (ExtentKind::Changes, encode_difference(segment, ahead, &mut sweep.buffer))
            }
        };
        let entries = encoded.unwrap_or_else(|e| {
            sweep.error = Some(e);
            0
        });
        let bytes = (sweep.buffer.len() - start) as u64;
        let segment = &mut self.segments[index];
        sweep.close_extent(segment.group, kind, entries, start);
        if kind == ExtentKind::Entries && entries > 0 {
            self.known -= segment.known.entries().count();
            segment.know(sweep.next_run(segment.group, self.owned));
            self.known += segment.known.entries().count();
        }
        segment.whereabouts.note(&segment.entries);
        segment.swept = self.freezes;
        segment.marks = Marks::default();
        encoding_cost(entries, bytes)
    }

    /// Encodes the keys that were removed from a key group.
    fn encode_removed(&mut self, group: usize) -> u64 {
        let sweep = self.sweep.as_mut().expect("only what is frozen is encoded");
        let keys = sweep.removed.groups.get_mut(group).map(std::mem::take).unwrap_or_default();
        if sweep.what == What::Everything || planted!(RemovedNotInDelta) {
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
}
