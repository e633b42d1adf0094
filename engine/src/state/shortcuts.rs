//! Where keys were found last.

use super::table::IN_CACHE;
use crate::key_group::KeyHash;

/// So many slots for a key, so that two keys hardly ever take turns with one: each wrong guess costs what the processor has begun
/// on the strength of it. Slots that nobody uses take no room in a cache.
const SLOTS_PER_KEY: usize = 64;

/// There are never more: they shall leave room in the cache for the table itself.
const MOST_SLOTS: usize = 4 * IN_CACHE;

/// So many of a place's bits say which bucket it is. A segment of more buckets is one of a kind; there a guess may be wrong.
const BUCKET_BITS: u32 = 9;

/// Where keys were found last, by the last bits of their hashes: the way to a key that comes again and again, in place of the
/// directory, the segment's tags and what they promise, each a load that waits for the one before.
///
/// A place is a guess. Who follows it compares the key that stands there, so nothing has to be told when entries move.
pub(crate) struct Shortcuts {
    /// A power of two.
    slots: Vec<Place>,
}

/// A segment and a bucket in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place(u32);

impl Place {
    #[inline]
    pub fn segment(self) -> usize {
        (self.0 >> BUCKET_BITS) as usize
    }

    #[inline]
    pub fn bucket(self) -> usize {
        (self.0 % (1 << BUCKET_BITS)) as usize
    }
}

impl Shortcuts {
    /// For a table without keys.
    pub fn new() -> Self {
        Self { slots: vec![Place(0)] }
    }

    /// Makes room for so many keys. All is forgotten if that takes more slots.
    pub fn fit(&mut self, keys: usize) {
        if self.slots.len() < MOST_SLOTS.min(keys * SLOTS_PER_KEY / 2) {
            self.slots = vec![Place(0); MOST_SLOTS.min((keys * SLOTS_PER_KEY).next_power_of_two())];
        }
    }

    /// Where to look for a key of this hash.
    #[inline]
    pub fn get(&self, hash: KeyHash) -> Place {
        self.slots[self.slot(hash)]
    }

    /// A key of this hash is in this bucket of this segment.
    #[inline]
    pub fn note(&mut self, hash: KeyHash, segment: usize, bucket: usize) {
        let slot = self.slot(hash);
        self.slots[slot] = Place((segment << BUCKET_BITS | bucket) as u32);
    }

    #[inline]
    fn slot(&self, hash: KeyHash) -> usize {
        hash.0 as usize & (self.slots.len() - 1)
    }
}
