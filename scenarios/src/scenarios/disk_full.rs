//! No space is left, in the middle of whatever is being written. Room comes back; now and then it does not, and then the job
//! waits for it in good order.

use tidegate::{error::Result, probe::StepKind};
use tidegate_sim::{
    fault::{Action, Victim},
    run::RunSpec,
    seed::{Draw, Seed},
};

use super::{
    aim::{aimed, at, crash, fault},
    word_count,
};

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    aimed(seed, word_count::spec(seed), |random, _| {
        let step = *random.pick(&[
            StepKind::CheckpointTriggered,
            StepKind::PartOpened,
            StepKind::StateFrozen,
            StepKind::AllAcknowledged,
            StepKind::CheckpointCompleted,
            StepKind::AttemptStarted,
            StepKind::TermClaimed,
        ]);
        let room_bytes = random.between(0, 3_000);
        let for_us = (!random.chance(4)).then(|| random.between(5_000, 400_000));
        let mut faults = vec![fault(at(step, random.between(1, 5)), Action::FillDisk { room_bytes, for_us })];
        if random.chance(50) {
            let victim = if random.chance(50) { Victim::JobManager } else { Victim::Here };
            let step = *random.pick(&[StepKind::CheckpointAborted, StepKind::Declined, StepKind::RestartScheduled]);
            faults.push(fault(at(step, 1), crash(random, victim)));
        }
        faults
    })
}
