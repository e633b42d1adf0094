//! A partition during alignment: one barrier has come, its channel is blocked, and the others are cut off before theirs.

use tidegate::{error::Result, probe::StepKind};
use tidegate_sim::{
    fault::{Action, Victim},
    run::RunSpec,
    seed::{Draw, Seed},
};

use super::{
    aim::{aimed, at, crash, fault, two_task_managers},
    ledger,
};

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    aimed(seed, ledger::spec(seed), |random, spec| {
        let anchor = at(StepKind::BarrierReceived, random.between(1, 12));
        let (from, to) = two_task_managers(random, spec);
        let heal_after_us = random.between(2_000, 400_000);
        let action = if random.chance(50) {
            Action::Cut { from: from.clone(), to: to.clone(), heal_after_us }
        } else {
            Action::Partition { a: from.clone(), b: to.clone(), heal_after_us }
        };
        let mut faults = vec![fault(anchor.clone(), action)];
        if random.chance(50) {
            let (from, to) = two_task_managers(random, spec);
            faults.push(fault(anchor, Action::Cut { from, to, heal_after_us: heal_after_us / 2 }));
        }
        if random.chance(40) {
            faults.push(fault(at(StepKind::Aligned, random.between(1, 8)), crash(random, Victim::Here)));
        }
        faults
    })
}
