//! Wall clocks jump, forwards and backwards, on every node and at every kind of step: nothing may hang on them.

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
        let mut faults = Vec::new();
        for _ in 0..random.between(3, 8) {
            let by_ms = random.between(0, 20_000_000) as i64 - 10_000_000;
            let step = if faults.is_empty() { StepKind::AllAcknowledged } else { *random.pick(StepKind::ALL) };
            let occurrence = random.between(1, 3);
            faults.push(fault(at(step, occurrence), Action::JumpClock { victim: Victim::Here, by_ms }));
        }
        faults.push(fault(at(StepKind::CheckpointCompleted, random.between(1, 3)), crash(random, Victim::JobManager)));
        faults
    })
}
