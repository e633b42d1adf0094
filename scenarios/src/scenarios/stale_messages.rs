//! The end of the input is told once more, by every task, after the attempt in which it came has failed and another one runs:
//! what a dead attempt says must count for nothing, or the last checkpoint comes too early.

use std::time::Duration;

use tidegate::{error::Result, probe::StepKind, runtime::MessageKind, stream::CheckpointMode};
use tidegate_sim::{
    fault::{Action, Anchor, Victim},
    run::RunSpec,
    seed::{Draw, Seed},
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
    // The final checkpoint is the only one, and so the next attempt has everything to do again.
    job.checkpoints.interval = Duration::from_secs(60);
    let base = ledger::run(seed, job)?;
    let tasks = base.workload.graph()?.subtasks().count() as u64;
    aimed(seed, Ok(base), |random, _| {
        let after_us = random.between(30_000, 110_000);
        let again = |occurrence: u64| {
            let message = MessageKind::InputEnded;
            let at = Anchor::Message { message, task_manager: None, checkpoint: None, occurrence: occurrence as u32 };
            fault(at, Action::RepeatMessage { after_us })
        };
        let mut faults: Vec<_> = (1..=tasks).map(again).collect();
        let failure = if random.chance(80) { Action::KillTask } else { crash(random, Victim::Here) };
        let step = *random.pick(&[StepKind::TriggerReceived, StepKind::Aligned, StepKind::StateFrozen]);
        faults.push(fault(at(step, 1), failure));
        faults
    })
}
