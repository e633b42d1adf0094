//! One key holds nearly all the traffic, and the way to it is narrow: back-pressure reaches the sources, barriers wait behind
//! data, and the other channels stand blocked meanwhile.

use std::path::PathBuf;

use tidegate::{error::Result, probe::StepKind, stream::CheckpointMode};
use tidegate_sim::{
    fault::{Action, Victim},
    run::RunSpec,
    seed::{Draw, Seed, Stream},
};

use super::{
    aim::{aimed, at, crash, fault, two_task_managers},
    entries::LogJob,
    ledger,
};
use crate::jobs::entry_log::{self, Entry};

/// In so many of a hundred entries of a partition the account is the partition's first.
const SKEW: u64 = 95;

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    let mut job = LogJob::draw(seed, CheckpointMode::ExactlyOnce);
    let random = &mut seed.stream(Stream::Workload);
    for p in 0..3 {
        let account =
            |random: &mut _| if Draw::chance(random, SKEW) { p * 10 } else { p * 10 + Draw::between(random, 1, 9) };
        let entries: Vec<Entry> = (0..200).map(|n| (account(random), n)).collect();
        job.log.insert(PathBuf::from(format!("/input/partition-{p}")), entry_log::encode(&entries));
    }
    job.parallelism = [3, 3, 2];
    job.batch_size = 4;
    let mut base = ledger::run(seed, job);
    if let Ok(spec) = &mut base {
        spec.shape.channel_credits = 1;
        spec.shape.slots = 3;
        spec.world.network.window = 512;
    }
    aimed(seed, base, |random, spec| {
        let (a, b) = two_task_managers(random, spec);
        let (bytes_per_ms, for_us) = (random.between(20, 400), random.between(20_000, 200_000));
        let throttle = Action::Throttle { a, b, bytes_per_ms, for_us };
        let mut faults = vec![fault(at(StepKind::CheckpointTriggered, random.between(1, 3)), throttle)];
        if random.chance(70) {
            let step = *random.pick(&[StepKind::BarrierReceived, StepKind::Aligned, StepKind::BarrierForwarded]);
            faults.push(fault(at(step, random.between(1, 20)), crash(random, Victim::Here)));
        }
        faults
    })
}
