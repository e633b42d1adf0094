//! What aimed scenarios have in common: the first fault of their plan is the aim, and a run in which it does not happen has
//! missed it.

use rand_chacha::ChaCha8Rng;
use tidegate::{error::Result, probe::StepKind};
use tidegate_sim::{
    env::Crash,
    fault::{Action, Anchor, Fault, FaultPlan, Victim},
    run::{RunReport, RunSpec},
    seed::{Draw, Seed, Stream},
};

/// The job, input and cluster of `base`, under a plan that `draw` makes for it.
pub(super) fn aimed(
    seed: Seed,
    base: Result<RunSpec>,
    draw: impl FnOnce(&mut ChaCha8Rng, &RunSpec) -> Vec<Fault>,
) -> Result<RunSpec> {
    let base = base?;
    let plan = FaultPlan::new(draw(&mut seed.stream(Stream::Plan), &base));
    Ok(RunSpec { plan, ..base })
}

/// Whether a run of an aimed scenario has hit what it aims at.
#[must_use]
pub fn was_hit(report: &RunReport) -> bool {
    report.fired.iter().any(|fired| fired.fault == 0)
}

/// Anybody's step, the `occurrence`th time.
pub(super) fn at(step: StepKind, occurrence: u64) -> Anchor {
    Anchor::Step { step, actor: None, checkpoint: None, occurrence: occurrence as u32 }
}

pub(super) fn fault(at: Anchor, action: Action) -> Fault {
    Fault { at, action }
}

/// A crash of either kind, after which the node comes back soon or late.
pub(super) fn crash(random: &mut ChaCha8Rng, victim: Victim) -> Action {
    let crash = *random.pick(&[Crash::Process, Crash::Power]);
    let restart_after_us =
        if random.chance(30) { random.between(80_000, 300_000) } else { random.between(500, 20_000) };
    Action::Crash { victim, crash, restart_after_us }
}

/// The name of one of the cluster's task managers.
pub(super) fn task_manager(random: &mut ChaCha8Rng, spec: &RunSpec) -> String {
    format!("tm-{}", random.between(1, u64::from(spec.shape.task_managers)))
}

/// Two of the cluster's task managers.
pub(super) fn two_task_managers(random: &mut ChaCha8Rng, spec: &RunSpec) -> (String, String) {
    let n = u64::from(spec.shape.task_managers);
    let first = random.between(0, n - 1);
    let second = (first + random.between(1, n - 1)) % n;
    (format!("tm-{}", first + 1), format!("tm-{}", second + 1))
}
