//! Which entries of a segment the newest full snapshot holds, and where.
//!
//! A full snapshot lists the entries of each key group segment by segment: each list is a *run*, in the order of the buckets. As
//! long as an entry stays in its bucket, that tells it apart from all others: so an incremental snapshot names run and
//! bucket, and writes the new value alone. An entry that has come since, or has moved, is unknown until the next full snapshot,
//! and is written with its key.

use super::marks::Marks;

/// What the newest full snapshot knows of a segment's entries.
#[derive(Clone, Copy, Default)]
pub(super) struct Known {
    /// In which run of their key group they are, counted from 0.
    pub run: u32,
    /// The buckets of those that are there still.
    entries: Marks,
    /// Whether that is all of the run.
    is_complete: bool,
}

impl Known {
    /// The entries in these buckets were written in this run.
    pub fn new(run: u32, entries: Marks) -> Self {
        Self { run, entries, is_complete: true }
    }

    /// The buckets whose entries are known.
    pub fn entries(&self) -> &Marks {
        &self.entries
    }

    /// In which run the entry in this bucket is, if it is known.
    #[inline]
    pub fn run_of(&self, bucket: usize) -> Option<u32> {
        self.entries.get(bucket).then_some(self.run)
    }

    /// Whether all entries of the run are there still.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The entry in this bucket leaves it. Says whether it was known.
    pub fn forget(&mut self, bucket: usize) -> bool {
        let was_known = !planted!(PlaceOutlivesKey) && self.entries.clear(bucket); // Paimon 8987
        self.is_complete &= !was_known;
        was_known
    }
}
