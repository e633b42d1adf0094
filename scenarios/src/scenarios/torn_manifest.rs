//! The job manager loses its power, or its disk an operation, at any point between the last acknowledgement and the durable
//! manifest: the checkpoint is there, or it is not, and nobody may act upon it before that is sure.

use tidegate::{error::Result, probe::StepKind};
use tidegate_sim::{
    env::{Crash, DiskOp},
    fault::{Action, DiskError, Victim},
    run::RunSpec,
    seed::{Draw, Seed},
};

use super::{
    aim::{aimed, at, crash, fault},
    word_count,
};

/// Each step of a publication, and a disk operation that follows it, in a new file or over an old one.
const PUBLICATION: &[(StepKind, DiskOp)] = &[
    (StepKind::AllAcknowledged, DiskOp::Write),
    (StepKind::ManifestWritten, DiskOp::Sync),
    (StepKind::ManifestSynced, DiskOp::Rename),
    (StepKind::ManifestSynced, DiskOp::Write),
    (StepKind::ManifestShown, DiskOp::SyncDir),
    (StepKind::ManifestShown, DiskOp::Sync),
];

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    aimed(seed, word_count::spec(seed), |random, _| {
        let (step, op) = *random.pick(PUBLICATION);
        let occurrence = random.between(1, 4);
        let action = if random.chance(40) {
            let error = *random.pick(&[DiskError::Io, DiskError::AfterEffect]);
            Action::FailDisk { victim: Victim::Here, op, error }
        } else {
            Action::Crash { victim: Victim::Here, crash: Crash::Power, restart_after_us: random.between(500, 50_000) }
        };
        let mut faults = vec![fault(at(step, occurrence), action)];
        // What was in doubt is looked at again, and that is interrupted too.
        if random.chance(60) {
            let step = *random.pick(&[StepKind::TermClaimed, StepKind::RestorePointChosen, StepKind::AttemptStarted]);
            faults.push(fault(at(step, 2), crash(random, Victim::JobManager)));
        }
        faults
    })
}
