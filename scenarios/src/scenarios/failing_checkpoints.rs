//! Many checkpoints in a row, and many of them fail: what one has prepared waits in doubt through all of them, until one
//! completes or the job restarts.

use std::time::Duration;

use tidegate::{error::Result, probe::StepKind, stream::CheckpointMode};
use tidegate_sim::{
    env::DiskOp,
    fault::{Action, DiskError, Victim},
    run::RunSpec,
    seed::{Draw, Seed, Stream},
};

use super::{
    aim::{aimed, at, crash, fault},
    entries::LogJob,
    ledger,
};

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    let mut job = LogJob::draw(seed, CheckpointMode::ExactlyOnce);
    let settings = &mut seed.stream(Stream::Plan);
    job.checkpoints.interval = Duration::from_micros(settings.between(300, 1_500));
    job.checkpoints.min_pause = Duration::ZERO;
    job.checkpoints.tolerable_failures = settings.between(0, 8) as u32;
    aimed(seed, ledger::run(seed, job), |random, _| {
        let mut faults = Vec::new();
        let first = random.between(2, 4);
        for checkpoint in first..first + random.between(3, 7) {
            let (step, op) = *random.pick(&[
                (StepKind::StateFrozen, DiskOp::Write),
                (StepKind::SnapshotWritten, DiskOp::Sync),
                (StepKind::SnapshotSynced, DiskOp::SyncDir),
                (StepKind::AllAcknowledged, DiskOp::Write),
                (StepKind::ManifestWritten, DiskOp::Sync),
            ]);
            // Only the first checkpoint is named: it is the aim; later ones may have other numbers by then.
            let at = at(step, if faults.is_empty() { random.between(1, 4) } else { checkpoint * random.between(1, 3) });
            faults.push(fault(at, Action::FailDisk { victim: Victim::Here, op, error: DiskError::Io }));
        }
        if random.chance(50) {
            faults.push(fault(at(StepKind::CheckpointAborted, random.between(1, 4)), crash(random, Victim::Here)));
        }
        faults
    })
}
