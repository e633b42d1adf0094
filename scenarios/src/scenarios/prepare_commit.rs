//! A crash between prepare and commit: the output is durable and not visible, and only the checkpoint knows whose it is. Then
//! another one, while recovery commits it again.

use tidegate::{error::Result, probe::StepKind};
use tidegate_sim::{
    fault::Victim,
    run::RunSpec,
    seed::{Draw, Seed},
};

use super::{
    aim::{aimed, at, crash, fault},
    ledger,
};

/// From the closing of a part to the moment at which its name is durable.
const BETWEEN: &[StepKind] = &[
    StepKind::PartSynced,
    StepKind::PartPending,
    StepKind::CommitPrepared,
    StepKind::AllAcknowledged,
    StepKind::ManifestSynced,
    StepKind::ManifestShown,
    StepKind::CheckpointCompleted,
    StepKind::CompletionNotified,
    StepKind::CompletionReceived,
    StepKind::PartRenamed,
    StepKind::CommitDirectorySynced,
];

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    aimed(seed, ledger::spec(seed), |random, _| {
        let step = *random.pick(BETWEEN);
        let victim = if random.chance(70) { Victim::Here } else { Victim::JobManager };
        let mut faults = vec![fault(at(step, random.between(1, 4)), crash(random, victim))];
        if random.chance(60) {
            let step = *random.pick(&[StepKind::SnapshotRead, StepKind::PartRenamed, StepKind::CommitDirectorySynced]);
            faults.push(fault(at(step, random.between(1, 6)), crash(random, Victim::Here)));
        }
        faults
    })
}
