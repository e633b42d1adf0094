//! Snapshots take longer than the checkpoint's time-out: it is given up while they are still being written, and the next one
//! begins beside them.

use std::time::Duration;

use tidegate::{error::Result, probe::StepKind, stream::CheckpointMode};
use tidegate_sim::{
    fault::{Action, Victim},
    run::RunSpec,
    seed::{Draw, Seed, Stream},
};

use super::{
    aim::{aimed, at, crash, fault, task_manager},
    entries::LogJob,
    ledger,
};

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    let mut job = LogJob::draw(seed, CheckpointMode::ExactlyOnce);
    let timeout_us = seed.stream(Stream::Plan).between(60_000, 120_000);
    job.checkpoints.timeout = Duration::from_micros(timeout_us);
    aimed(seed, ledger::run(seed, job), |random, spec| {
        let step = *random.pick(&[StepKind::StateFrozen, StepKind::SnapshotFileTaken, StepKind::SnapshotWritten]);
        let for_us = timeout_us + random.between(1_000, 150_000);
        let mut faults =
            vec![fault(at(step, random.between(1, 10)), Action::StallDisk { victim: Victim::Here, for_us })];
        for _ in 0..random.between(0, 2) {
            let victim = Victim::TaskManager(task_manager(random, spec));
            let for_us = random.between(1_000, 2 * timeout_us);
            faults.push(fault(
                at(StepKind::CheckpointTriggered, random.between(2, 8)),
                Action::StallDisk { victim, for_us },
            ));
        }
        if random.chance(40) {
            faults.push(fault(at(StepKind::CheckpointAborted, 1), crash(random, Victim::JobManager)));
        }
        faults
    })
}
