//! Tasks fail while they connect to one another over slow links, again and again: producers of one attempt knock when their
//! consumers' node has the next one already, or still the one before, and must not be let in.

use tidegate::{error::Result, probe::StepKind, stream::CheckpointMode};
use tidegate_sim::{
    cluster::JOB_MANAGER,
    fault::{Action, Anchor},
    run::RunSpec,
    seed::{Draw, Seed},
};

use super::{
    aim::{aimed, at, fault, two_task_managers},
    entries::LogJob,
    ledger,
};

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    let mut job = LogJob::draw(seed, CheckpointMode::ExactlyOnce);
    // So that there are producers and consumers on each node.
    job.parallelism = [2, 3, 3];
    aimed(seed, ledger::run(seed, job), |random, spec| {
        let mut faults = Vec::new();
        for _ in 0..2 {
            let (mut a, b) = two_task_managers(random, spec);
            // Or one of them hears late of what is to run.
            if random.chance(50) {
                a = JOB_MANAGER.to_owned();
            }
            let (extra_us, for_us) = (random.between(5_000, 40_000), random.between(60_000, 300_000));
            let from = random.between(10_000, 60_000);
            faults.push(fault(Anchor::Time { us: from }, Action::DelayLink { a, b, extra_us, for_us }));
        }
        // Where a restart finds tasks that wait for their connections.
        faults.push(fault(at(StepKind::Committed, random.between(1, 4)), Action::KillTask));
        for occurrence in 1..random.between(3, 6) {
            let step = *random.pick(&[StepKind::TaskStarted, StepKind::StateRestored]);
            faults.push(fault(at(step, 7 * occurrence + random.between(0, 6)), Action::KillTask));
        }
        faults
    })
}
