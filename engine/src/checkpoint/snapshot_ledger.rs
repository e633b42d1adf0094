//! Which of its snapshots a task may still be asked for, and so which of its files it may write over.
//!
//! A file is needed as long as a checkpoint names it that exists, or of which nobody knows whether it does. A task hears of
//! that with each barrier, and from nobody else: one checkpoint is taken at a time, so that the fate of all before is known
//! when a barrier is made, and what it says holds for ever, however late it comes.
//!
//! ```text
//!   checkpoints   … 3    4    5    6    7    8    9
//!                   └ gone ┘  └ exist  ┘  └ ┬ ┘   └ the barrier
//!                          oldest     base  given up
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::SnapshotFile;
use crate::{id::CheckpointId, stream::CheckpointBarrier};

/// The snapshots of one task in one attempt that rest in files.
#[derive(Clone, Debug, Default)]
pub struct SnapshotLedger {
    /// Those that a checkpoint may hold that exists or may come to.
    snapshots: BTreeMap<CheckpointId, Vec<SnapshotFile>>,
}

impl SnapshotLedger {
    /// A new checkpoint begins.
    pub fn begin(&mut self, barrier: CheckpointBarrier) {
        let CheckpointBarrier { checkpoint, base, oldest, .. } = barrier;
        let is_given_up = |id: CheckpointId| id < checkpoint && Some(id) > base;
        if planted!(AbortFreesSharedFiles) {
            // FLINK-24611
            let freed: Vec<_> = self.snapshots.range(..checkpoint).filter(|(id, _)| is_given_up(**id)).collect();
            let freed: BTreeSet<_> = freed.into_iter().flat_map(|(_, s)| s.iter().map(|f| f.name.clone())).collect();
            self.snapshots.retain(|_, s| s.iter().all(|file| !freed.contains(&file.name)));
        }
        self.snapshots.retain(|id, _| !is_given_up(*id) && *id >= oldest);
    }

    /// The snapshot for a checkpoint is durable in this file and in those of the snapshot that it builds on. Gives all of them,
    /// in the order in which they are to be read.
    ///
    /// # Panics
    /// If what was written for `builds_on` is in no snapshot that may still be asked for.
    pub fn written(
        &mut self,
        checkpoint: CheckpointId,
        builds_on: Option<CheckpointId>,
        file: SnapshotFile,
    ) -> Vec<SnapshotFile> {
        let mut files = builds_on.map_or_else(Vec::new, |base| {
            // Those of a checkpoint that is gone may be part of a newer snapshot, which goes back through the same files.
            let up_to_base = |files: &Vec<SnapshotFile>| {
                let last = files.iter().position(|file| file.written_for == base)?;
                Some(files[..=last].to_vec())
            };
            let files = self.snapshots.values().find_map(up_to_base);
            files.unwrap_or_else(|| panic!("checkpoint {checkpoint} builds on {base}, which is gone"))
        });
        files.push(file);
        self.snapshots.insert(checkpoint, files.clone());
        files
    }

    /// Whether the snapshot for a checkpoint rests in files: only then may another build on it.
    #[must_use]
    pub fn holds(&self, checkpoint: CheckpointId) -> bool {
        self.snapshots.contains_key(&checkpoint)
    }

