//! Some sources have ended long ago, some never had anything, and one has nearly all: checkpoints must go through the finished
//! ones as through the others, and the final one must wait for the last.

use std::path::PathBuf;

use tidegate::{error::Result, probe::StepKind, stream::CheckpointMode};
use tidegate_sim::{
    fault::Victim,
    run::RunSpec,
    seed::{Draw, Seed, Stream},
};

use super::{
    aim::{aimed, at, crash, fault},
    entries::LogJob,
    ledger,
};
use crate::jobs::entry_log::{self, Entry};

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    let mut job = LogJob::draw(seed, CheckpointMode::ExactlyOnce);
    let random = &mut seed.stream(Stream::Workload);
    job.log.clear();
    for (p, len) in [0, 1, 3, 300].into_iter().enumerate() {
        let entry = |n: u64| (p as u64 * 10 + random.between(0, 4), n * 7);
        let entries: Vec<Entry> = (0..len).map(entry).collect();
        job.log.insert(PathBuf::from(format!("/input/partition-{p}")), entry_log::encode(&entries));
    }
    job.parallelism = [4, random.between(1, 3) as u32, random.between(1, 2) as u32];
    aimed(seed, ledger::run(seed, job), |random, _| {
        let victim = if random.chance(70) { Victim::Here } else { Victim::JobManager };
        let mut faults = vec![fault(at(StepKind::InputEnded, random.between(1, 5)), crash(random, victim))];
        for _ in 0..random.between(0, 2) {
            let step = *random.pick(&[
                StepKind::TriggerReceived,
                StepKind::InputEnded,
                StepKind::CheckpointTriggered,
                StepKind::StateRestored,
                StepKind::CompletionReceived,
                StepKind::TaskFinished,
            ]);
            faults.push(fault(at(step, random.between(1, 12)), crash(random, Victim::Here)));
        }
        faults
    })
}
