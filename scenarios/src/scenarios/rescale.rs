//! The job is stopped, killed or switched off, and started again with another parallelism; more than once, and while it has
//! not yet recovered from the last time.

use tidegate::{error::Result, probe::StepKind};
use tidegate_sim::{
    env::Crash,
    fault::{Action, Victim},
    run::RunSpec,
    seed::{Draw, Seed},
};

use super::{
    aim::{aimed, at, crash, fault},
    ledger, word_count,
};

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    let base = if seed.0.is_multiple_of(2) { ledger::spec(seed) } else { word_count::spec(seed) };
    aimed(seed, base, |random, _| {
        let mut faults = Vec::new();
        for _ in 0..random.between(1, 3) {
            let step = match faults.is_empty() {
                true => {
                    *random.pick(&[StepKind::CheckpointCompleted, StepKind::CompletionReceived, StepKind::Committed])
                }
                false => *random.pick(&[StepKind::StateRestored, StepKind::TaskRunning, StepKind::CheckpointCompleted]),
            };
            let crash = *random.pick(&[Crash::Process, Crash::Power]);
            let action = Action::Redeploy { crash, after_us: random.between(500, 20_000) };
            faults.push(fault(at(step, random.between(1, 6)), action));
        }
        if random.chance(50) {
            faults.push(fault(at(StepKind::SnapshotRead, random.between(1, 4)), crash(random, Victim::Here)));
        }
        faults
    })
}
