//! A sink of a dozen subtasks: the name of one is the beginning of another's (FLINK-3651), and many parts hang on one commit.

use tidegate::{error::Result, probe::StepKind, stream::CheckpointMode};
use tidegate_sim::{
    fault::{Action, Victim},
    run::RunSpec,
    seed::{Draw, Seed},
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
    job.parallelism = [1, 2, 12];
    job.max_parallelism = job.max_parallelism.max(16);
    aimed(seed, ledger::run(seed, job), |random, spec| {
        let step = *random.pick(&[
            StepKind::PartPending,
            StepKind::CheckpointCompleted,
            StepKind::CompletionReceived,
            StepKind::PartRenamed,
        ]);
        let mut faults = vec![fault(at(step, random.between(1, 4)), crash(random, Victim::Here))];
        if random.chance(50) {
            // Its parts are still in doubt when others have committed theirs and clean up.
            let victim = Victim::TaskManager(task_manager(random, spec));
            let pause = Action::Pause { victim, for_us: random.between(3_000, 30_000) };
            faults.push(fault(at(StepKind::AttemptStarted, 2), pause));
        }
        if random.chance(50) {
            faults.push(fault(at(StepKind::StateRestored, random.between(16, 30)), crash(random, Victim::Here)));
        }
        faults
    })
}
