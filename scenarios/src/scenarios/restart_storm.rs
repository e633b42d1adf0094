//! One crash after another, each in the recovery from the one before, of everybody in turn.

use tidegate::{error::Result, probe::StepKind};
use tidegate_sim::{
    env::DiskOp,
    fault::{Action, DiskError, Victim},
    run::RunSpec,
    seed::{Draw, Seed},
};

use super::{
    aim::{aimed, at, crash, fault, task_manager},
    word_count,
};

/// From the notice of a failure to the first record of the next attempt.
const RECOVERY: &[StepKind] = &[
    StepKind::RestartScheduled,
    StepKind::RestorePointChosen,
    StepKind::AttemptStarted,
    StepKind::TaskDeployed,
    StepKind::TaskStarted,
    StepKind::SnapshotRead,
    StepKind::StateRestored,
    StepKind::TaskRunning,
    StepKind::AttemptRunning,
];

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    aimed(seed, word_count::spec(seed), |random, spec| {
        let mut faults =
            vec![fault(at(StepKind::CommitDirectorySynced, random.between(1, 3)), crash(random, Victim::Here))];
        for nth in 2..random.between(5, 10) {
            let action = match random.between(0, 3) {
                0 => crash(random, Victim::JobManager),
                1 => Action::KillTask,
                2 => {
                    let victim = Victim::TaskManager(task_manager(random, spec));
                    crash(random, victim)
                }
                _ => crash(random, Victim::Here),
            };
            let kills = action == Action::KillTask;
            let step = if kills { StepKind::TaskStarted } else { *random.pick(RECOVERY) };
            faults.push(fault(at(step, nth * random.between(1, 3)), action));
        }
        // A manifest that cannot be read while what earlier attempts have left is cleaned up.
        if random.chance(30) {
            let action = Action::FailDisk { victim: Victim::Here, op: DiskOp::Read, error: DiskError::Io };
            faults.push(fault(at(StepKind::AttemptStarted, random.between(2, 4)), action));
        }
        faults
    })
}