    /// Whether what the file holds may still be asked for.
    #[must_use]
    pub fn needs(&self, name: &str) -> bool {
        if planted!(BaseFreedWithItsCheckpoint) {
            return self.snapshots.values().any(|s| s.last().is_some_and(|file| file.name == name)); // FLINK-25395
        }
        self.snapshots.values().flatten().any(|file| file.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::CheckpointMode;

    fn begin(ledger: &mut SnapshotLedger, checkpoint: u64, oldest: u64, base: Option<u64>) {
        ledger.begin(CheckpointBarrier {
            checkpoint: CheckpointId(checkpoint),
            mode: CheckpointMode::ExactlyOnce,
            is_final: false,
            base: base.map(CheckpointId),
            oldest: CheckpointId(oldest),
        });
    }

    fn write(ledger: &mut SnapshotLedger, checkpoint: u64, builds_on: Option<u64>, name: &str) -> Vec<String> {
        let written_for = CheckpointId(checkpoint);
        let file = SnapshotFile { name: name.into(), written_for, len: 1, digest: 1 };
        let files = ledger.written(written_for, builds_on.map(CheckpointId), file);
        files.into_iter().map(|f| f.name).collect()
    }

    /// The snapshot of the first checkpoint is in file a, the second one has begun.
    fn at_the_second() -> SnapshotLedger {
        let mut ledger = SnapshotLedger::default();
        begin(&mut ledger, 3, 3, None);
        write(&mut ledger, 3, None, "a");
        begin(&mut ledger, 4, 3, Some(3));
        ledger
    }

    fn needed(ledger: &SnapshotLedger) -> String {
        ["a", "b", "c", "d"].into_iter().filter(|name| ledger.needs(name)).collect()
    }

    #[test]
    fn a_file_is_free_once_no_checkpoint_names_it() {
        let mut ledger = at_the_second();
        write(&mut ledger, 4, None, "b");
        assert_eq!(needed(&ledger), "ab");
        // 4 has completed, but 3 is not yet gone; so it is still at the next one.
        begin(&mut ledger, 5, 3, Some(4));
        write(&mut ledger, 5, None, "c");
        assert_eq!(needed(&ledger), "abc");
        begin(&mut ledger, 6, 5, Some(5));
        assert_eq!(needed(&ledger), "c");
    }

    #[test]
    fn a_base_is_needed_longer_than_its_checkpoint() {
        let mut ledger = at_the_second();
        assert_eq!(write(&mut ledger, 4, Some(3), "b"), ["a", "b"]);
        begin(&mut ledger, 5, 4, Some(4));
        assert_eq!(write(&mut ledger, 5, Some(4), "c"), ["a", "b", "c"]);
        assert_eq!(needed(&ledger), "abc");
        begin(&mut ledger, 6, 5, Some(5));
        write(&mut ledger, 6, None, "d");
        begin(&mut ledger, 7, 6, Some(6));
        assert_eq!(needed(&ledger), "d");
    }

    /// What lies between is free as soon as the checkpoints are gone that need it.
    #[test]
    fn a_difference_builds_on_a_file_of_a_checkpoint_that_is_gone() {
        let mut ledger = at_the_second();
        write(&mut ledger, 4, Some(3), "b");
        begin(&mut ledger, 5, 4, Some(4));
        assert_eq!(write(&mut ledger, 5, Some(3), "c"), ["a", "c"]);
        assert_eq!(needed(&ledger), "abc");
        begin(&mut ledger, 6, 5, Some(5));
        assert_eq!(needed(&ledger), "ac");
        assert_eq!(write(&mut ledger, 6, Some(5), "d"), ["a", "c", "d"]);
        begin(&mut ledger, 7, 6, Some(6));
        assert_eq!(write(&mut ledger, 7, Some(3), "b"), ["a", "b"]);
        begin(&mut ledger, 8, 7, Some(7));
        assert_eq!(needed(&ledger), "ab");
    }

    #[test]
    fn only_what_rests_in_files_and_is_not_given_up_is_held() {
        let mut ledger = SnapshotLedger::default();
        begin(&mut ledger, 3, 3, None);
        write(&mut ledger, 3, None, "a");
        assert!(ledger.holds(CheckpointId(3)) && !ledger.holds(CheckpointId(2)));
        begin(&mut ledger, 4, 3, Some(3));
        assert!(ledger.holds(CheckpointId(3)) && !ledger.holds(CheckpointId(4)));
        begin(&mut ledger, 5, 5, Some(4));
        assert!(!ledger.holds(CheckpointId(3)) && !ledger.holds(CheckpointId(4)), "that of 4 stands in its manifest");
    }

    #[test]
    fn what_was_given_up_is_free_at_once_and_what_is_in_doubt_never() {
        let mut ledger = SnapshotLedger::default();
        begin(&mut ledger, 3, 2, Some(2));
        write(&mut ledger, 3, None, "a");
        assert_eq!(needed(&ledger), "a", "nobody knows yet");
        begin(&mut ledger, 4, 2, Some(2));
        assert_eq!(needed(&ledger), "", "3 was given up");
        write(&mut ledger, 4, None, "b");
        // A trigger that comes late, or twice, says nothing of what is newer.
        begin(&mut ledger, 4, 2, Some(2));
        assert_eq!(needed(&ledger), "b");
    }

    #[test]
    #[should_panic(expected = "checkpoint 5 builds on 4, which is gone")]
    fn nothing_builds_on_what_was_given_up() {
        let mut ledger = SnapshotLedger::default();
        begin(&mut ledger, 4, 4, None);
        write(&mut ledger, 4, None, "a");
        begin(&mut ledger, 5, 4, None);
        write(&mut ledger, 5, Some(4), "b");
    }
}
