//! How many records a source has sent on behind each barrier: after a restore those behind the restored one are read
//! again.

use std::sync::Mutex;

use crate::{id::CheckpointId, stream::CheckpointBarrier};

/// The count of one source's task. The task counts, and whoever ends it looks at what it has left.
#[derive(Debug)]
pub(crate) struct SourceProgress(Mutex<Progress>);

#[derive(Debug)]
struct Progress {
    /// The records that were sent on in this attempt.
    records: u64,
    /// How many of them came before the barrier of each checkpoint that may be restored.
    before: Vec<(Option<CheckpointId>, u64)>,
}

impl SourceProgress {
    /// Of a task that begins with this checkpoint, or with nothing.
    pub(crate) fn new(restored: Option<CheckpointId>) -> Self {
        Self(Mutex::new(Progress { records: 0, before: vec![(restored, 0)] }))
    }

    /// So many more records were sent on.
    pub(crate) fn sent(&self, records: usize) {
        self.with(|progress| progress.records += records as u64);
    }

    /// The barrier of a checkpoint is about to be sent on. Nothing that is older than its base will be restored.
    pub(crate) fn barrier(&self, barrier: &CheckpointBarrier) {
        self.with(|Progress { records, before }| {
            before.retain(|(checkpoint, _)| barrier.base.is_none_or(|base| *checkpoint >= Some(base)));
            before.push((Some(barrier.checkpoint), *records));
        });
    }

    /// How many records were sent on behind the barrier of the checkpoint, or since the beginning. `None` if this attempt
    /// has neither taken nor restored it.
    pub(crate) fn behind(&self, restored: Option<CheckpointId>) -> Option<u64> {
        self.with(|Progress { records, before }| {
            let (_, before) = before.iter().find(|(checkpoint, _)| *checkpoint == restored)?;
            Some(*records - before)
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Progress) -> T) -> T {
        act(&mut self.0.lock().expect("nobody panics while holding this lock"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::CheckpointMode;

    fn barrier(checkpoint: u64, base: Option<u64>) -> CheckpointBarrier {
        let (checkpoint, base) = (CheckpointId(checkpoint), base.map(CheckpointId));
        let mode = CheckpointMode::ExactlyOnce;
        CheckpointBarrier { checkpoint, mode, is_final: false, base, oldest: checkpoint }
    }

    fn behind(progress: &SourceProgress) -> [Option<u64>; 5] {
        [None, Some(4), Some(5), Some(6), Some(7)].map(|id| progress.behind(id.map(CheckpointId)))
    }

    #[test]
    fn records_behind_a_barrier_come_again() {
        let progress = SourceProgress::new(Some(CheckpointId(4)));
        progress.sent(10);
        progress.barrier(&barrier(5, None));
        progress.sent(3);
        progress.sent(2);
        progress.barrier(&barrier(6, None));
        assert_eq!(behind(&progress), [None, Some(15), Some(5), Some(0), None]);
        // 5 is completed: whatever happens now, 4 is not restored any more.
        progress.sent(1);
        progress.barrier(&barrier(7, Some(5)));
        assert_eq!(behind(&progress), [None, None, Some(6), Some(1), Some(0)]);
    }

    #[test]
    fn a_job_that_started_afresh_may_start_afresh_again() {
        let progress = SourceProgress::new(None);
        progress.sent(7);
        progress.barrier(&barrier(4, None));
        assert_eq!(behind(&progress), [Some(7), Some(0), None, None, None]);
        progress.barrier(&barrier(5, Some(4)));
        assert_eq!(behind(&progress), [None, Some(0), Some(0), None, None]);
    }
}
