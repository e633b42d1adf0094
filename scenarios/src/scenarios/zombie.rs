//! A task manager stops for longer than the heartbeat time-out, others take over its tasks, and then it goes on where it was:
//! writing, acknowledging, committing.

use tidegate::{error::Result, probe::StepKind};
use tidegate_sim::{
    fault::{Action, Victim},
    run::RunSpec,
    seed::{Draw, Seed},
};

use super::{
    aim::{aimed, at, crash, fault},
    ledger, word_count,
};

/// Where what the zombie does next has an effect outside of it.
const BEFORE_AN_EFFECT: &[StepKind] = &[
    StepKind::PartOpened,
    StepKind::PartSynced,
    StepKind::PartPending,
    StepKind::CommitPrepared,
    StepKind::StateFrozen,
    StepKind::SnapshotWritten,
    StepKind::SnapshotSynced,
    StepKind::SnapshotFileTaken,
    StepKind::SnapshotDirectorySynced,
    StepKind::Acknowledged,
    StepKind::CompletionReceived,
    StepKind::PartRenamed,
    StepKind::BarrierReceived,
    StepKind::BarrierForwarded,
    StepKind::StateRestored,
    StepKind::TaskStarted,
];

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    let base = if seed.0.is_multiple_of(2) { ledger::spec(seed) } else { word_count::spec(seed) };
    aimed(seed, base, |random, _| {
        let (step, occurrence, for_us) = if random.chance(40) {
            // What is written to an open file arrives without anybody being asked once more, while the successor writes its own.
            (StepKind::PartOpened, random.between(1, 3), random.between(95_000, 160_000))
        } else {
            (*random.pick(BEFORE_AN_EFFECT), random.between(1, 10), random.between(65_000, 250_000))
        };
        let mut faults = vec![fault(at(step, occurrence), Action::Pause { victim: Victim::Here, for_us })];
        if random.chance(30) {
            let for_us = random.between(65_000, 150_000);
            let step = *random.pick(&[StepKind::AllAcknowledged, StepKind::ManifestWritten, StepKind::ManifestShown]);
            faults.push(fault(at(step, random.between(1, 4)), Action::Pause { victim: Victim::JobManager, for_us }));
        }
        if random.chance(40) {
            faults.push(fault(at(StepKind::TaskCanceled, 1), crash(random, Victim::JobManager)));
        }
        faults
    })
}
